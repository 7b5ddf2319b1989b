"""Pathling: a view of the five columns through Spark. Its libraries come from Maven at start."""

from pathlib import Path

from pathling import PathlingContext

from benchmarks.peers.stopwatch import Found, main


def columns(file: Path) -> Found:
    """Count the rows of an Observation view; where Maven is out of reach it ends before this."""
    data = PathlingContext.create().read.ndjson(str(file.parent))
    view = data.view(
        "Observation",
        select=[
            {
                "column": [
                    {"name": "id", "path": "id"},
                    {"name": "patient", "path": "subject.reference"},
                    {"name": "code", "path": "code.coding.first().code"},
                    {"name": "date", "path": "effective.ofType(dateTime)"},
                ]
            }
        ],
    )
    return Found(view.count())


if __name__ == "__main__":
    main("pathling", {"columns": columns})
