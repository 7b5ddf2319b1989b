"""The data dictionary: Markdown for docs/, CSV for whoever loads the cohort."""

from adapter.export.columns import COLUMNS, Column
from adapter.export.delimited import LIST_SEPARATOR, table
from adapter.export.released import Released
from adapter.pseudonyms import Release
from adapter.study import Study


def write_dictionary_csv(study: Study, released: Released, release: Release) -> bytes:
    """The data dictionary as CSV."""
    header = ["name", "type", "unit", "values", "about", "leaves"]
    return table(header, [_described(column) for column in released.columns])


def _described(column: Column) -> list[str]:
    values = LIST_SEPARATOR.join(column.values)
    return [column.name, column.kind, column.unit, values, column.about, column.leaves]


def write_dictionary(study: Study, released: Released, release: Release) -> bytes:
    """The data dictionary as Markdown."""
    return dictionary_page(released.columns).encode("utf-8")


def dictionary_page(columns: tuple[Column, ...] = COLUMNS) -> str:
    """What docs/data-dictionary.md holds; a test checks that it is current."""
    head = (
        "# Data dictionary\n\n"
        "One row is one episode (a CAR T course). Made from `adapter/export/columns.py`;\n"
        "`cart-nrm export dictionary.md` writes it anew. How a column leaves the site in a\n"
        "pseudonymous export is in the last column.\n\n"
        "| column | type | unit | values | meaning | leaves |\n|---|---|---|---|---|---|\n"
    )
    return head + "".join(_line(column) for column in columns)


def _line(column: Column) -> str:
    values = ", ".join(f"`{value}`" for value in column.values)
    return (
        f"| `{column.name}` | {column.kind} | {column.unit} | {values} | {column.about}"
        f" | {_LEAVES[column.leaves]} |\n"
    )


_LEAVES = {
    "as_is": "as it is",
    "patient": "keyed pseudonym",
    "episode": "keyed pseudonym",
    "date": "by date mode; empty in mode `days`",
    "age": "over 89 as 90",
    "text": "without references and dates",
    "notes": "kinds only",
}
