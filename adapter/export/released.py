"""Rows as they may leave the site, and the account of what was taken out of them."""

from collections import Counter
from typing import Any, NamedTuple

from adapter.errors import UsageError
from adapter.export.columns import COLUMNS, Column
from adapter.pseudonyms import OLDEST_AGE, Pseudonyms, Release, scrubbed

Row = dict[str, Any]


class Released(NamedTuple):
    """Rows for a file, their columns, and how many values were changed or removed, by reason."""

    rows: list[Row]
    columns: tuple[Column, ...]
    removed: dict[str, int]


def release_rows(rows: list[Row], release: Release) -> Released:
    """Rows after pseudonyms, date mode, age cap, note scrubbing and the column allow-list."""
    release.checked()
    columns = _allowed(release)
    removed: Counter[str] = Counter()
    if release.pseudonyms is not None and not release.identified:
        name = release.pseudonyms.of  # the order of the source would tell the order of its ids
        rows = sorted(rows, key=lambda row: (name(row["patient"]), row["episode"]))
    out = [
        {column.name: _leaving(column, row, release, removed) for column in columns} for row in rows
    ]
    return Released(out, columns, dict(sorted(removed.items())))


def _allowed(release: Release) -> tuple[Column, ...]:
    if not release.columns:
        return COLUMNS
    known = {column.name for column in COLUMNS}
    unknown = [name for name in release.columns if name not in known]
    if unknown:
        raise UsageError(
            f"Unknown column {', '.join(unknown)}.", f"Columns: {', '.join(sorted(known))}."
        )
    return tuple(column for column in COLUMNS if column.name in release.columns)


def _leaving(column: Column, row: Row, release: Release, removed: Counter[str]) -> Any:
    value = row[column.name]
    if release.identified or release.pseudonyms is None or value is None:
        return value
    changed = _changed(column, value, str(row["patient"]), release, release.pseudonyms)
    if changed != value:
        removed[f"{column.name} ({column.leaves})"] += 1
    return changed


def _changed(column: Column, value: Any, patient: str, release: Release, keys: Pseudonyms) -> Any:
    match column.leaves:
        case "patient":
            return keys.of(patient)
        case "episode":
            return keys.of(patient) + str(value).removeprefix(patient)
        case "date":
            return release.date(patient, value)
        case "age":
            return min(int(value), OLDEST_AGE + 1)
        case "text":
            return scrubbed(value) if isinstance(value, str) else [scrubbed(v) for v in value]
        case "notes":  # only our own slugs, never the words, which may quote the source
            return list(dict.fromkeys(str(note).split(":")[0] for note in value))
    return value
