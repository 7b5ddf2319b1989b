"""Cohort files: rows in, one file out, with a manifest that says what it is and what was removed.

A new format is one file here and one line in FORMATS.
"""

import hashlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from adapter.atomic import write_atomically
from adapter.errors import StoreError, UsageError
from adapter.export import (
    delimited,
    dictionary,
    documents,
    fhir,
    parquet,
    redcap,
    summary,
    workbook,
)
from adapter.export.columns import COLUMNS, answer_of, row_of, rows_of
from adapter.export.released import Released, release_rows
from adapter.pseudonyms import DATE_MODES, Release
from adapter.study import Study

__all__ = ["COLUMNS", "DATE_MODES", "FORMATS", "Receipt", "Release", "answer_of", "export_cohort",
           "row_of", "rows_of"]  # fmt: skip

Writer = Callable[[Study, Released, Release], bytes]

#: How the file name ends -> who writes it, and what it is. The longest ending wins.
FORMATS: dict[str, tuple[Writer, str]] = {
    ".csv": (delimited.write_csv, "CSV, one row an episode"),
    ".ndjson": (documents.write_ndjson, "one JSON object a line"),
    ".json": (documents.write_json, "one JSON document"),
    ".xlsx": (workbook.write_xlsx, "Excel with a dictionary sheet"),
    ".parquet": (parquet.write_parquet, "Parquet (needs pyarrow)"),
    ".fhir.json": (fhir.write_fhir_bundle, "FHIR R4 Bundle"),
    ".fhir.ndjson": (fhir.write_fhir_ndjson, "FHIR R4 resources, one a line"),
    ".redcap.csv": (redcap.write_redcap, "REDCap data import"),
    "redcap-dictionary.csv": (redcap.write_redcap_dictionary, "REDCap project dictionary"),
    "summary.json": (summary.write_summary, "aggregate for `pool`, no patient rows"),
    "schema.json": (documents.write_schema, "JSON Schema of a row"),
    "dictionary.md": (dictionary.write_dictionary, "data dictionary"),
    "dictionary.csv": (dictionary.write_dictionary_csv, "data dictionary as CSV"),
}


class Receipt(NamedTuple):
    """What was written."""

    path: Path
    sha256: str
    bytes: int
    rows: int
    format: str


def export_cohort(study: Study, path: Path, release: Release) -> Receipt:
    """Write the cohort in the format of the file name, and FILE.manifest.json beside it.

    Both appear whole or not at all, mode 0600. UsageError for an unknown ending, ConfigError when
    a pseudonymous export has no key, StoreError when the file cannot be written.
    """
    ending, writer = _format_of(path)
    released = release_rows(rows_of(study), release)
    content = writer(study, released, release)
    digest = hashlib.sha256(content).hexdigest()
    receipt = Receipt(path, digest, len(content), len(released.rows), FORMATS[ending][1])
    manifest = documents.dump(manifest_of(study, released, release, receipt), indent=1) + "\n"
    try:
        write_atomically(path, content)
        write_atomically(path.with_name(f"{path.name}.manifest.json"), manifest.encode("utf-8"))
    except OSError as problem:
        raise StoreError(
            f"{path} cannot be written: {problem.strerror}.", "Check the folder and the free space."
        ) from None
    return receipt


def _format_of(path: Path) -> tuple[str, Writer]:
    found = [ending for ending in FORMATS if path.name.lower().endswith(ending)]
    if not found:
        known = ", ".join(FORMATS)
        raise UsageError(f"No export format is called {path.name!r}.", f"Endings: {known}.")
    longest = max(found, key=len)
    return longest, FORMATS[longest][0]


def manifest_of(
    study: Study, released: Released, release: Release, receipt: Receipt
) -> dict[str, Any]:
    """What the file is, from which data and settings, and what was taken out before it left."""
    key = release.pseudonyms
    return {
        "file": receipt.path.name,
        "sha256": receipt.sha256,
        "bytes": receipt.bytes,
        "format": receipt.format,
        "rows": receipt.rows,
        "columns": [column.name for column in released.columns],
        "study": study.name,
        "synthetic": study.synthetic,
        "data_cut": study.cut,
        "codes_digest": study.codes_digest,
        "policy": study.plan.policy.model_dump(mode="json"),
        "rules_changed": {name: c.model_dump(mode="json") for name, c in study.plan.rules.items()},
        "versions": {name: _version(name) for name in ("cart-nrm", "fhir.resources", "numpy")},
        "release": {
            "identified": release.identified,
            "dates": "identified" if release.identified else release.dates,
            "key_id": key.key_id if key and not release.identified else None,
            "small_cells_below": release.small_cells,
            "changed_or_removed": released.removed,
        },
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
