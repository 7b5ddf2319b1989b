"""What lies on disk: NDJSON, Bundles, single resources, folders, gzip, one entry after another.

What cannot be filed comes as a Reject with its place and reason. A damaged file gives everything
before the damage. A large plain file is read in portions, so that several processes may share it.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

from adapter.envelope import Envelope, Reject, open_envelope, split_reference
from adapter.errors import StoreError, UsageError

SUFFIXES = (".ndjson", ".jsonl", ".json", ".ndjson.gz", ".jsonl.gz", ".json.gz")
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
_LONGEST_LINE = 64 * 2**20  # a resource this large is an attachment, not a fact
_PORTION = 8 * 2**20
_BUFFER = 2**18


class Portion(NamedTuple):
    """The lines of a file that begin from byte `start` up to `end` (None: all there are)."""

    file: Path
    start: int = 0
    end: int | None = None
    before: int = 0  # lines of the file that come before, where they were counted


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
        if _is_document(file) or length <= size or _is_packed(file):
            yield Portion(file)
        else:
            for start in range(0, length, size):
                yield Portion(file, start, start + size)


def entries(
    portion: Portion, wanted: Callable[[bytes], bool] | None = None
) -> Iterator[Envelope | Reject | None]:
    """Everything in one portion, in order; None for what `wanted` did not want opened."""
    name = portion.file.name
    try:
        for number, raw in lines(portion):
            if not raw:
                continue
            if wanted is not None and not wanted(raw):
                yield None
            elif isinstance(raw, TooLong):
                yield Reject(f"{name}:{number}", "the line is longer than 64 MB", raw)
            else:
                yield from opened(raw, f"{name}:{number}" if number else name)
    except DAMAGE:
        yield Reject(name, "the compressed file is damaged or cut off here", b"")
    except OSError as problem:
        raise StoreError(f"{portion.file} cannot be read: {problem.strerror}.") from None


def lines(portion: Portion) -> Iterator[tuple[int, bytes]]:
    """(number, line) without the blanks around it; number 0 stands for the whole document."""
    with _stream(portion.file) as stream:
        if _is_document(portion.file):
            yield from _document(stream.read())
        else:
            yield from _lines(stream, portion)


def _is_document(file: Path) -> bool:
    return file.name.lower().removesuffix(".gz").endswith(".json")


def _is_packed(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"  # some servers name plain files .gz, and gzip plain


def _stream(file: Path) -> IO[bytes]:
    if _is_packed(file):
        return cast(IO[bytes], gzip.open(file, "rb"))
    return file.open("rb", buffering=_BUFFER)


def _lines(stream: IO[bytes], portion: Portion) -> Iterator[tuple[int, bytes]]:
    number, position = portion.before, portion.start
    if portion.start:  # the line that is under way here belongs to the portion before
        stream.seek(portion.start - 1)
        position += len(stream.readline()) - 1
    while (portion.end is None or position < portion.end) and (
        line := stream.readline(_LONGEST_LINE)
    ):
        number += 1
        position += len(line)
        if len(line) >= _LONGEST_LINE and not line.endswith(b"\n"):
            yield number, TooLong(line[:1000])
            while (rest := stream.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                position += len(rest)
            position += len(rest)
        else:
            yield number, line.strip().removeprefix(b"\xef\xbb\xbf")


def _document(raw: bytes) -> Iterator[tuple[int, bytes]]:
    raw = raw.strip().removeprefix(b"\xef\xbb\xbf")
    if b"\n" in raw and not _is_json(raw):
        # NDJSON under a .json name is common; each line stands for itself
        for number, line in enumerate(raw.splitlines(), 1):
            yield number, line.strip()
    elif raw:
        yield 0, raw


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


# -- one resource, or a Bundle of them -------------------------------------------------------


class _Entry(msgspec.Struct):
    fullUrl: Any = None
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


_bundle = msgspec.json.Decoder(_Bundle)


def opened(raw: bytes, where: str) -> Iterator[Envelope | Reject]:
    """The resource of one line, or those of the Bundle that it is."""
    filed = open_envelope(raw, where)
    kind = filed.type if isinstance(filed, Envelope) else _type_of(raw)
    if kind != "Bundle":
        yield filed
        return
    try:
        inside = _bundle.decode(raw).entry
    except msgspec.ValidationError:
        yield Reject(where, "a Bundle whose entries cannot be read", raw)
        return
    yield from _bundle_entries(inside, where)


class _Type(msgspec.Struct):
    resourceType: str = ""


def _type_of(raw: bytes) -> str:
    try:
        return msgspec.json.decode(raw, type=_Type).resourceType
    except (msgspec.DecodeError, UnicodeDecodeError):
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
    fields = msgspec.json.decode(raw)
    return open_envelope(msgspec.json.encode(fields | {"id": split_reference(full_url)[1]}), where)
