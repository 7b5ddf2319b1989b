"""Rows as they may leave the site, and the account of what was taken out of them."""

from collections import Counter
from typing import Any, NamedTuple

from adapter.errors import UsageError
from adapter.export.columns import COLUMNS, Column, rows_of
from adapter.pseudonyms import OLDEST_AGE, Pseudonyms, Release, scrubbed
from adapter.study import Study

Row = dict[str, Any]


class Released(NamedTuple):
    """What a writer gets: rows, their columns, and the account of values changed or removed."""

    study: Study
    release: Release
    columns: tuple[Column, ...]
    rows: list[Row]
    removed: dict[str, int]  # by column and reason

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def about(self) -> Row:
        """What the study is, as every format that has a place for it says."""
        study = self.study
        return {"study": study.name, "data_cut": study.cut, "synthetic": study.synthetic}


def released(study: Study, release: Release) -> Released:
    """The cohort after pseudonyms, date mode, age cap, note scrubbing and the column allow-list."""
    keys, rows = release.keys(), rows_of(study)
    columns, removed = allowed(release.columns), Counter[str]()
    if keys is None:
        kept = [{column.name: row[column.name] for column in columns} for row in rows]
        return Released(study, release, columns, kept, {})
    # The order of the source would tell the order of its ids.
    rows.sort(key=lambda row: (keys.of(row["patient"]), row["episode"]))
    kept = [{c.name: _leaving(c, row, release, keys) for c in columns} for row in rows]
    for row, leaving in zip(rows, kept, strict=True):
        changed = (c for c in columns if leaving[c.name] != row[c.name])
        removed.update(f"{column.name} ({column.leaves})" for column in changed)
    return Released(study, release, columns, kept, dict(sorted(removed.items())))


def allowed(names: tuple[str, ...]) -> tuple[Column, ...]:
    """The columns of an allow-list (empty: all); UsageError for one that does not exist."""
    known = sorted(column.name for column in COLUMNS)
    if unknown := sorted(set(names) - set(known)):
        raise UsageError(f"Unknown column {', '.join(unknown)}.", f"Columns: {', '.join(known)}.")
    return tuple(column for column in COLUMNS if not names or column.name in names)


def _leaving(column: Column, row: Row, release: Release, keys: Pseudonyms) -> Any:
    value, patient = row[column.name], str(row["patient"])
    if value is None:
        return None
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
