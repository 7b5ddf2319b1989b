"""Cohort files: rows in, one file out, with a manifest that says what it is and what was removed.

A new format is one function in this folder and one line in FORMATS.
"""

import hashlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from adapter.atomic import write_atomically
from adapter.errors import StoreError, UsageError
from adapter.export import delimited, dictionary, documents, fhir, summary, workbook
from adapter.export.columns import COLUMNS, answer_of, row_of, rows_of
from adapter.export.released import Released, released
from adapter.export.summary import NRM, RELAPSE, evaluable
from adapter.pseudonyms import DATE_MODES, Release
from adapter.study import Study

__all__ = ["COLUMNS", "DATE_MODES", "FORMATS", "NRM", "RELAPSE", "Receipt", "Release", "answer_of",
           "ending_of", "evaluable", "export_cohort", "row_of", "rows_of", "save",
           "version_of"]  # fmt: skip

#: How the file name ends -> who writes it, and what it is. The longest ending wins.
FORMATS: dict[str, tuple[Callable[[Released], bytes], str]] = {
    ".csv": (delimited.write_csv, "CSV, one row an episode"),
    ".ndjson": (documents.write_ndjson, "one JSON object a line"),
    ".json": (documents.write_json, "one JSON document"),
    ".xlsx": (workbook.write_xlsx, "Excel with a dictionary sheet"),
    ".parquet": (documents.write_parquet, "Parquet (needs pyarrow)"),
    ".fhir.json": (fhir.write_fhir_bundle, "FHIR R4 Bundle"),
    ".fhir.ndjson": (fhir.write_fhir_ndjson, "FHIR R4 resources, one a line"),
    ".redcap.csv": (delimited.write_redcap, "REDCap data import"),
    "redcap-dictionary.csv": (delimited.write_redcap_dictionary, "REDCap project dictionary"),
    "summary.json": (summary.write_summary, "aggregate for `pool`, no patient rows"),
    "schema.json": (dictionary.write_schema, "JSON Schema of a row"),
    "dictionary.md": (dictionary.write_dictionary, "data dictionary"),
}
#: What these say is of columns, not of patients.
_ROWLESS = (dictionary.write_schema, dictionary.write_dictionary,
            delimited.write_redcap_dictionary)  # fmt: skip


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
    writer, kind = FORMATS[ending_of(path)]
    cohort = released(study, release)
    content = writer(cohort)
    if writer is summary.write_summary:
        cohort = cohort._replace(columns=(), rows=[], removed=summary.hidden_in(content))
    elif writer in _ROWLESS:
        cohort = cohort._replace(rows=[], removed={})
    digest = hashlib.sha256(content).hexdigest()
    receipt = Receipt(path, digest, len(content), len(cohort.rows), kind)
    manifest = documents.dump(manifest_of(cohort, receipt), indent=1).encode("utf-8")
    save(path, content)
    save(path.with_name(f"{path.name}.manifest.json"), manifest)
    return receipt


def ending_of(path: Path) -> str:
    """The format of a file name; UsageError when there is none."""
    endings = [ending for ending in FORMATS if path.name.lower().endswith(ending)]
    if not endings:
        known = f"Endings: {', '.join(FORMATS)}."
        raise UsageError(f"No export format is called {path.name!r}.", known)
    return max(endings, key=len)


def save(path: Path, content: bytes) -> Path:
    """A whole file or none, mode 0600; StoreError when it cannot be written."""
    try:
        return write_atomically(path, content)
    except OSError as problem:
        what = f"{path} cannot be written: {problem.strerror}."
        raise StoreError(what, "Check the folder and the free space.") from None


def manifest_of(cohort: Released, receipt: Receipt) -> dict[str, Any]:
    """What the file is, from which data and settings, and what was taken out before it left."""
    study, release, plan = cohort.study, cohort.release, cohort.study.plan
    keys = release.keys()
    return {
        "file": receipt.path.name,
        **{name: value for name, value in receipt._asdict().items() if name != "path"},
        "columns": cohort.names,
        **cohort.about,
        "codes_digest": study.codes_digest,
        "policy": plan.policy.model_dump(mode="json"),
        "rules_changed": {name: c.model_dump(mode="json") for name, c in plan.rules.items()},
        "versions": {name: version_of(name) for name in ("cart-nrm", "fhir.resources", "numpy")},
        "release": {
            "identified": release.identified,
            "dates": "identified" if release.identified else release.dates,
            "key_id": keys and keys.key_id,
            "small_cells_below": release.small_cells,
            "changed_or_removed": cohort.removed,
            "columns_left_out": [one.name for one in COLUMNS if one not in cohort.columns],
        },
    }


def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "from source"
