"""The bill of materials names what is locked; the audit tells findings from silence."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit import LOCK, verdict

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def test_the_sbom_names_every_locked_package(tmp_path: Path) -> None:
    """CycloneDX JSON with name, version and hashes of each line of the runtime lock."""
    file = tmp_path / "sbom.cdx.json"
    recipe = [sys.executable, "-m", "cyclonedx_py", "requirements", str(LOCK), "-o", str(file)]
    recipe += ["--pyproject", str(LOCK.parent.parent / "pyproject.toml"), "--of", "JSON"]
    subprocess.run(recipe, check=True, capture_output=True)
    sbom = json.loads(file.read_text())
    assert "CycloneDX" == sbom["bomFormat"]
    assert "cart-nrm" == sbom["metadata"]["component"]["name"]
    named = {(one["name"], one["version"]) for one in sbom["components"]}
    assert set(PINNED.findall(LOCK.read_text())) == named
    assert all(one["externalReferences"][0]["hashes"] for one in sbom["components"])


WEAK = {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}
SOUND = {"name": "b", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([WEAK, SOUND], 1, "a 1: X-1, fixed in 2"),
        ([SOUND], 0, "1 packages looked up, 0 weaknesses"),
        ([SOUND, UNKNOWN], 0, "not looked up: c"),
        ([UNKNOWN], 0, "skipped: the advisory service knows none"),
    ],
)
def test_the_audit_tells_findings_from_silence(
    packages: list[dict[str, object]], code: int, says: str
) -> None:
    """A service that knows no package has not said that all is well."""
    found, lines = verdict(json.dumps({"dependencies": packages}), "")
    assert code == found
    assert says in "\n".join(lines)


@pytest.mark.parametrize(
    ("complaint", "code", "says"),
    [
        ("ConnectionError: no route", 0, "skipped: the advisory service cannot be reached (Conn"),
        ("ERROR: requirement on line 3 has no hash", 2, "audit failed: ERROR: requirement on"),
    ],
)
def test_an_audit_without_an_answer(complaint: str, code: int, says: str) -> None:
    """No network is a skip with its reason, exit 0; anything else is a failure."""
    found, lines = verdict("", complaint)
    assert code == found
    assert says in lines[0]
