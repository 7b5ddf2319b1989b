"""DuckDB `read_json` on one thread: the five columns into a table in memory."""

from pathlib import Path

import duckdb

from benchmarks.peers.stopwatch import Found, main

_COLUMNS = {
    "resourceType": "VARCHAR",
    "id": "VARCHAR",
    "subject": "STRUCT(reference VARCHAR)",
    "code": "STRUCT(coding STRUCT(code VARCHAR)[])",
    "medicationCodeableConcept": "STRUCT(coding STRUCT(code VARCHAR)[])",
    "effectiveDateTime": "VARCHAR",
    "onsetDateTime": "VARCHAR",
    "performedDateTime": "VARCHAR",
    "authoredOn": "VARCHAR",
    "effectivePeriod": 'STRUCT("start" VARCHAR)',
    "onsetPeriod": 'STRUCT("start" VARCHAR)',
    "performedPeriod": 'STRUCT("start" VARCHAR)',
    "period": 'STRUCT("start" VARCHAR)',
}
_TABLE = """
create table line as select
  resourceType, id,
  case resourceType when 'Patient' then id else split_part(subject.reference, '/', -1) end patient,
  coalesce(code.coding[1].code, medicationCodeableConcept.coding[1].code) code,
  coalesce(effectiveDateTime, onsetDateTime, performedDateTime, authoredOn, effectivePeriod.start,
           onsetPeriod.start, performedPeriod.start, period.start) date
from read_json(?, format = 'newline_delimited', columns = {columns})
"""


def columns(file: Path) -> Found:
    """Columns are named, so that nothing has to be guessed from a sample."""
    base = duckdb.connect(config={"threads": 1})
    named = ", ".join(f"'{name}': '{kind}'" for name, kind in _COLUMNS.items())
    base.execute(_TABLE.format(columns="{" + named + "}"), [str(file)])
    counts = base.execute("select count(*), count(patient), count(code), count(date) from line")
    return Found(*(counts.fetchone() or (0,)))


if __name__ == "__main__":
    main("duckdb", {"columns": columns})
