"""Parquet, when pyarrow is installed."""

import io
from typing import Any

from adapter.errors import UsageError
from adapter.export.documents import dump
from adapter.export.released import Released
from adapter.pseudonyms import Release
from adapter.study import Study


def write_parquet(study: Study, released: Released, release: Release) -> bytes:
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
    fields = [pa.field(c.name, types[c.kind], metadata={"about": c.about}) for c in
              released.columns]  # fmt: skip
    about = dump({"study": study.name, "data_cut": study.cut, "synthetic": study.synthetic})
    table = pa.Table.from_pylist(released.rows, pa.schema(fields, metadata={"cart-nrm": about}))
    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()
