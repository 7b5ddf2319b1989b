"""Known weaknesses of the locked packages, where the advisory service answers.

python -m tests.audit [LOCK]
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "requirements" / "runtime.txt"
_UNREACHED = re.compile(r"connect|proxy|time[d -]*out|resolution", re.IGNORECASE)


def verdict(answer: str, complaint: str) -> tuple[int, list[str]]:
    """Exit code and lines for pip-audit's JSON and, where it gave none, for its last complaint.

    0 without a finding or when skipped, 1 with findings, 2 when the lock is refused. A mirror
    without advisories makes pip-audit say "no known vulnerabilities" of packages it could not look
    up: that is skipped too.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        if not _UNREACHED.search(complaint):
            return 2, [f"audit failed: {complaint}"]
        return 0, [f"audit skipped: the advisory service cannot be reached ({complaint[:100]})"]
    unknown = [one["name"] for one in packages if "skip_reason" in one]
    if len(unknown) == len(packages):
        return 0, ["audit skipped: the advisory service knows none of the locked packages"]
    found = [
        f"{one['name']} {one['version']}: {weak['id']}, fixed in "
        f"{', '.join(weak['fix_versions']) or 'no version yet'}"
        for one in packages
        for weak in one.get("vulns", [])
    ]
    asked = f"audit: {len(packages) - len(unknown)} packages looked up, {len(found)} weaknesses"
    missing = [f"audit: not looked up: {', '.join(unknown)}"] if unknown else []
    return int(bool(found)), [*found, *missing, asked]


def main(lock: Path = LOCK) -> int:
    """Ask, print, and give the exit code."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(lock), "--require-hashes"]
    command += ["--disable-pip", "--progress-spinner", "off", "--timeout", "10", "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    complaint = (done.stderr.strip().splitlines() or ["no answer"])[-1]
    code, lines = verdict(done.stdout, complaint)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
