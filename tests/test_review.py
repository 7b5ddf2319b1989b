"""Two blinded copies out, edited, back in: nothing lost, nothing foreign taken in."""

import csv
import re
import stat
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from openpyxl import load_workbook
from statsmodels.stats.inter_rater import cohens_kappa

from adapter.causes import Plan, fingerprint
from adapter.errors import ReviewError, StoreError, UsageError
from adapter.model import Cause, Decision, Judged
from adapter.patient import judge
from adapter.pseudonyms import Pseudonyms
from adapter.review import (
    agreement_of,
    case_of,
    dossier,
    export_review,
    import_review,
    review_counts,
)
from adapter.store import Store
from adapter.study import decided, in_force
from adapter.worklist import COLUMNS, FILLED, day_of, guarded, read_worklist
from tests.causes.tables import judged

PLAN = Plan()
NAMES: Callable[[str], str] = Pseudonyms(bytes(range(32))).of
OTHER_SITE: Callable[[str], str] = Pseudonyms(bytes(range(1, 33))).of
TODAY = date(2024, 6, 1)
TABLES = {
    "MRN-1": "0 | infusion: axi-cel\n9 | toxicity: CRS grade 4\n12 | infection: sepsis\n14 | death",
    "MRN-2": "0 | infusion: axi-cel\n90 | infection: pneumonia\n97 | death",
    "MRN-3": "0 | infusion: axi-cel\n90 | visit\n400 | death",
    "MRN-4": "0 | infusion: axi-cel\n420 | second malignancy: AML\n600 | visit\n640 | death",
    "MRN-5": "0 | infusion: axi-cel\n90 | relapse\n140 | death",
    "MRN-6": "0 | infusion: axi-cel\n200 | visit",
}
Edit = Callable[[dict[str, str]], None]


def named(patient: str, table: str) -> Judged:
    """A judged table under a patient id that must never leave."""
    one = judged(table)
    return msgspec.structs.replace(
        one, episode=msgspec.structs.replace(one.episode, patient=patient)
    )


COHORT = [named(patient, table) for patient, table in TABLES.items()]
DEATHS = [one for one in COHORT if one.verdict is not None]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store(tmp_path / "cart.db") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All deaths exported for two readers."""
    export_review(COHORT, PLAN, tmp_path / "review", NAMES, which="all")
    return tmp_path / "review"


def edit(path: Path, change: Edit, delimiter: str = ",", encoding: str = "utf-8-sig") -> Path:
    """What a spreadsheet does: read, let somebody fill in, save in its own manner."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def says(reviewer: str, cause: str = "infection", **more: str) -> Edit:
    """A reviewer who gives every death the same cause."""

    def change(row: dict[str, str]) -> None:
        row |= {"reviewer": reviewer, "decided": "2024-05-03", "cause": cause,
                "certainty": "probable", "reason": "read the chart", **more}  # fmt: skip

    return change


def take(paths: list[Path], store: Store) -> tuple[int, int, int]:
    """Import into the store: added, known, open."""
    done = import_review(paths, COHORT, NAMES, store, TODAY)
    return done.added, done.known, done.open


# -- out -------------------------------------------------------------------------------------


def test_two_blinded_copies_and_a_dossier_a_death(folder: Path) -> None:
    """CSV and XLSX for each reader; one page for each non-relapse death."""
    names = sorted(path.name for path in folder.glob("worklist-*"))
    assert [f"worklist-reader-{n}.{kind}" for n in "12" for kind in ("csv", "xlsx")] == names
    assert len(DEATHS) == len(list((folder / "dossiers").iterdir())) == 4


def test_nothing_that_names_a_patient_or_a_day_leaves(folder: Path) -> None:
    """Neither ids of the server nor calendar dates nor references stand in any file."""
    for path in folder.rglob("*.*"):
        if path.suffix == ".xlsx":
            cells = [str(c.value) for row in load_workbook(path).worksheets[0] for c in row]
            text = "\n".join(cells)
        else:
            text = path.read_text(encoding="utf-8-sig")
        assert "MRN-" not in text
        assert not re.search(r"\b(Condition|Patient|Observation)/", text)
        assert not re.search(r"\b(19|20)\d\d-\d\d", text)


def test_files_are_for_their_owner_only(folder: Path) -> None:
    """Evidence of deaths is readable by nobody else."""
    for path in folder.rglob("*.*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_blinded_dossier_does_not_say_what_the_rules_say() -> None:
    """A reader who has seen the answer is no second opinion."""
    blind, open_ = (dossier(COHORT[0], PLAN, "P-1", shown) for shown in (False, True))
    assert "sepsis" in blind
    assert "What the rules say" not in blind
    assert "SevereCrs" not in blind
    assert "SevereCrs" in open_


def test_markup_in_the_record_is_only_text() -> None:
    """A site's own label cannot put a script into a dossier."""
    one = COHORT[1]
    facts = tuple(
        msgspec.structs.replace(fact, label="<script>x</script>")
        for fact in one.episode.timeline.facts
    )
    moved = msgspec.structs.replace(one.episode.timeline, facts=facts)
    episode = msgspec.structs.replace(one.episode, timeline=moved)
    assert "<script>" not in dossier(msgspec.structs.replace(one, episode=episode), PLAN, "P-1")


def test_only_what_needs_a_person_is_due(tmp_path: Path) -> None:
    """A definite or probable cause without doubts stays with the rules."""
    done = export_review(COHORT, PLAN, tmp_path / "due", NAMES)
    assert sum(one.needs_review for one in DEATHS) == done.cases == 2


def test_filled_worklists_are_never_overwritten(folder: Path) -> None:
    """A second export into the same folder is refused."""
    with pytest.raises(UsageError, match="already holds worklists"):
        export_review(COHORT, PLAN, folder, NAMES)


def test_an_empty_study_exports_an_empty_worklist(tmp_path: Path) -> None:
    """Nothing due is no error."""
    done = export_review([], PLAN, tmp_path / "none", NAMES)
    assert done.cases == 0
    assert read_worklist(tmp_path / "none" / "worklist-reader-1.csv") == []


# -- in --------------------------------------------------------------------------------------


def test_the_round_trip_of_two_readers(folder: Path, store: Store) -> None:
    """Export, two edited copies, import: every decision is in the store, with who, when and why."""
    one = edit(folder / "worklist-reader-1.csv", says("A"))
    two = edit(folder / "worklist-reader-2.csv", says("B", "crs"))
    assert take([one, two], store) == (8, 0, 0)
    first = store.decisions()[0]
    assert (first.reviewer, first.decided, first.reason) == ("A", "2024-05-03", "read the chart")
    assert {made.episode for made in store.decisions()} == {one.episode.name for one in DEATHS}
    assert first.evidence == fingerprint(DEATHS[0].findings)


def test_xlsx_comes_back_as_csv_does(folder: Path, store: Store) -> None:
    """Date cells and chosen causes are read."""
    path = folder / "worklist-reader-1.xlsx"
    book = load_workbook(path)
    sheet = book.worksheets[0]
    filled: dict[str, str | date] = {
        "reviewer": "A",
        "decided": date(2024, 5, 3),
        "cause": "infection",
        "subcause": "bacterial",
        "certainty": "definite",
        "reason": "culture",
    }
    for name, value in filled.items():
        sheet.cell(row=2, column=COLUMNS.index(name) + 1, value=value)
    book.save(path)
    assert take([path], store) == (1, 0, 3)
    (made,) = store.decisions()
    assert (made.decided, made.subcause) == ("2024-05-03", "bacterial")


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "cp1252"), ("\t", "utf-8")])
def test_what_spreadsheets_make_of_csv_is_read(
    folder: Path, store: Store, delimiter: str, encoding: str
) -> None:
    """German Excel saves semicolons, old Excel saves Windows-1252."""
    edit(
        folder / "worklist-reader-1.csv",
        says("A", reason="Pseudomonas für möglich gehalten", decided="03.05.2024"),
        delimiter,
        encoding,
    )
    assert take([folder / "worklist-reader-1.csv"], store) == (4, 0, 0)
    assert store.decisions()[0].reason == "Pseudomonas für möglich gehalten"


def test_rows_left_blank_stay_open(folder: Path, store: Store) -> None:
    """A reviewer may hand in half the work."""

    def only_first(row: dict[str, str]) -> None:
        if row["case"] == case_of(DEATHS[0], NAMES):
            says("A")(row)

    assert take([edit(folder / "worklist-reader-1.csv", only_first)], store) == (1, 0, 3)


def test_importing_twice_says_nothing_twice(folder: Path, store: Store) -> None:
    """The same file again adds no decision; a changed mind is added, nothing is replaced."""
    path = edit(folder / "worklist-reader-1.csv", says("A"))
    assert take([path], store) == (4, 0, 0)
    assert take([path], store) == (0, 4, 0)
    assert take([edit(path, says("A", "crs"))], store) == (4, 0, 0)
    assert len(store.decisions()) == 8


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cause": "heart attack"}, "cause is none of"),
        ({"cause": "crs", "subcause": "bacterial"}, "does not belong to crs"),
        ({"certainty": "sure"}, "certainty is none of"),
        ({"decided": "5/3/2024"}, "decided is no day"),
        ({"decided": "2031-01-01"}, "lies in the future"),
        ({"reason": ""}, "reason is empty"),
        ({"reviewer": ""}, "reviewer is empty"),
        ({"evidence": "f00"}, "changed or cut off"),
        ({"case": "P-0000000000000000-1"}, "changed or cut off"),
        ({"role": "consensus"}, "changed or cut off"),
        ({"check": ""}, "changed or cut off"),
    ],
)
def test_a_wrong_row_is_refused_with_its_number(
    folder: Path, store: Store, change: dict[str, str], reason: str
) -> None:
    """File, row and reason are named, and no other row of any file is kept."""
    good = edit(folder / "worklist-reader-2.csv", says("B"))

    def third(row: dict[str, str]) -> None:
        says("A")(row)
        if row["case"] == case_of(DEATHS[2], NAMES):
            row.update(change)

    bad = edit(folder / "worklist-reader-1.csv", third)
    with pytest.raises(ReviewError) as caught:
        take([good, bad], store)
    assert "worklist-reader-1.csv row 4" in str(caught.value)
    assert reason in str(caught.value)
    assert store.decisions() == []


def test_a_foreign_worklist_is_refused(tmp_path: Path, store: Store) -> None:
    """Another centre's worklist, or one of another key, is known by its seal."""
    export_review(COHORT, PLAN, tmp_path / "theirs", OTHER_SITE, which="all")
    path = edit(tmp_path / "theirs" / "worklist-reader-1.csv", says("A"))
    with pytest.raises(ReviewError, match="was not made from this store"):
        take([path], store)


def test_one_reviewer_cannot_be_both_readers(folder: Path, store: Store) -> None:
    """Two copies filled in by the same person are one opinion."""
    paths = [edit(folder / f"worklist-reader-{n}.csv", says("A")) for n in "12"]
    with pytest.raises(ReviewError, match="already decided this case in worklist"):
        take(paths, store)


def test_a_death_that_left_the_study_is_said(folder: Path, store: Store) -> None:
    """A merged or deleted patient's decision is not dropped in silence."""
    path = edit(folder / "worklist-reader-1.csv", says("A"))
    with pytest.raises(ReviewError, match="no longer in the study"):
        import_review([path], COHORT[1:], NAMES, store, TODAY)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", b""),
        ("x.csv", b"a,b\n1,2\n"),
        ("x.csv", b"\xff\xfe\x00\x81\x8d"),
        ("x.xlsx", b"PK\x03\x04 broken"),
        ("x.xlsx", b"not a spreadsheet"),
    ],
)
def test_what_is_no_worklist_is_refused(
    tmp_path: Path, store: Store, name: str, content: bytes
) -> None:
    """Empty, cut-off and other files are named, without a traceback."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ReviewError, match=name):
        take([path], store)


def test_a_missing_file_is_named(tmp_path: Path, store: Store) -> None:
    """The message says which file."""
    with pytest.raises(ReviewError, match=r"gone\.csv"):
        take([tmp_path / "gone.csv"], store)


# -- afterwards ------------------------------------------------------------------------------


def test_a_decision_stands_while_its_evidence_does(folder: Path, store: Store) -> None:
    """After a sync that changes nothing it is in force; after new evidence it is flagged."""
    take([edit(folder / "worklist-reader-1.csv", says("A"))], store)
    decisions = in_force(store.decisions())
    one = DEATHS[1]
    again = decided(judge(one.episode, PLAN), decisions)
    assert (again.decision is not None, again.evidence_changed) == (True, False)
    more = named("MRN-2", TABLES["MRN-2"] + "\n95 | blood culture: Escherichia coli")
    later = decided(judge(more.episode, PLAN), decisions)
    assert (later.decision is not None, later.evidence_changed) == (True, True)


def test_consensus_of_disputed_deaths(folder: Path, store: Store, tmp_path: Path) -> None:
    """Where readers differ a consensus worklist shows both, and its answer counts."""
    one = edit(folder / "worklist-reader-1.csv", says("A", reason="culture on day 9"))
    two = edit(folder / "worklist-reader-2.csv", says("B", "crs"))
    take([one, two], store)
    assert in_force(store.decisions()) == {}
    panel = tmp_path / "panel"
    done = export_review(COHORT, PLAN, panel, NAMES, which="disputed", role="consensus",
                         decisions=store.decisions())  # fmt: skip
    assert done.cases == 4
    sheet = panel / "worklist-consensus-1.csv"
    assert "infection: culture on day 9; crs: read the chart" == read_worklist(sheet)[0]["said"]
    assert take([edit(sheet, says("panel"))], store) == (4, 0, 0)
    settled = in_force(store.decisions())
    assert {made.cause for made in settled.values()} == {Cause.INFECTION}


def test_agreement_equals_statsmodels(store: Store) -> None:
    """Cohen's kappa and its standard error are those of another library."""
    table = {("infection", "infection"): 20, ("infection", "crs"): 4, ("crs", "infection"): 3,
             ("crs", "crs"): 9, ("unknown", "unknown"): 6, ("unknown", "infection"): 2}  # fmt: skip
    pairs = [pair for pair, count in table.items() for _ in range(count)]
    decisions = [
        Decision(f"p{n}#1", reviewer, "2024-05-03", Cause(cause))
        for n, pair in enumerate(pairs)
        for reviewer, cause in zip("AB", pair, strict=True)
    ]
    names = ["infection", "crs", "unknown"]
    counts = [[table.get((a, b), 0) for b in names] for a in names]
    theirs = cohens_kappa(counts)
    ours = agreement_of([], decisions)["readers"]["kappa"]
    assert ours["estimate"] == pytest.approx(theirs.kappa, rel=1e-9)
    assert ours["lower"] == pytest.approx(theirs.kappa_low, rel=1e-6)
    assert ours["upper"] == pytest.approx(theirs.kappa_upp, rel=1e-6)


def test_the_tool_is_measured_against_settled_deaths_only(folder: Path, store: Store) -> None:
    """One reader alone is no consensus; two who agree are."""
    one = edit(folder / "worklist-reader-1.csv", says("A"))
    take([one], store)
    assert agreement_of(COHORT, store.decisions())["tool"]["n"] == 0
    take([edit(folder / "worklist-reader-2.csv", says("B"))], store)
    measured = agreement_of(COHORT, store.decisions())
    assert (measured["tool"]["n"], measured["disputed"]) == (4, 0)
    infection = next(r for r in measured["tool"]["by_cause"] if r["cause"] == "infection")
    assert (infection["truth"], infection["both"]) == (4, 1)


def test_the_report_can_say_how_many_are_reviewed_and_overruled() -> None:
    """Rule-made, reviewed and overruled verdicts are counted apart."""
    overruled = Decision("MRN-2#1", "A", "2024-05-03", Cause.CRS)
    cohort = [decided(judge(one.episode, PLAN), {"MRN-2#1": overruled}) for one in COHORT]
    counts = review_counts(cohort)
    assert (counts["verdicts"], counts["by_rule"]) == (4, 3)
    assert (counts["reviewed"], counts["overruled"], counts["evidence_changed"]) == (1, 1, 0)


def test_no_cell_is_a_formula() -> None:
    """A reason that begins with = is text to the next spreadsheet."""
    assert guarded("=cmd()") == "'=cmd()"
    assert guarded("-5") == "'-5"
    assert guarded("sepsis") == "sepsis"


def test_only_unambiguous_dates_are_read() -> None:
    """5/3/2024 is May or March."""
    assert day_of("2024-05-03") == day_of("03.05.2024") == date(2024, 5, 3)
    assert day_of("5/3/2024") is None
    assert set(FILLED) <= set(COLUMNS)


def test_a_decision_whose_bytes_have_turned_is_damage(store: Store) -> None:
    """A disk that turns bits must end with the code of a damaged store, not as our fault."""
    store.db.execute("INSERT INTO decision (imported, body) VALUES ('2024-05-03', '{\"episode')")
    with pytest.raises(StoreError, match="damaged"):
        store.decisions()
