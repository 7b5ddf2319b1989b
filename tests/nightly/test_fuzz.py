"""Odd inputs of every kind, a few hundred in all; `make fuzz` reads a million."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from adapter.errors import ReviewError
from tests.nightly.fuzz import odd, worklists
from tests.nightly.fuzz.bench import Bench, line_of
from tests.nightly.fuzz.trial import KINDS, drawn

MANY, FEW = 40, 8  # of kinds that are quick to read, and of others


@pytest.mark.parametrize("name", KINDS)
def test_odd_inputs_are_read_without_a_crash(name: str, tmp_path: Path) -> None:
    """A result or our own error; neighbours are kept; no planted text is told."""
    bench, kind = Bench(tmp_path), KINDS[name]
    inputs = MANY if kind.share >= 1 else FEW

    def read(data: bytes) -> None:
        kind.run(data, bench)

    drawn(kind, inputs, 7, read)


#: What the campaign found when it was new, cut down: (kind, input).
FOUND = {
    "ndjson": odd.RAW["@deep"],
    "sifted": b'{"resourceType":"Procedure","id":"1","code":{"x":1e999}}',
    "packed": gzip.compress(b'{"resourceType":"Patient","x":' + odd.RAW["@objects"] + b"}"),
    "bundle": b"1",
    "page": b'{"search":5}',
    "outcome": b"\x06\n" + odd.RAW["@deep"],
    "manifest": b'{"request":' + odd.RAW["@deep"] + b"}",
    "bulk_file": b'{"entry":' + odd.RAW["@deep"] + b"}",
    "login": b'{"token_endpoint":"http://["}',
    "terminology": b'{"expansion":{"contains":0.0}}',
    "study_toml": b"store = false",
    "quirks": b"\xff",
    "overlay": b"action," + b"x" * 140_000 + b"\n",
    "expansions": b"system,parent\n1,2\n",
    "sets": b'{"resourceType":"\\ud800"}',
    "day_tables": b"\xed\xa0\x80",
    "pool_table": b"study;n;" + b"x" * 140_000 + b"\n",
    "summary": b'{"study":"east","n":-Infinity,"events":5}',
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(name: str, tmp_path: Path) -> None:
    """Each of these once ended in a traceback or took its neighbours along."""
    KINDS[name].run(FOUND[name], Bench(tmp_path))


def test_a_bundle_whose_resource_has_no_id_may_hold_any_number(tmp_path: Path) -> None:
    """An id is put in; the rest stays as it is, also what no decoder can hold."""
    entry = b'{"fullUrl":"urn:uuid:7","resource":{"resourceType":"Patient","x":1e999}}'
    KINDS["bundle"].run(entry, bench := Bench(tmp_path))
    assert "7" in bench.store.ids("Patient")


def bombs() -> dict[str, bytes]:
    """Workbooks that unpack to more than anybody types: one part of zeros, one far cell."""
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/sharedStrings.xml", bytes(300 * 2**20))
    far = worklists.book_of(worklists.filled())
    far.worksheets[0]["XFD1048576"] = "x"
    whole = io.BytesIO()
    far.save(whole)
    return {"zeros": zeros.getvalue(), "far": whole.getvalue()}


def test_a_workbook_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    """Three hundred megabytes in three hundred kilobytes; the far cell is past what is read."""
    read, bench = KINDS["workbook"].run, Bench(tmp_path)
    said = {name: read(b"\x00" + raw, bench) for name, raw in bombs().items()}
    assert said["zeros"].startswith("w.xlsx is not a worklist")
    assert "" == said["far"]


def test_the_oracle_sees_what_it_should(tmp_path: Path) -> None:
    """A reader that drops a neighbour, tells planted text or crashes is found."""
    bench, kind = Bench(tmp_path), KINDS["ndjson"]
    path = bench.file("x.ndjson", line_of("somebody"))
    with pytest.raises(AssertionError, match="neighbour was lost"):
        bench.take(path, ("somebody-else",))

    def telling(data: bytes, bench: Bench) -> None:
        raise ReviewError(f"no such cause: {data.decode()}")

    with pytest.raises(AssertionError, match="planted text"):
        kind._replace(read=telling).run(f"x\n{odd.CANARY}".encode(), bench)
