"""The aggregate for pooling: what is in it, what is hidden, and that `pool` reads it."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapter.export import Release, export_cohort
from adapter.export.summary import summary_of, suppressed
from adapter.model import OutcomeKind
from adapter.pseudonyms import Pseudonyms
from adapter.tables import pool_files
from tests.report.studies import Person, a_study, judged_of, study_of

KEY = Pseudonyms(bytes(range(32)))


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 30), max_size=8), st.integers(1, 10))
def test_no_small_count_is_shown_or_can_be_worked_out(counts: dict[str, int], limit: int) -> None:
    """Cells from 1 to limit-1 are hidden, and never exactly one of several cells is hidden."""
    shown = suppressed(counts, limit)
    assert not [n for n in shown.values() if n is not None and 0 < n < limit]
    hidden = [name for name, n in shown.items() if n is None]
    assert len(hidden) != 1 or len(counts) == 1


def test_the_totals_and_curves_are_there() -> None:
    """study, n, events and the incidence of both outcomes at every horizon."""
    study = a_study(300)
    found = summary_of(study, 5)
    deaths = sum(j.outcome.kind is OutcomeKind.NRM for j in study.judged)
    assert deaths == found["events"]
    assert {1, 2} == {curve["cause"] for curve in found["curves"]}
    assert list(study.plan.policy.horizons) == [p["time"] for p in found["curves"][0]["at"]]


def test_few_at_risk_are_not_told_and_the_manifest_counts_what_is_hidden(tmp_path: Path) -> None:
    """The account is of this file: cells it hides, not columns that are not in it."""
    ends = [(OutcomeKind.NRM, 30), *[(OutcomeKind.ALIVE, 30)] * 7, *[(OutcomeKind.ALIVE, 400)] * 4]
    people = [judged_of(Person(n, kind, day)) for n, (kind, day) in enumerate(ends)]
    export_cohort(study_of(people), tmp_path / "a-summary.json", Release(KEY))
    found = json.loads((tmp_path / "a-summary.json").read_text())
    assert {12, None, 0} == {point["at_risk"] for point in found["curves"][0]["at"]}
    manifest = json.loads((tmp_path / "a-summary.json.manifest.json").read_text())
    assert (0, []) == (manifest["rows"], manifest["columns"])
    hidden = sum(point["at_risk"] is None for curve in found["curves"] for point in curve["at"])
    assert {"causes (small)": 1, "curves (small)": hidden, "groups (small)": 4} == (
        manifest["release"]["changed_or_removed"]
    )


def test_an_empty_study_has_a_summary() -> None:
    """Nobody in, zeros out."""
    found = summary_of(study_of([]), 5)
    assert (0, 0, []) == (found["n"], found["events"], found["curves"])


def test_groups_with_few_deaths_hide_their_numbers() -> None:
    """Two deaths among twelve must not be published by product."""
    people = [judged_of(Person(n, OutcomeKind.NRM if n < 2 else OutcomeKind.ALIVE, 30))
              for n in range(12)]  # fmt: skip
    found = summary_of(study_of(people), 5)
    assert [{"group": "axi-cel", "n": None, "events": None}] == found["groups"]["product"]
    assert {"infection": None} == found["causes"]


def test_no_patient_row_is_in_the_file(tmp_path: Path) -> None:
    """The aggregate names no patient, neither by id nor by pseudonym."""
    export_cohort(a_study(40), tmp_path / "a-summary.json", Release(KEY))
    text = (tmp_path / "a-summary.json").read_text()
    assert "synthetic-0" not in text
    assert "P-" not in text


def test_pool_reads_what_the_sites_wrote(tmp_path: Path) -> None:
    """Two sites' summaries pool to the sums of their patients and deaths."""
    sites: list[Any] = []
    for name, size in (("north", 200), ("south", 150)):
        path = tmp_path / f"{name}-summary.json"
        export_cohort(a_study(size, seed=size, name=name), path, Release(KEY))
        sites.append((path, json.loads(path.read_text())))
    pooled = pool_files([path for path, _ in sites], horizon=365)
    assert sum(s["n"] for _, s in sites) == pooled["n"]
    assert sum(s["events"] for _, s in sites) == pooled["events"]
    assert 2 == pooled["horizon"]["k"]
