"""Which codes of a source do we not know, and how many recipients would it touch?"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from adapter.codes.lookup import Codes
from adapter.codes.systems import system_of
from adapter.codes.tables import OVERLAY_HEADER


class Seen(msgspec.Struct, frozen=True):
    """One coding met in the data; no display, because local displays may hold names."""

    patient: str
    system: str
    code: str
    resource: str  # "Condition"
    version: str = ""


class Gap(msgspec.Struct, frozen=True):
    """One unmapped code, how often it occurs, and the overlay row that would map it."""

    system: str
    code: str
    resource: str
    recipients: int
    patients: int
    times: int
    overlay_row: str


def coverage(
    seen: Iterable[Seen], codes: Codes, recipients: frozenset[str] | None = None
) -> list[Gap]:
    """Unmapped codes, those that touch most recipients first.

    `recipients`: ids of patients with a CAR T infusion; None counts every patient as one. The
    concept in the row to add is left open: only a person knows what a local code means.
    """
    who: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    times: dict[tuple[str, str, str], int] = defaultdict(int)
    for coding in seen:
        if codes.lookup(coding.system, coding.code, coding.version):
            continue
        key = (system_of(coding.system), coding.code.strip(), coding.resource)
        who[key].add(coding.patient)
        times[key] += 1
    gaps = [
        Gap(
            *key,
            recipients=len(met if recipients is None else met & recipients),
            patients=len(met),
            times=times[key],
            overlay_row=overlay_row(system=key[0], code=key[1], match="exact"),
        )
        for key, met in who.items()
    ]
    return sorted(gaps, key=lambda g: (-g.recipients, -g.patients, -g.times, g.system, g.code))


def overlay_row(**cells: str) -> str:
    """One CSV line of a site overlay; what is not given stays empty for a person to fill in."""
    line = io.StringIO()
    filled = {"action": "add", **cells}
    csv.writer(line, lineterminator="").writerow(filled.get(name, "") for name in OVERLAY_HEADER)
    return line.getvalue()
