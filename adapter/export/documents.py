"""JSON, NDJSON, and Parquet when pyarrow is installed."""

import io
import json
from collections.abc import Iterable
from typing import Any

from adapter.errors import UsageError
from adapter.export.released import Released


def dump(value: Any, indent: int | None = None) -> str:
    """JSON with sorted keys: the same content gives the same bytes."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent, allow_nan=False)
    return f"{text}\n"


def lines(rows: Iterable[Any]) -> bytes:
    """One JSON object a line."""
    return "".join(map(dump, rows)).encode("utf-8")


def write_ndjson(cohort: Released) -> bytes:
    """One row a line."""
    return lines(cohort.rows)


def write_json(cohort: Released) -> bytes:
    """One object: what the study is, and its rows."""
    return dump({**cohort.about, "rows": cohort.rows}, indent=1).encode("utf-8")


def write_parquet(cohort: Released) -> bytes:
    """Typed columns (lists stay lists); the meaning of each column is in its field metadata."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed.",
            "Install it with: pip install 'cart-nrm[parquet]', or export to .csv or .ndjson.",
        ) from None
    types: dict[str, Any] = {
        "text": pa.string(),
        "date": pa.string(),  # a date may be "2021-05" or, in mode year, "2021"
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "list": pa.list_(pa.string()),
    }
    fields = [pa.field(c.name, types[c.kind], metadata={"about": c.about}) for c in cohort.columns]
    schema = pa.schema(fields, metadata={"cart-nrm": dump(cohort.about)})
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(cohort.rows, schema), out)
    return out.getvalue()
