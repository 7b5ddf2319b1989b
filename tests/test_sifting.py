"""Sifting a whole hospital: recipients lose nothing, nobody else is stored, all is counted."""

import gzip
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.codes import Codes, load_codes
from adapter.config import Settings
from adapter.errors import StoreError
from adapter.export import rows_of
from adapter.files import portions
from adapter.load import LoadReport, load
from adapter.pool import Pool
from adapter.store import Store
from adapter.study import Study, run_study
from examples.synthetic import StudyShape, background, generate
from examples.synthetic.writer import as_line

TRACE = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z92.850"}
CODES = load_codes()


def procedure(patient: str) -> dict[str, Any]:
    """One with a trace of cell therapy."""
    return {
        "resourceType": "Procedure",
        "id": "1",
        "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [TRACE]},
    }


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole hospital: 12 recipients and look-alikes among 60 people, in several files."""
    folder = tmp_path_factory.mktemp("export")
    with (folder / "all.ndjson").open("wb") as plain:
        for _, resource in generate(StudyShape(30, 12, 3)):
            plain.write(as_line(resource))
    with gzip.open(folder / "more.ndjson.gz", "wb") as packed:
        for _, resource in background(30, 5):
            packed.write(as_line(resource))
    return folder


def studied(folder: Path, codes: Codes, store: Path, **how: Any) -> tuple[LoadReport, Study]:
    """What a load into a new store said, and the study of what it kept."""
    with Store(store) as opened:
        report = load(opened, [folder], **how)
        return report, run_study(opened, Settings(store=store, workers=1), codes)


def test_only_recipients_are_stored_and_the_study_is_the_same(
    hospital: Path, tmp_path: Path
) -> None:
    """Nobody is lost by looking first: same rows, same reasons; the others are only counted."""
    codes = load_codes()
    every, whole = studied(hospital, codes, tmp_path / "all.db")
    some, sifted = studied(hospital, codes, tmp_path / "some.db", recipients=codes)
    assert rows_of(whole) == rows_of(sifted)
    left_out = dict(whole.attrition.not_recipients)
    assert some.others == left_out.pop("no_evidence")
    assert left_out == sifted.attrition.not_recipients
    assert every.read == some.read == some.stored + sum(some.not_used.values())


def test_the_place_of_a_reject_is_its_line_in_the_file(tmp_path: Path, hospital: Path) -> None:
    """However the file was shared out among processes."""
    good = (hospital / "all.ndjson").read_bytes().splitlines()[:3000]
    good[2500:2500] = [b"{broken"]
    (tmp_path / "all.ndjson").write_bytes(b"\n".join(good))
    with (
        pytest.MonkeyPatch.context() as patch,
        Pool(2) as pool,
        Store(tmp_path / "cart.db") as store,
    ):
        patch.setattr("adapter.sifting.portions", lambda files: portions(files, 100_000))
        load(store, [tmp_path / "all.ndjson"], recipients=load_codes(), pool=pool)
        assert [("all.ndjson:2501", "not readable as JSON", 1)] == store.rejects()


def test_a_temporary_folder_that_is_full_is_told(
    tmp_path: Path, hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first look marks lies there until the second one is over."""
    monkeypatch.setattr("adapter.sifting.TemporaryFile", lambda: open("/dev/full", "wb"))  # noqa: SIM115
    with Store(tmp_path / "cart.db") as store, pytest.raises(StoreError, match="No space left"):
        load(store, [hospital], recipients=load_codes())


def test_news_of_a_known_recipient_need_no_trace_of_their_own(
    hospital: Path, tmp_path: Path
) -> None:
    """Next month's export holds only a laboratory value of somebody whom the store knows."""
    codes = load_codes()
    with Store(tmp_path / "cart.db") as store:
        load(store, [hospital], recipients=codes)
        patient = min(p for p in store.ids("Patient"))
        news: dict[str, Any] = {"resourceType": "Observation", "id": "news", "status": "final",
                "subject": {"reference": f"Patient/{patient}"}, "code": {"text": "x"}}  # fmt: skip
        (tmp_path / "news.ndjson").write_bytes(as_line(news))
        assert 1 == load(store, [tmp_path / "news.ndjson"], recipients=codes).stored


@pytest.mark.parametrize(
    "odd",
    [
        {"code": "odd"},
        {"code": {"coding": {"code": "odd"}}},
        {"subject": {"reference": 7}},
        {"subject": {"reference": "https://fhir.example.org/base/Patient/9/_history/2"}},
        {"component": [{"code": {"coding": [TRACE]}}], "code": {}},
        {"contained": [{"id": "m", "code": {"coding": [TRACE]}}], "code": {}},
        {"medicationCodeableConcept": {"coding": [TRACE]}, "code": {}},
    ],
)
def test_whoever_cannot_be_ruled_out_is_kept(odd: dict[str, Any], tmp_path: Path) -> None:
    """A row of odd shape is no reason to lose a recipient, wherever the code stands."""
    row = procedure("9")
    (tmp_path / "x.ndjson").write_bytes(as_line(row) + as_line(row | odd | {"id": "2"}))
    with Store(tmp_path / "cart.db") as store:
        report = load(store, [tmp_path / "x.ndjson"], recipients=load_codes())
        assert (2 if odd != {"subject": {"reference": 7}} else 1) == report.stored


def test_a_bundle_among_the_lines_is_sifted_too(tmp_path: Path) -> None:
    """Its patient is kept for a trace that stands inside."""
    person: dict[str, Any] = {"resourceType": "Patient", "id": "9"}
    done = procedure("9")
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "entry": [{"resource": person}, {"resource": done}],
    }
    other: dict[str, Any] = {"resourceType": "Patient", "id": "10"}
    (tmp_path / "x.ndjson").write_bytes(as_line(bundle) + as_line(other))
    with Store(tmp_path / "cart.db") as store:
        report = load(store, [tmp_path / "x.ndjson"], recipients=load_codes())
        assert (2, 1) == (report.stored, report.others)
        assert {"9"} == store.ids("Patient")


# -- in whatever order, cut however ----------------------------------------------------------


class Line(NamedTuple):
    """A line of an export; `value` tells two versions of one resource apart."""

    kind: str  # a resource type; "Bundle" of one Procedure; "nameless" Observation; "broken"; ...
    patient: str
    number: int
    trace: bool
    value: int

    def written(self) -> bytes:
        """As it stands in a file."""
        if self.kind in ("broken", "blank"):
            return b"{broken\n" if self.kind == "broken" else b" \n"
        kind = {"Bundle": "Procedure", "nameless": "Observation"}.get(self.kind, self.kind)
        row: dict[str, Any] = {"resourceType": kind, "note": [{"text": str(self.value)}]}
        if kind == "Patient":
            row["id"] = self.patient
        else:
            row |= {"id": f"{self.patient}-{self.number}",
                    "subject": {"reference": f"Patient/{self.patient}"},
                    "code": {"coding": [TRACE] if self.trace else []}}  # fmt: skip
        if self.kind == "nameless":
            del row["id"]
        bundle: dict[str, Any] = {"resourceType": "Bundle", "entry": [{"resource": row}]}
        return as_line(bundle if self.kind == "Bundle" else row)

    @property
    def is_trace(self) -> bool:
        return self.trace and self.kind in ("Observation", "Procedure", "Bundle", "nameless")


lines = st.builds(
    Line,
    st.sampled_from([*["Observation"] * 4, "Patient", "Procedure", "Bundle", "nameless", "broken",
                     "blank"]),
    st.sampled_from(["p1", "p2", "p3", "p4"]),
    st.integers(1, 3), st.integers(0, 9).map(lambda n: n == 0), st.integers(1, 3),
)  # fmt: skip


@given(st.lists(st.tuples(st.lists(lines, max_size=12), st.booleans()), min_size=1, max_size=4),
       st.integers(60, 900))  # fmt: skip
def test_sifted_is_loaded_without_the_others(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[list[Line], bool]], size: int
) -> None:
    """In whatever order files and versions come, and wherever a trace stands: the same of them."""
    folder = tmp_path_factory.mktemp("export")
    for number, (file, packed) in enumerate(files):
        raw = b"".join(line.written() for line in file)
        (folder / f"{number}.ndjson").write_bytes(gzip.compress(raw) if packed else raw)
    every = [
        (f"{number}.ndjson:{place}", line)
        for number, (file, _) in enumerate(files)
        for place, line in enumerate(file, 1)
    ]
    traced = {line.patient for _, line in every if line.is_trace}
    met = {line.patient for _, line in every if line.kind not in ("broken", "blank")}
    told = sorted(
        place
        for place, line in every
        if line.kind == "broken" or (line.kind == "nameless" and line.patient in traced)
    )
    with (
        pytest.MonkeyPatch.context() as patch,
        Store(folder / "all.db") as whole,
        Store(folder / "some.db") as some,
    ):
        patch.setattr("adapter.sifting.portions", lambda files: portions(files, size))
        everything = load(whole, [folder])
        report = load(some, [folder], recipients=CODES)
        assert list(some.records()) == [one for one in whole.records() if one.patient in traced]
        assert told == sorted(place for place, _, _ in some.rejects())
    assert (len(told), len(met - traced)) == (report.rejected, report.others)
    assert everything.read == report.read
    known = report.stored + report.unchanged + report.rejected
    assert report.read == known + sum(report.not_used.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_trace_among_observations_is_found_in_time(tmp_path: Path, workers: int) -> None:
    """Nothing but one result says that patient 9 is a recipient: all of 9 is fetched."""
    about: dict[str, Any] = {"resourceType": "Observation", "subject": {"reference": "Patient/9"}}
    first = {**about, "id": "1", "code": {"text": "before it was known"}}
    telling = {**about, "id": "2", "component": [{"code": {"coding": [TRACE]}}]}
    other = {**about, "id": "3", "subject": {"reference": "Patient/10"}}
    (tmp_path / "Observation.ndjson").write_bytes(b"".join(map(as_line, (first, other, telling))))
    person: dict[str, Any] = {"resourceType": "Patient", "id": "9"}
    (tmp_path / "Patient.ndjson").write_bytes(as_line(person))
    # patient 8 is known at once, and not fetched again for being found again
    (tmp_path / "Procedure.ndjson").write_bytes(as_line(procedure("8")))
    again = telling | {"id": "4", "subject": {"reference": "Patient/8"}}
    (tmp_path / "Observation.2.ndjson").write_bytes(as_line(again))
    with Store(tmp_path / "cart.db") as store, Pool(workers) as pool:
        report = load(store, [tmp_path], recipients=CODES, pool=pool)
        assert {"Observation": 3, "Patient": 1, "Procedure": 1} == store.counts()
    assert (6, 5, 0, 1) == (report.read, report.stored, report.unchanged, report.others)
    assert {"of patients without a trace of cell therapy": 1} == report.not_used


def test_a_file_that_grows_meanwhile_keeps_the_account(tmp_path: Path) -> None:
    """A line that is written after the look, with news of a late recipient, waits for the next."""
    telling: dict[str, Any] = {
        "resourceType": "Observation", "id": "1", "subject": {"reference": "Patient/9"},
        "code": {"coding": [TRACE]},
    }  # fmt: skip
    file, news = tmp_path / "Observation.ndjson", as_line(telling | {"id": "2"})
    file.write_bytes(as_line(telling))

    def grow(what: str, count: int) -> None:
        if what == file.name and file.stat().st_size < 2 * len(news):
            file.write_bytes(as_line(telling) + news)

    with Store(tmp_path / "cart.db") as store:
        report = load(store, [file], grow, recipients=CODES)
        assert (1, 1, {}) == (report.read, report.stored, report.not_used)
        assert 1 == load(store, [file], recipients=CODES).stored


def test_packed_files_and_processes_change_nothing(tmp_path: Path, hospital: Path) -> None:
    """Named twice, packed, empty or cut off, by two processes: as by one, and nobody waits."""
    export = tmp_path / "export"
    export.mkdir()
    rows = (hospital / "all.ndjson").read_bytes().splitlines(keepends=True)
    for number in range(4):
        some = gzip.compress(b"".join(rows[number::4]))
        (export / f"{number}.ndjson.gz").write_bytes(some)
    (export / "cut.ndjson.gz").write_bytes(some[:-2000])
    (export / "empty.ndjson.gz").write_bytes(gzip.compress(b""))
    found = []
    for workers in (1, 2):
        path = tmp_path / f"{workers}.db"
        with Pool(workers, copied=workers > 1) as pool, Store(path) as store:
            report = load(store, [export, export / "0.ndjson.gz"], recipients=CODES, pool=pool)
            found.append((report, list(store.records()), store.rejects()))
        assert not path.with_name(f"{path.name}-wal").exists()  # nobody else holds it open
    assert found[0] == found[1]
    assert ["cut.ndjson.gz"] == [place for place, _, _ in found[0][2]]
    assert len(rows) // 4 <= found[0][0].unchanged
