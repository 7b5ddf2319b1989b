"""Classified on Spark or beside the store: the same rows. Needs pyspark, pyarrow and Java."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from adapter.codes import load_codes
from adapter.config import Settings
from adapter.export import rows_of
from adapter.load import LoadReport, load
from adapter.store import Store
from adapter.study import Study, run_study
from cli import main
from tests.spark.cluster import Cluster
from tests.spark.export import HUGE, write_export

_MISSING = [name for name in ("pyspark", "pyarrow") if find_spec(name) is None]
pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {_MISSING}; run `make spark`"),
    pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed"),
]
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"  # what this starts listens on loopback only


class Local(NamedTuple):
    """What one machine says."""

    report: LoadReport
    rejects: set[tuple[str, str]]
    study: Study


def locally(folder: Path, store: Path, **how: Any) -> Local:
    codes = load_codes()
    with Store(store) as opened:
        report = load(opened, [folder], **how)
        rejects = {(place, reason) for place, reason, _ in opened.rejects()}
        return Local(report, rejects, run_study(opened, Settings(store=store, workers=1), codes))


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export with a patient of 100,000 resources."""
    return write_export(tmp_path_factory.mktemp("huge") / "export", HUGE)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same export with a chart of ordinary size."""
    return write_export(tmp_path_factory.mktemp("small") / "export", 50)


def on_spark(source: Path, output: Path, *more: str, master: str = "local[2]") -> Result:
    arguments = ["classify", "--engine", "spark", "--input", f"{source}/*.ndjson*", "--output"]
    return CliRunner().invoke(main, [*arguments, str(output), "--master", master, *more])


def table(output: Path, name: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    if list((output / name).glob("*.json")):
        files = sorted((output / name).glob("*.json"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]
    rows: list[dict[str, Any]] = pq.read_table(output / name).to_pylist()
    return rows


def episodes(output: Path) -> list[dict[str, Any]]:
    return sorted(table(output, "episodes"), key=lambda row: str(row["episode"]))


def expected(local: Local) -> list[dict[str, Any]]:
    return sorted(rows_of(local.study), key=lambda row: str(row["episode"]))


def assert_same(local: Local, output: Path) -> None:
    """Row for row, count for count, reject for reject."""
    assert expected(local) == episodes(output)
    summary = json.loads((output / "summary.json").read_bytes())
    assert local.report.read == summary["read"]
    assert local.report.others == summary["others"]
    assert local.report.not_used == summary["not_used"]
    assert local.study.attrition.outcomes == summary["attrition"]["outcomes"]
    assert local.study.attrition.not_recipients == summary["attrition"]["not_recipients"]
    assert local.rejects == {(row["place"], row["reason"]) for row in table(output, "rejects")}


def test_rows_are_those_of_one_machine(export: Path, tmp_path: Path) -> None:
    """Bad lines, twins, gzip, somebody without a Patient, a chart of 100,000: the same rows."""
    result = on_spark(export, tmp_path / "out")
    assert 20 == result.exit_code, result.output  # there are rejects, and it says so
    assert_same(locally(export, tmp_path / "x.db", recipients=load_codes()), tmp_path / "out")
    whole = locally(export, tmp_path / "whole.db")
    assert expected(whole) == episodes(tmp_path / "out")


def test_two_machines_give_the_same_rows(export: Path, tmp_path: Path) -> None:
    """A standalone cluster of two workers, both of which had a share in it."""
    with Cluster(tmp_path / "cluster", workers=2) as cluster:
        result = on_spark(export, tmp_path / "out", master=cluster.master)
        assert 20 == result.exit_code, result.output
        assert 2 == cluster.workers_used()
    assert_same(locally(export, tmp_path / "x.db", recipients=load_codes()), tmp_path / "out")


def test_split_files_are_read_once(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut anywhere, each line is read once; places of rejects count from the cut."""
    monkeypatch.setitem(_options(), "spark.sql.files.maxPartitionBytes", "700000")
    result = on_spark(small, tmp_path / "out", "--format", "ndjson")
    local = locally(small, tmp_path / "x.db", recipients=load_codes())
    assert expected(local) == episodes(tmp_path / "out"), result.output
    rejects = table(tmp_path / "out", "rejects")
    assert sorted(r for _, r in local.rejects) == sorted(row["reason"] for row in rejects)


def _options() -> dict[str, str]:
    import adapter.spark

    return adapter.spark._OPTIONS


def test_every_death_has_its_findings(small: Path, tmp_path: Path) -> None:
    """The verdicts say which rule said what, on which resources."""
    on_spark(small, tmp_path / "out", "--format", "ndjson")
    died = {row["episode"]: row for row in episodes(tmp_path / "out") if row["cause"]}
    verdicts = {row["episode"]: row for row in table(tmp_path / "out", "verdicts")}
    assert died
    assert died.keys() == {name for name, row in verdicts.items() if not row["after_relapse"]}
    for name, row in died.items():
        assert row["cause"] == verdicts[name]["cause"]
        assert row["contributing"] == verdicts[name]["contributing"]
        named = {finding["rule"]: finding for finding in verdicts[name]["findings"]}
        assert not row["rule"] or named[row["rule"]]["facts"]


def test_nobody_else_may_read_the_tables(small: Path, tmp_path: Path) -> None:
    """Rows with logical ids are for their owner only."""
    on_spark(small, tmp_path / "out")
    assert {0} == {path.stat().st_mode & 0o077 for path in (tmp_path / "out").rglob("*")}


def test_a_second_run_replaces_the_first(small: Path, tmp_path: Path) -> None:
    """The folder holds the newer run only, and nothing is left beside it."""
    on_spark(small, tmp_path / "out")
    on_spark(small, tmp_path / "out", "--format", "ndjson")
    assert not list((tmp_path / "out").rglob("*.parquet"))
    assert [tmp_path / "out"] == list(tmp_path.iterdir())


def test_a_foreign_folder_is_left_alone(small: Path, tmp_path: Path) -> None:
    """What somebody else put there is not replaced."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("ten years of work")
    result = on_spark(small, tmp_path / "out")
    assert 2 == result.exit_code
    assert "holds something else" in result.output
    assert ["thesis.docx"] == [path.name for path in (tmp_path / "out").iterdir()]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    """A glob that names no file is a mistake of the caller."""
    result = on_spark(tmp_path / "nowhere", tmp_path / "out")
    assert 2 == result.exit_code
    assert "names no file" in result.output


def test_a_cut_off_file_stops_the_run(small: Path, tmp_path: Path) -> None:
    """Spark reads all of a gzip file or none: nothing is written, what was there stays."""
    shutil.copytree(small, tmp_path / "export")
    on_spark(tmp_path / "export", tmp_path / "out")
    before = (tmp_path / "out" / "summary.json").read_bytes()
    packed = tmp_path / "export" / "c.ndjson.gz"
    packed.write_bytes(packed.read_bytes()[:5_000])
    result = on_spark(tmp_path / "export", tmp_path / "out")
    assert 14 == result.exit_code
    assert "c.ndjson.gz" in result.output
    assert before == (tmp_path / "out" / "summary.json").read_bytes()
    assert {"export", "out"} == {path.name for path in tmp_path.iterdir()}


def test_options_of_one_engine_are_refused_by_the_other(tmp_path: Path) -> None:
    """Half a command is no command."""
    for words in (["--output", "x"], ["--engine", "spark"], ["--engine", "spark", "--input", "x"]):
        assert 2 == CliRunner().invoke(main, ["classify", *words]).exit_code


@pytest.fixture
def killed(small: Path, tmp_path: Path) -> Path:
    """The output of a run that was killed while it wrote, with a complete one before it."""
    on_spark(small, tmp_path / "out")
    words = ["classify", "--engine", "spark", "--input", f"{small}/*", "--master", "local[1]"]
    with ExitStack() as stack:
        run = subprocess.Popen(
            [sys.executable, "-m", "cli", *words, "--output", str(tmp_path / "out")],
            start_new_session=True,  # Spark's own processes end with it
        )
        stack.callback(os.killpg, run.pid, signal.SIGKILL)
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob(".out.*.new/episodes")) and time.monotonic() < deadline:
            time.sleep(0.01)
    run.wait()
    return tmp_path


def test_a_killed_run_leaves_what_was_there(killed: Path, small: Path) -> None:
    """Half an output never looks like a whole one, and the next run clears it away."""
    local = locally(small, killed / "x.db", recipients=load_codes())
    assert list(killed.glob(".out.*.new"))
    assert_same(local, killed / "out")
    on_spark(small, killed / "out")
    assert_same(local, killed / "out")
    assert not list(killed.glob(".out.*"))
