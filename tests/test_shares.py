"""A share is remembered until something about its patient, the settings or the program changes."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from adapter.codes import Codes, load_codes
from adapter.config import Policy, Settings
from adapter.envelope import Envelope, open_envelope
from adapter.export import FORMATS, Release, export_cohort, rows_of
from adapter.load import load
from adapter.model import Decision
from adapter.patient import Classifier, Share
from adapter.pseudonyms import pseudonyms_beside
from adapter.report import write_report
from adapter.store import PatientRecord, Store
from adapter.study import Study, run_study
from examples.synthetic import StudyShape, generate
from examples.synthetic.writer import as_line


@pytest.fixture(scope="module")
def codes() -> Codes:
    """The shipped tables."""
    return load_codes()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Forty synthetic patients, thirty of them recipients."""
    with (tmp_path / "all.ndjson").open("wb") as out:
        for _, resource in generate(StudyShape(40, 30, 5)):
            out.write(as_line(resource))
    opened = Store(tmp_path / "cart.db")
    load(opened, [tmp_path / "all.ndjson"])
    return opened


def settings(store: Store, **changes: object) -> Settings:
    return Settings.model_validate({"store": store.path, "workers": 1, **changes})


class Counted(Classifier):
    """Counts the patients that were really judged."""

    judged = 0

    def __call__(self, record: PatientRecord) -> Share:
        Counted.judged += 1
        return super().__call__(record)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every study of this module counts."""
    monkeypatch.setattr("adapter.study.Classifier", Counted)


def again(store: Store, codes: Codes, **changes: object) -> tuple[int, Study]:
    """How many patients were judged, and the study."""
    Counted.judged = 0
    study = run_study(store, settings(store, **changes), codes)
    return Counted.judged, study


def test_nothing_new_judges_nobody(store: Store, codes: Codes) -> None:
    """The second study is the first one, and nobody was judged for it."""
    first, second = again(store, codes), again(store, codes)
    assert (40, 0) == (first[0], second[0])
    assert first[1] == second[1]


def change(store: Store, moved_to: str = "") -> None:
    """One Observation of one recipient arrives in a new version, perhaps of another patient."""
    _, _, patient, body = next(row for row in store.bodies() if row[0] == "Observation")
    plain = msgspec.json.decode(body) | {"note": [{"text": "amended"}]}
    changed = open_envelope(msgspec.json.encode(plain))
    assert isinstance(changed, Envelope)
    changed = msgspec.structs.replace(changed, patient=moved_to or patient)
    run = store.begin("load", "test")
    with store.transaction():
        store.add(run, [changed])
    store.end(run, "complete", {})


def test_a_changed_patient_is_judged_again(store: Store, codes: Codes) -> None:
    """One new version: one patient; the others are remembered."""
    again(store, codes)
    change(store)
    assert 1 == again(store, codes)[0]


def test_a_resource_that_moves_changes_both_patients(store: Store, codes: Codes) -> None:
    """It leaves one history and enters another: merged records do that."""
    patients = sorted(store.ids("Patient"))
    again(store, codes)
    change(store, moved_to=patients[-1])
    assert 2 == again(store, codes)[0]


def test_a_removed_resource_changes_its_patient(store: Store, codes: Codes) -> None:
    """A deletion at the source is news too."""
    again(store, codes)
    run = store.begin("sync", "test")
    with store.transaction():
        store.remove(run, "Observation", min(store.ids("Observation")), "deleted")
    assert 1 == again(store, codes)[0]


def test_other_settings_judge_everybody_again(store: Store, codes: Codes) -> None:
    """A policy, a code table and a time zone each change what the same resources mean."""
    again(store, codes)
    changed = Policy(later_hct="censor").model_dump()
    assert 40 == again(store, codes, policy=changed)[0]
    assert 40 == again(store, load_codes(include_unverified=True))[0]
    assert 40 == again(store, codes, timezone="Europe/Berlin")[0]


def test_a_decision_needs_no_new_judging(store: Store, codes: Codes) -> None:
    """What a reviewer decides is put beside what the rules said."""
    _, study = again(store, codes)
    one = next(judged for judged in study.judged if judged.verdict is not None)
    assert one.verdict is not None
    store.add_decisions([Decision(one.episode.name, "A", "2024-05-03", one.verdict.cause)])
    count, study = again(store, codes)
    assert 0 == count
    assert [one.episode.name] == [j.episode.name for j in study.judged if j.decision is not None]


def test_validation_serves_who_does_not_ask_for_it(store: Store, codes: Codes) -> None:
    """A night validates; a classification by hand uses its shares, without its complaints."""
    plain = run_study(store, settings(store), codes)
    run_study(store, settings(store), codes, validate=True)
    count, study = again(store, codes)
    assert 0 == count
    assert plain == study


def test_somebody_else_writing_means_that_nothing_is_remembered(
    store: Store, codes: Codes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was judged from older rows must not outlive the newer ones."""

    def meanwhile(self: Classifier, record: PatientRecord) -> Share:
        with sqlite3.connect(store.path) as other:
            other.execute("INSERT OR REPLACE INTO meta VALUES ('seen', 'elsewhere')")
        return Classifier.__call__(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(
            "adapter.study.Classifier", type("Slow", (Classifier,), {"__call__": meanwhile})
        )
        run_study(store, settings(store), codes)
    assert 40 == again(store, codes)[0]


def test_a_pool_says_the_same(store: Store, codes: Codes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes give the study that one gives."""
    monkeypatch.undo()
    monkeypatch.setattr("adapter.shares._WORTH_A_POOL", 1)
    two = run_study(store, settings(store, workers=2), codes)
    store.db.execute("DELETE FROM judged")
    assert run_study(store, settings(store), codes) == two


def test_what_is_left_out_of_a_share_is_on_no_page(
    store: Store, codes: Codes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and report are the same with every daily value kept."""
    slim = run_study(store, settings(store), codes)
    store.db.execute("DELETE FROM judged")

    class Whole(Classifier):
        def __init__(self, *args: object, **more: object) -> None:
            super().__init__(*args, **{**more, "whole": True})  # type: ignore[arg-type]

    monkeypatch.setattr("adapter.study.Classifier", Whole)
    whole = run_study(store, settings(store), codes)
    assert slim != whole
    assert rows_of(whole) == rows_of(slim)
    names = pseudonyms_beside(store.path)
    pages = [tmp_path / "slim.html", tmp_path / "whole.html"]
    for page, study in zip(pages, (slim, whole), strict=True):
        write_report(study, page, names)
    assert pages[1].read_text() == pages[0].read_text()


def test_rows_and_exports_need_no_facts(store: Store, codes: Codes, tmp_path: Path) -> None:
    """Ten thousand recipients fit into memory where nobody reads why; not a byte is lost."""
    names = pseudonyms_beside(store.path)
    said: list[list[bytes]] = []
    for facts in (True, False):
        study = run_study(store, settings(store), codes, facts=facts)
        folder = tmp_path / str(facts)
        folder.mkdir()
        for ending in FORMATS:
            export_cohort(study, folder / f"cohort.{ending.lstrip('.')}", Release(names))
        files = [file for file in sorted(folder.iterdir()) if ".xlsx" not in file.name]
        said.append([file.read_bytes() for file in files] + [repr(rows_of(study)).encode()])
    assert said[0] == said[1]
    assert not any(one.findings or one.episode.timeline.facts for one in study.judged)


def test_the_running_count_is_the_count(store: Store) -> None:
    """Types are counted as they come and go, never by reading the store."""
    change(store)
    run = store.begin("sync", "test")
    with store.transaction():
        for id_ in sorted(store.ids("Procedure")):
            store.remove(run, "Procedure", id_, "deleted")
    counted = store.db.execute("SELECT type, count(*) FROM newest WHERE gone = 0 GROUP BY type")
    assert dict(counted) == store.counts()


def test_what_a_later_cut_would_change_is_not_remembered(store: Store, codes: Codes) -> None:
    """A visit typed as 2042 is judged every night, until its day has come; nobody else is."""
    visit = next(body for kind, _, _, body in store.bodies() if kind == "Encounter")
    period = {"start": "2042-03-01", "end": "2042-03-01"}
    odd = open_envelope(msgspec.json.encode(msgspec.json.decode(visit) | {"period": period}))
    assert isinstance(odd, Envelope)
    again(store, codes)
    run = store.begin("load", "test")
    with store.transaction():
        store.add(run, [odd])
    store.end(run, "complete", {})
    first, second = again(store, codes), again(store, codes)
    assert (1, 1) == (first[0], second[0])
    assert first[1] == second[1]
    store.db.execute("UPDATE run SET started = ?, ended = ?", ("2042-03-02", "2042-03-02"))
    assert [1, 0] == [again(store, codes)[0], again(store, codes)[0]]
