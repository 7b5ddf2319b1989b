"""Real FHIR servers on 127.0.0.1 for tests: started as their own process, stopped by their id."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

_STARTS_WITHIN = 60.0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def sekmet_server(folder: Path, **settings: Any) -> Iterator[str]:
    """The pinned PyPI server `sekmet-fhir`, empty; yields its FHIR base URL.

    `settings` are its own settings (`server_auth={"types": ["smart"], ...}`).
    """
    port, folder = free_port(), folder / f"sekmet-{free_port()}"
    folder.mkdir(parents=True)
    base = f"http://127.0.0.1:{port}/fhir"
    written = {
        "base_url": base,
        "host": "127.0.0.1",
        "port": port,
        "data_dir": str(folder / "data"),
        "log_inbound": False,
        "validation": {"inbound": "off"},
        "simulator": {"enabled": False, "delay_seconds": 0.1},
        **settings,
    }
    config = folder / "settings.yaml"
    config.write_text(json.dumps(written))  # JSON is YAML
    command = [sys.executable, "-m", "uvicorn", "sekmet.main:app_factory", "--factory"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "SEKMET_CONFIG": str(config)},
        ) as process,
    ):
        try:
            _wait_for(f"{base}/metadata", process)
            yield base
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError("the server ended at once; see its log")
        try:
            if requests.get(url, timeout=5).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError("the server did not start")


def put_all(
    base: str, resources: Iterable[dict[str, Any]], size: int = 500, bearer: str = ""
) -> int:
    """Store resources under their own ids, as transactions; returns how many."""
    every = list(resources)
    with requests.Session() as session:
        session.trust_env = False
        if bearer:
            session.headers["Authorization"] = f"Bearer {bearer}"
        for start in range(0, len(every), size):
            entry = [
                {
                    "resource": resource,
                    "request": {
                        "method": "PUT",
                        "url": f"{resource['resourceType']}/{resource['id']}",
                    },
                }
                for resource in every[start : start + size]
            ]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
            session.post(base, json=bundle, timeout=300).raise_for_status()
    return len(every)


def delete(base: str, kind: str, id_: str) -> None:
    """Delete one resource."""
    requests.delete(f"{base}/{kind}/{id_}", timeout=60).raise_for_status()


def server_ids(base: str, kind: str) -> set[str]:
    """Every id of one type that the server has, asked without the code under test."""
    found: set[str] = set()
    url: str | None = f"{base}/{kind}?_count=1000&_elements=id"
    while url:
        bundle = requests.get(url, timeout=60).json()
        found |= {entry["resource"]["id"] for entry in bundle.get("entry", [])}
        url = next((x["url"] for x in bundle["link"] if x["relation"] == "next"), None)
    return found


MEDPLUM = Path(__file__).parent / "medplum"


def medplum_modules() -> Path:
    """The npm packages of tests/medplum, installed once into a folder of the system's own.

    Skips the test, with the reason, where Node is missing or the packages cannot be had.
    """
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Node.js and npm are not installed: the Medplum server cannot be started")
    lock = (MEDPLUM / "package-lock.json").read_bytes()
    digest = hashlib.sha256(lock + (MEDPLUM / "server.mjs").read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"cart-nrm-test-medplum-{digest}"
    if not (folder / "ready").exists():
        folder.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json", "server.mjs"):
            shutil.copy(MEDPLUM / name, folder / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip("npm could not install the Medplum packages (no registry?)")
        (folder / "ready").touch()
    return folder


@contextmanager
def medplum_server() -> Iterator[str]:
    """Medplum's own router and repository behind node:http, empty; yields its FHIR base URL."""
    folder, port = medplum_modules(), free_port()
    base = f"http://127.0.0.1:{port}/fhir/R4"
    command = ["node", str(folder / "server.mjs"), str(port)]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(f"{base}/metadata", process)
            yield base
        finally:
            process.terminate()
            process.wait(20)
