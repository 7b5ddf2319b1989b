"""What lies on disk: NDJSON, Bundles, single resources, folders, gzip, one entry after another.

What cannot be filed comes as a Reject with its place and reason. A damaged file gives everything
before the damage. A large plain file is read in portions, so that several processes may share it.
"""

import gzip
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from adapter.envelope import Envelope, Reject, open_envelope, split_reference
from adapter.errors import UNREADABLE, StoreError, UsageError

SUFFIXES = (".ndjson", ".jsonl", ".json", ".ndjson.gz", ".jsonl.gz", ".json.gz")
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
_LONGEST_LINE = 64 * 2**20  # a resource this large is an attachment, not a fact
_PORTION = 2 * 2**20
_BLOCK = 2**18
_HANDFUL = 200  # lines


class Portion(NamedTuple):
    """The lines of a file that begin from byte `start` up to `end` (None: all there are)."""

    file: Path
    start: int = 0
    end: int | None = None


class TooLong(bytes):
    """The beginning of a line that is too long to be a resource."""


def find_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those in the folders named; UsageError where there are none."""
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and _is_ours(p))
            if not inside:
                raise UsageError(
                    f"{path} holds no FHIR files.", f"Expected names ending in {_suffix_list()}."
                )
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise UsageError(f"{path} does not exist.", "Name a file or folder with FHIR data.")


def _is_ours(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _suffix_list() -> str:
    return ", ".join(SUFFIXES)


def portions(files: Iterable[Path], size: int = _PORTION) -> Iterator[Portion]:
    """The files cut into pieces of about `size` bytes where a piece can be read by itself."""
    for file in files:
        length = file.stat().st_size
        if is_document(file) or length <= size or _is_packed(file):
            yield Portion(file)
        else:
            for start in range(0, length, size):
                yield Portion(file, start, start + size)


Numbered = Iterable[tuple[int, bytes]]


def entries(
    portion: Portion, choose: Callable[[int, list[bytes]], Numbered] = lambda n, b: enumerate(b, n)
) -> Iterator[Envelope | Reject]:
    """Everything in one portion, in order; of a block of lines what `choose` wants opened."""
    name = portion.file.name
    try:
        with readable(portion.file):
            for first, block in blocks(portion):
                yield from filed(choose(first, block), name)
    except DAMAGE:
        yield Reject(name, "the compressed file is damaged or cut off here", b"")


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """StoreError where the disk does not give it; damage to what is packed is another matter."""
    try:
        yield
    except DAMAGE:
        raise
    except OSError as problem:
        raise StoreError(f"{file} cannot be read: {problem.strerror}.") from None


def filed(numbered: Numbered, name: str) -> Iterator[Envelope | Reject]:
    """Everything in some lines of a file called `name`, wherever they were read."""
    for number, line in numbered:
        if isinstance(line, TooLong) or len(line) >= _LONGEST_LINE:
            yield Reject(f"{name}:{number}", "the line is longer than 64 MB", line[:1000])
        elif raw := stripped(line):
            yield from opened(raw, f"{name}:{number}" if number else name)


def stripped(line: bytes) -> bytes:
    """Without blanks around it, and without the mark that some editors put before the text."""
    return line.strip().removeprefix(b"\xef\xbb\xbf")


def blocks(portion: Portion) -> Iterator[tuple[int, list[bytes]]]:
    """(number of the first, from 1 in each portion; lines as they stand); 0: a whole document."""
    with _stream(portion.file) as stream:
        if is_document(portion.file):
            yield from _document(stripped(stream.read()))
        else:
            yield from _blocks(stream, portion)


def is_document(file: Path) -> bool:
    """Is it read as a whole, a Bundle perhaps? Its lines may be NDJSON none the less."""
    return file.name.lower().removesuffix(".gz").endswith(".json")


def _is_packed(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"  # some servers name plain files .gz, and gzip plain


def _stream(file: Path) -> BufferedIOBase:
    if _is_packed(file):
        return gzip.GzipFile(file)
    return cast(BufferedIOBase, file.open("rb", buffering=_BLOCK))


def _blocks(stream: BufferedIOBase, portion: Portion) -> Iterator[tuple[int, list[bytes]]]:
    """Lines in handfuls: handing over each line by itself costs as much as decoding it."""
    left = sys.maxsize if portion.end is None else portion.end
    if portion.start:  # the line that is under way here belongs to the portion before
        stream.seek(portion.start - 1)
        _skip_line(stream)
        left -= stream.tell()
    number = 1
    careful = isinstance(stream, gzip.GzipFile) or _has_long_line(stream, left)
    for found in _carefully(stream, left) if careful else _quickly(stream, left):
        yield number, found
        number += len(found)


def _quickly(stream: BufferedIOBase, left: int) -> Iterator[list[bytes]]:
    while left > 0:
        # readlines stops once it has more than asked; asked for 0 it would take everything
        found = stream.readlines(min(left - 1, _BLOCK)) if left > 1 else [stream.readline()]
        if not any(found):
            return
        yield found
        left -= sum(map(len, found))


def _carefully(stream: BufferedIOBase, left: int) -> Iterator[list[bytes]]:
    """Line by line: what came before damage is not lost, nor memory to a line without an end."""
    found = list[bytes]()
    try:
        while left > 0 and (line := stream.readline(_LONGEST_LINE)):
            left -= len(line)
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                line = TooLong(line[:1000])
                left -= _skip_line(stream)
            found.append(line)
            if len(found) == _HANDFUL:
                yield found
                found = []
    except DAMAGE:
        yield found
        raise
    yield found


def _has_long_line(stream: BufferedIOBase, left: int) -> bool:
    """From newline to newline in leaps, so that nearly nothing is read."""
    size = os.fstat(stream.fileno()).st_size
    position = stream.tell()
    end = min(size, position + left)
    if size - position <= _LONGEST_LINE:
        return False
    with mmap(stream.fileno(), 0, access=ACCESS_READ) as view:
        while position < end and size - position > _LONGEST_LINE:
            newline = view.rfind(b"\n", position, position + _LONGEST_LINE)
            if newline < 0:
                return True
            position = newline + 1
    return False


def _skip_line(stream: BufferedIOBase) -> int:
    """How many bytes it took to come to the next line."""
    skipped = 0
    while part := stream.readline(_BLOCK):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _document(raw: bytes) -> Iterator[tuple[int, list[bytes]]]:
    if b"\n" in raw and not _is_json(raw):
        yield 1, raw.splitlines()  # NDJSON under a .json name is common
    elif raw:
        yield 0, [raw]


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except UNREADABLE:
        return False
    return True


# -- one resource, or a Bundle of them -------------------------------------------------------


class _Entry(msgspec.Struct):
    fullUrl: Any = None
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Bundle(msgspec.Struct):
    entry: list[msgspec.Raw] = []


_bundle, _entry = msgspec.json.Decoder(_Bundle), msgspec.json.Decoder(_Entry)


def opened(raw: bytes, where: str) -> Iterator[Envelope | Reject]:
    """The resource of one line, or those of the Bundle that it is."""
    filed = open_envelope(raw, where)
    kind = filed.type if isinstance(filed, Envelope) else _type_of(raw)
    if kind != "Bundle":
        yield filed
        return
    try:
        inside = [_read_entry(one) for one in _bundle.decode(raw).entry]
    except UNREADABLE:
        yield Reject(where, "a Bundle whose entries cannot be read", raw)
        return
    yield from _bundle_entries(inside, where)


def _read_entry(raw: msgspec.Raw) -> _Entry:
    """An entry that is none becomes a reject of its own; the others are kept."""
    try:
        return _entry.decode(raw)
    except UNREADABLE:
        return _Entry(resource=raw)


class _Type(msgspec.Struct):
    resourceType: str = ""


def _type_of(raw: bytes) -> str:
    try:
        return msgspec.json.decode(raw, type=_Type).resourceType
    except UNREADABLE:
        return ""


def _bundle_entries(inside: list[_Entry], where: str) -> Iterator[Envelope | Reject]:
    """Entries refer to each other by fullUrl; a patient named so is resolved to its id."""
    filed = [
        _adopt_full_url(bytes(entry.resource), entry.fullUrl, f"{where}[{number}]")
        for number, entry in enumerate(inside)
        if bytes(entry.resource)
    ]
    urls = [str(entry.fullUrl or "") for entry in inside if bytes(entry.resource)]
    id_of = {
        split_reference(url)[1]: one.id
        for url, one in zip(urls, filed, strict=True)
        if isinstance(one, Envelope) and url.startswith("urn:uuid:")
    }
    for one in filed:
        if isinstance(one, Envelope) and one.patient in id_of:
            one = msgspec.structs.replace(one, patient=id_of[one.patient])
        yield one


def _adopt_full_url(raw: bytes, full_url: Any, where: str) -> Envelope | Reject:
    """A transaction Bundle may leave ids to the server; its fullUrl names the resource here."""
    filed = open_envelope(raw, where)
    nameless = isinstance(filed, Reject) and filed.reason == "no id"
    if not (nameless and isinstance(full_url, str) and full_url.startswith("urn:uuid:")):
        return filed
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return open_envelope(msgspec.json.encode(fields | {"id": split_reference(full_url)[1]}), where)
