"""The overlay row that would give an unmapped code a meaning."""

import csv
import io

from adapter.codes.tables import OVERLAY_HEADER


def overlay_row(**cells: str) -> str:
    """One CSV line of a site overlay; what is not given stays empty for a person to fill in.

    Concept and subconcept are never guessed: only a person knows what a local code means.
    """
    line = io.StringIO()
    filled = {"action": "add", **cells}
    csv.writer(line, lineterminator="").writerow(filled.get(name, "") for name in OVERLAY_HEADER)
    return line.getvalue()
