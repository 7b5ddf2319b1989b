"""The examples of examples/nightly/ are what their readers take them for."""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

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


def test_cron_has_five_times_and_a_command() -> None:
    """03:30, outside the hour that summer time skips."""
    lines = (HERE / "crontab").read_text().splitlines()
    job = [line for line in lines if line and not line.startswith(("#", "SHELL="))]
    assert 1 == len(job)
    assert ["30", "3", "*", "*", "*"] == job[0].split()[:5]
    assert "%" not in job[0]  # cron takes a percent sign for a new line


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
    assert {v["name"] for v in pod["volumes"]} == {
        mount["name"] for mount in pod["containers"][0]["volumeMounts"]
    }
    paths = {i["path"] for i in pod["volumes"][1]["projected"]["sources"][1]["secret"]["items"]}
    named = set(re.findall(r"/etc/cart-nrm/(secrets/[\w.-]+)", (HERE / "study.toml").read_text()))
    assert named == paths


def test_airflow_gets_python_that_imports_only_what_it_says() -> None:
    """The DAG parses, imports airflow and the standard library, and runs one night at a time."""
    tree = ast.parse((HERE / "airflow_dag.py").read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {"datetime", "airflow", "airflow.operators.bash"} == modules
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
    assert any("--require-hashes" in line for line in lines)
