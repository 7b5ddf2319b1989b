"""Polars `scan_ndjson`: the five columns into a frame (POLARS_MAX_THREADS=1 is set outside)."""

from pathlib import Path

import polars as pl

from benchmarks.peers.stopwatch import Found, main

_CONCEPT = pl.Struct({"coding": pl.List(pl.Struct({"code": pl.String}))})
_PERIOD = pl.Struct({"start": pl.String})
_CODES = ("code", "medicationCodeableConcept")
_DAYS = ("effectiveDateTime", "onsetDateTime", "performedDateTime", "authoredOn")
_PERIODS = ("effectivePeriod", "onsetPeriod", "performedPeriod", "period")
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "resourceType": pl.String,
    "id": pl.String,
    "subject": pl.Struct({"reference": pl.String}),
    **dict.fromkeys(_CODES, _CONCEPT),
    **dict.fromkeys(_DAYS, pl.String),
    **dict.fromkeys(_PERIODS, _PERIOD),
}


def columns(file: Path) -> Found:
    """The schema is given, so that nothing has to be guessed from a sample."""
    about = pl.col("subject").struct.field("reference").str.split("/").list.last()
    coded = [pl.col(n).struct.field("coding").list.first().struct.field("code") for n in _CODES]
    begun = [pl.col(name).struct.field("start") for name in _PERIODS]
    table = (
        pl.scan_ndjson(file, schema=_SCHEMA)
        .select(
            "resourceType", "id",
            patient=pl.when(pl.col("resourceType") == "Patient").then("id").otherwise(about),
            code=pl.coalesce(*coded),
            date=pl.coalesce(*_DAYS, *begun),
        )
        .collect()
    )  # fmt: skip
    return Found(len(table), *(table[name].count() for name in ("patient", "code", "date")))


if __name__ == "__main__":
    main("polars", {"columns": columns})
