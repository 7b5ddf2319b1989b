"""What people and sites write: settings, code lists, tables, other centres' sums."""

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from adapter.cases import run_folder
from adapter.causes.rule import Plan
from adapter.codes.lookup import _expansions
from adapter.codes.prophylaxis import prophylaxis_rules
from adapter.codes.sets import overlay_csv, overlay_from
from adapter.codes.tables import OVERLAY_HEADER, apply_overlay, overlay_changes, shipped_rows
from adapter.config import read_settings
from adapter.errors import UNREADABLE
from adapter.fhir.quirks import load_quirks, reasons
from adapter.incidence import Options
from adapter.tables import Columns, incidence_of_file, pool_files
from adapter.terminal import cases_in_words
from adapter.words import incidence_in_words, pooled_in_words
from cli import _as_json
from tests.facts.reader import codes
from tests.nightly.fuzz import odd
from tests.nightly.fuzz.bench import Bench, Kind
from tests.nightly.fuzz.odd import DOCUMENTS

ROOT = Path(__file__).resolve().parents[3]


def study_toml(data: bytes, bench: Bench) -> None:
    """study.toml."""
    read_settings(bench.file("study.toml", data), {"store": None})


def quirks(data: bytes, bench: Bench) -> None:
    """A site's own quirk file."""
    path = str(bench.file("quirks.toml", data))
    load_quirks(path), reasons(path)


@cache
def shipped() -> list[Any]:
    """Our own rows, read once."""
    return shipped_rows()


def overlay(data: bytes, bench: Bench) -> None:
    """A site's code lists, and its expansions."""
    bench.file("site/o.csv", data)
    apply_overlay(shipped(), overlay_changes(bench.folder / "site"))


def expansions(data: bytes, bench: Bench) -> None:
    """Descendants of codes, as `mappings expand` or a person wrote them."""
    (bench.folder / "below").mkdir(exist_ok=True)
    bench.file("below/expansions/x.csv", data)
    _expansions(bench.folder / "below")


def prophylaxis(data: bytes, bench: Bench) -> None:
    """A site's own table of prophylaxis rules."""
    prophylaxis_rules(bench.file("prophylaxis.csv", data))


def sets(data: bytes, bench: Bench) -> None:
    """A ValueSet or ConceptMap, read as `mappings import` reads it."""
    try:
        read = json.loads(data)
    except UNREADABLE:
        return
    named = {"signed": "A. Reviewer", "dated": "2025-03-01"}
    found = overlay_from(read, codes(), concept="infection", subconcept="sepsis", **named)
    overlay_csv(found.rows).encode()


def day_tables(data: bytes, bench: Bench) -> None:
    """A site's own cases."""
    cases_in_words(run_folder(bench.file("cases/x.md", data), Plan())).encode()


def pool_table(data: bytes, bench: Bench) -> None:
    """Sites as CSV."""
    _pooled(bench.file("s.csv", data))


def summary(data: bytes, bench: Bench) -> None:
    """summary.json of another centre, beside a good one."""
    good = bench.file("g.csv", b"study,n,events\nnorth,80,9\nsouth,91,4\n")
    _pooled(bench.file("s.json", data), good)


def _pooled(*paths: Path) -> None:
    for horizon in (None, 365.0):
        answer = pool_files(paths, horizon)
        _as_json(answer).encode()
        pooled_in_words(answer).encode()


def incidence(data: bytes, bench: Bench) -> None:
    """Anyone's table of times and events; models only of small ones, because they are slow."""
    path = bench.file("i.csv", data)
    for columns in (Columns(), Columns(group="group", entry="entry", strata="strata")):
        answer = incidence_of_file(path, columns, Options())
        _as_json(answer).encode()
        incidence_in_words(answer).encode()


def _toml_of(path: Path) -> dict[str, Any]:

    return tomllib.loads(path.read_text(encoding="utf-8"))


DAYS = (ROOT / "tests" / "cases" / "death.md").read_bytes()[:3000]
SIGNED = (
    "add", "infection", "sepsis", "http://loinc.org", "1-8", "exact", "", "A. Reviewer",
    "2026-01-01",
)  # fmt: skip
RULES = tuple(
    tuple(line.split(","))
    for line in (ROOT / "mappings" / "prophylaxis.csv").read_text().splitlines()[:8]
)
PEOPLE = (
    ("time", "event", "group", "entry", "strata"),
    ("30", "1", "a", "", "x"),
    ("90.5", "2", "b", "3", "y"),
    ("400", "0", "a", "0", "x"),
    ("400", "0", "b", "", "y"),
    ("12", "2", "a", "1", "x"),
)
SETS = [DOCUMENTS[name] for name in ("ValueSet", "expanded", "ConceptMap", "filtered")]
KINDS = {
    "study_toml": Kind(
        odd.toml_files(_toml_of(ROOT / "examples" / "nightly" / "study.toml")), study_toml, 6, True
    ),
    "quirks": Kind(
        odd.toml_files(_toml_of(ROOT / "adapter" / "fhir" / "quirks" / "epic.toml")),
        quirks,
        6,
        True,
    ),
    "overlay": Kind(
        odd.csv_files(OVERLAY_HEADER, SIGNED, ("remove", *SIGNED[1:])), overlay, 4, True
    ),
    "expansions": Kind(
        odd.csv_files(("system", "parent", "code"), ("http://snomed.info/sct", "1", "2")),
        expansions,
        4,
        True,
    ),
    "prophylaxis": Kind(odd.csv_files(*RULES), prophylaxis, 4, True),
    "sets": Kind(
        odd.documents(*SETS),
        sets,
        0.5,
        True,
    ),
    "day_tables": Kind(odd.damaged(odd.damaged(st.just(DAYS))), day_tables, 0.5, True),
    "pool_table": Kind(
        odd.csv_files(
            ("study", "n", "events", "subgroup"),
            ("north", "80", "9", "a"),
            ("south", "91", "4", "b"),
        ),
        pool_table,
        0.2,
    ),
    "summary": Kind(odd.documents(DOCUMENTS["summary"]), summary, 0.2),
    "incidence": Kind(odd.csv_files(*PEOPLE), incidence, 0.5),
}
