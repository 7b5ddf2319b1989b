"""The examples of examples/nightly/ are what their readers take them for."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter.config import read_settings
from adapter.export import FORMATS
from cli import main

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "examples" / "nightly"
CONFIG = "/etc/cart-nrm/study.toml"

#: Field -> its own fields; `...` is anything, [x] a list of x. As of Kubernetes 1.33.
SECURITY = {"allowPrivilegeEscalation": ..., "readOnlyRootFilesystem": ..., "runAsNonRoot": ...,
            "runAsUser": ..., "runAsGroup": ..., "fsGroup": ...,
            "fsGroupChangePolicy": ...,
            "capabilities": {"drop": ...}, "seccompProfile": {"type": ...}}  # fmt: skip
SOURCE = {"name": ..., "items": [{"key": ..., "path": ...}]}
POD = {
    "restartPolicy": ..., "automountServiceAccountToken": ..., "securityContext": SECURITY,
    "containers": [{"name": ..., "image": ..., "args": ..., "securityContext": SECURITY,
                    "resources": {"requests": ..., "limits": ...},
                    "volumeMounts": [{"name": ..., "mountPath": ..., "readOnly": ...}]}],
    "volumes": [{"name": ..., "persistentVolumeClaim": {"claimName": ...},
                 "projected": {"defaultMode": ...,
                               "sources": [{"configMap": SOURCE, "secret": SOURCE}]},
                 "emptyDir": {"medium": ..., "sizeLimit": ...}}],
}  # fmt: skip
KNOWN: dict[str, Any] = {
    "CronJob": {"schedule": ..., "timeZone": ..., "concurrencyPolicy": ...,
                "startingDeadlineSeconds": ..., "successfulJobsHistoryLimit": ...,
                "failedJobsHistoryLimit": ..., "jobTemplate": {"spec": {
                    "backoffLimit": ..., "activeDeadlineSeconds": ...,
                    "template": {"spec": POD}}}},
    "PersistentVolumeClaim": {"accessModes": ..., "resources": {"requests": {"storage": ...}}},
}  # fmt: skip


def test_one_study_for_all() -> None:
    """read_settings takes the file; every example names it, and every cohort format exists."""
    settings = read_settings(HERE / "study.toml")
    assert Path("/var/lib/cart-nrm/nights") == settings.nightly.folder
    assert all(f"cohort.{ending}".endswith(tuple(FORMATS)) for ending in settings.nightly.formats)
    for name in ("cart-nrm.service", "crontab", "cronjob.yaml", "Containerfile", "airflow_dag.py"):
        assert CONFIG in (HERE / name).read_text(), name


def test_every_example_calls_a_command_that_exists() -> None:
    """`nightly --config` is what they call."""
    assert "nightly" in main.commands
    for name in ("cart-nrm.service", "crontab", "airflow_dag.py"):
        assert f"cart-nrm nightly --config {CONFIG}" in (HERE / name).read_text()


def test_node_exporter_reaches_the_metrics() -> None:
    """Another account enters their folder, which outlives the night, and not that of the store."""
    settings = read_settings(HERE / "study.toml")
    assert settings.nightly.metrics is not None
    folder = settings.nightly.metrics.parent
    assert not folder.is_relative_to(settings.store.parent)
    service = (HERE / "cart-nrm.service").read_text()
    for line in (f"Directory={folder.name}", "DirectoryMode=0755", "DirectoryPreserve=yes"):
        assert f"\nRuntime{line}\n" in service
    assert f"install -d -m 0755 -o 10001 -g 10001 {folder}" in (HERE / "Containerfile").read_text()
    assert f"d {folder} 0755 cart-nrm cart-nrm" in (HERE / "crontab").read_text()


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units with a program that exists on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    for name in ("cart-nrm.service", "cart-nrm.timer"):
        text = (HERE / name).read_text()
        text = re.sub(r"ExecStart=\S+", f"ExecStart={shutil.which('true')}", text)
        (tmp_path / name).write_text(text)
    return [str(tmp_path / "cart-nrm.service"), str(tmp_path / "cart-nrm.timer")]


def test_systemd_takes_the_units(units: list[str]) -> None:
    """`systemd-analyze verify` has nothing to say."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)


def test_systemd_finds_the_service_well_closed(units: list[str]) -> None:
    """`systemd-analyze security` gives an exposure below 2 of 10."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", units[0]],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if "nrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot look offline")
    assert 0 == done.returncode, done.stdout[-300:] + done.stderr


def test_the_timer_fires_once_a_day(units: list[str]) -> None:
    """`systemd-analyze calendar`: as many nights as days, also where the clock changes."""
    (when,) = re.findall(r"(?m)^OnCalendar=(.+)$", Path(units[1]).read_text())
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--base-time=2026-03-27 12:00 UTC", "--iterations=5", when],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "TZ": "Europe/Berlin"},
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    days = [f"2026-03-{day} 0{2 + (day > 28)}:30:00" for day in range(28, 33)]
    days = [day.replace("03-32", "04-01") for day in days]
    assert days == re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= CES?T)", done.stdout)


def cron_job() -> str:
    """The only line of the crontab that is a job."""
    lines = (HERE / "crontab").read_text().splitlines()
    (job,) = [line for line in lines if line and not line.startswith(("#", "SHELL="))]
    return job


def test_cron_has_five_times_and_a_command() -> None:
    """03:30, outside the hour that summer time skips."""
    assert ["30", "3", "*", "*", "*"] == cron_job().split()[:5]
    assert "%" not in cron_job()  # cron takes a percent sign for a new line
    done = subprocess.run(["sh", "-n", "-c", cron_job().split(maxsplit=5)[5]], check=False)
    assert 0 == done.returncode


def test_the_log_of_cron_is_rotated(tmp_path: Path) -> None:
    """The file that the crontab writes, for its owner; and logrotate takes the file."""
    (log,) = re.findall(r">>(\S+)", cron_job())
    text = (HERE / "logrotate").read_text()
    assert f"\n{log} {{\n    su cart-nrm cart-nrm\n" in text
    program = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("logrotate is not here")
    here = text.replace("    su cart-nrm cart-nrm\n", "").replace(log, str(tmp_path / "night.log"))
    (tmp_path / "night.log").write_text("{}\n")
    (tmp_path / "conf").write_text(here)
    (tmp_path / "conf").chmod(0o600)
    command = [program, "--force", "--state", str(tmp_path / "state"), str(tmp_path / "conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (0, "") == (done.returncode, done.stderr)
    assert {"night.log.1.gz"} == {path.name for path in tmp_path.glob("night.log*")}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_cron_and_kubernetes_give_one_night_a_day(zone: str) -> None:
    """Two years with their changes of the clock, read by a cron parser; Kubernetes in UTC."""
    cronsim = pytest.importorskip("cronsim", reason="requirements/nightly.txt is not installed")
    yaml = pytest.importorskip("yaml")
    job = list(yaml.safe_load_all((HERE / "cronjob.yaml").read_text()))[1]["spec"]
    for line, where in ((" ".join(cron_job().split()[:5]), zone), (job["schedule"], "UTC")):
        first = datetime(2025, 1, 1, tzinfo=ZoneInfo(where))
        nights = list(islice(cronsim.CronSim(line, first), 730))
        assert [first.date() + timedelta(n) for n in range(730)] == [one.date() for one in nights]


def unknown(value: Any, known: Any, place: str) -> list[str]:
    """Fields that Kubernetes would not know."""
    if known is ...:
        return []
    if isinstance(known, list):
        return [x for n, one in enumerate(value) for x in unknown(one, known[0], f"{place}[{n}]")]
    return [
        found
        for key, inner in value.items()
        for found in (unknown(inner, known[key], f"{place}.{key}") if key in known
                      else [f"{place}.{key}"])
    ]  # fmt: skip


def test_kubernetes_would_know_every_field() -> None:
    """No misspelt field: Kubernetes drops those without a word, and with them the protection."""
    yaml = pytest.importorskip("yaml")
    documents = list(yaml.safe_load_all((HERE / "cronjob.yaml").read_text()))
    assert ["PersistentVolumeClaim", "CronJob"] == [one["kind"] for one in documents]
    for one in documents:
        assert [] == unknown(one["spec"], KNOWN[one["kind"]], one["kind"])
    job = documents[1]["spec"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    assert "Forbid" == job["concurrencyPolicy"]
    assert "OnRootMismatch" == pod["securityContext"]["fsGroupChangePolicy"]  # the key stays 0600
    assert {v["name"] for v in pod["volumes"]} == {
        mount["name"] for mount in pod["containers"][0]["volumeMounts"]
    }
    paths = {i["path"] for i in pod["volumes"][1]["projected"]["sources"][1]["secret"]["items"]}
    named = set(re.findall(r"/etc/cart-nrm/(secrets/[\w.-]+)", (HERE / "study.toml").read_text()))
    assert named == paths


def test_kubernetes_takes_the_cronjob() -> None:
    """The schemas of Kubernetes itself, an older and the newest; unknown fields are refused."""
    kubernetes = pytest.importorskip(
        "kubernetes_validate", reason="requirements/nightly.txt is not installed"
    )
    yaml = pytest.importorskip("yaml")
    for one in yaml.safe_load_all((HERE / "cronjob.yaml").read_text()):
        for version in ("1.29", kubernetes.latest_version()):
            assert kubernetes.validate(one, version, strict=True)  # the version it took


#: Prints how Airflow reads the folder of DAGs that is its argument.
DAG_BAG = """
import json, sys, warnings
warnings.simplefilter("error", DeprecationWarning)
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
(dag,) = bag.dags.values()
(task,) = dag.tasks
print(json.dumps([dag.dag_id, dag.catchup, dag.max_active_runs, list(task.skip_on_exit_code),
                  task.retries, task.bash_command]))
"""


def test_airflow_loads_the_dag(tmp_path: Path) -> None:
    """The DagBag of a real Airflow: this Python's, or that of the interpreter AIRFLOW_PYTHON."""
    python = os.environ.get("AIRFLOW_PYTHON", "")
    if not python and importlib.util.find_spec("airflow") is None:
        pytest.skip("Airflow is not here (name a Python that has it in AIRFLOW_PYTHON)")
    (tmp_path / "dags").mkdir()
    shutil.copy(HERE / "airflow_dag.py", tmp_path / "dags")
    plain = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [python or sys.executable, "-c", DAG_BAG, str(tmp_path / "dags")],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], **plain},
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr[-2000:]
    command = f"/opt/cart-nrm/.venv/bin/cart-nrm nightly --config {CONFIG}"
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert ["cart_nrm_nightly", False, 1, [20], 0, command] == found


def test_airflow_gets_python_that_imports_only_what_it_says() -> None:
    """The DAG parses, imports airflow and the standard library, and runs one night at a time."""
    tree = ast.parse((HERE / "airflow_dag.py").read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {"datetime", "airflow", "airflow.providers.standard.operators.bash"} == modules
    keywords = {node.arg: ast.unparse(node.value)
                for node in ast.walk(tree) if isinstance(node, ast.keyword)}  # fmt: skip
    assert "1" == keywords["max_active_runs"]
    assert "False" == keywords["catchup"]


def test_the_container_copies_what_exists() -> None:
    """Every COPY from the project names a file that is there; nothing runs as root."""
    lines = (HERE / "Containerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists(), name
    assert "USER 10001:10001" in lines
    installs = re.findall(r"pip install[^&]+", "\n".join(lines).replace("\\\n", " "))
    assert all("--require-hashes" in one or "--no-deps" in one for one in installs), installs
