"""Take in an export that is already on disk: NDJSON, Bundles, single resources, folders, gzip.

What can be filed is stored; what cannot is kept as a reject with its place and reason. A damaged
file gives everything before the damage.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from adapter.envelope import TYPES, Envelope, Reject, open_envelope, split_reference
from adapter.errors import StoreError, UsageError
from adapter.store import Store

SUFFIXES = (".ndjson", ".jsonl", ".json", ".ndjson.gz", ".jsonl.gz", ".json.gz")
_BATCH = 2_000
_LONGEST_LINE = 64 * 2**20  # a resource this large is an attachment, not a fact


class LoadReport(msgspec.Struct):
    """What became of everything that was read; the counts add up to `read`."""

    run: int = 0
    files: int = 0
    read: int = 0
    stored: int = 0
    unchanged: int = 0
    rejected: int = 0
    not_used: dict[str, int] = {}

    @property
    def complete(self) -> bool:
        """True when nothing had to be rejected."""
        return self.rejected == 0


def load(
    store: Store, paths: Iterable[Path], tell: Callable[[str, int], None] | None = None
) -> LoadReport:
    """Load files and folders into the store as one run; `tell(file name, resources read)`."""
    files = list(_files(paths))
    run = store.begin("load", "files")
    report = LoadReport(run=run, files=len(files))
    not_used: Counter[str] = Counter()
    for file in files:
        entries = _entries(file)
        while batch := list(islice(entries, _BATCH)):
            _keep(store, report, batch, not_used)
            if tell is not None:
                tell(file.name, report.read)
    report.not_used = dict(sorted(not_used.items()))
    store.end(run, "complete" if report.complete else "partial", msgspec.to_builtins(report))
    return report


def _keep(
    store: Store, report: LoadReport, batch: list[Envelope | Reject], not_used: Counter[str]
) -> None:
    usable = [e for e in batch if isinstance(e, Envelope) and e.type in TYPES]
    rejects = [r for r in batch if isinstance(r, Reject)]
    for entry in batch:
        if isinstance(entry, Envelope) and entry.type not in TYPES:
            if is_fhir_type(entry.type):
                not_used[entry.type] += 1
            else:
                rejects.append(Reject(f"{entry.type}/{entry.id}", "not a FHIR R4 type", entry.body))
    with store.transaction():
        kept = store.add(report.run, usable)
        store.reject(report.run, rejects)
    report.read += len(batch)
    report.stored += kept.stored
    report.unchanged += kept.unchanged
    report.rejected += len(rejects)
    if kept.erased:
        not_used["of a patient erased on request"] += kept.erased


def is_fhir_type(name: str) -> bool:
    """Is this the name of an R4 resource type (one we do not use), or something unknown?"""
    from fhir.resources.R4B import get_fhir_model_class

    try:
        get_fhir_model_class(name)
    except (KeyError, LookupError, ValueError):
        return False
    return True


def _files(paths: Iterable[Path]) -> Iterator[Path]:
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


def _entries(file: Path) -> Iterator[Envelope | Reject]:
    """Everything in one file, in order."""
    name = file.name.lower().removesuffix(".gz")
    try:
        with _opened(file) as stream:
            if name.endswith(".json"):
                yield from _whole_document(stream.read(), file.name)
            else:
                yield from _lines(stream, file.name)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        yield Reject(file.name, "the compressed file is damaged or cut off here", b"")
    except OSError as problem:
        raise StoreError(f"{file} cannot be read: {problem.strerror}.") from None


def _opened(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"  # some servers name plain files .gz, and gzip plain
    return cast(IO[bytes], gzip.open(file, "rb")) if packed else file.open("rb")


def _lines(stream: IO[bytes], name: str) -> Iterator[Envelope | Reject]:
    number = 0
    while line := stream.readline(_LONGEST_LINE):
        number += 1
        where = f"{name}:{number}"
        if len(line) >= _LONGEST_LINE and not line.endswith(b"\n"):
            yield Reject(where, "the line is longer than 64 MB", line[:1000])
            while (rest := stream.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        elif stripped := line.strip().removeprefix(b"\xef\xbb\xbf"):
            yield from _resource_or_bundle(stripped, where)


def _whole_document(raw: bytes, name: str) -> Iterator[Envelope | Reject]:
    raw = raw.strip().removeprefix(b"\xef\xbb\xbf")
    if b"\n" in raw and not _is_json(raw):
        # NDJSON under a .json name is common; each line stands for itself
        for number, line in enumerate(raw.splitlines(), 1):
            if line.strip():
                yield from _resource_or_bundle(line.strip(), f"{name}:{number}")
    elif raw:
        yield from _resource_or_bundle(raw, name)


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


class _Entry(msgspec.Struct):
    fullUrl: Any = None
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


_bundle = msgspec.json.Decoder(_Bundle)


def _resource_or_bundle(raw: bytes, where: str) -> Iterator[Envelope | Reject]:
    filed = open_envelope(raw, where)
    kind = filed.type if isinstance(filed, Envelope) else _type_of(raw)
    if kind != "Bundle":
        yield filed
        return
    try:
        entries = _bundle.decode(raw).entry
    except msgspec.ValidationError:
        yield Reject(where, "a Bundle whose entries cannot be read", raw)
        return
    yield from _bundle_entries(entries, where)


class _Type(msgspec.Struct):
    resourceType: str = ""


def _type_of(raw: bytes) -> str:
    try:
        return msgspec.json.decode(raw, type=_Type).resourceType
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _bundle_entries(entries: list[_Entry], where: str) -> Iterator[Envelope | Reject]:
    """Entries refer to each other by fullUrl; a patient named so is resolved to its id."""
    filed = [
        _adopt_full_url(bytes(entry.resource), entry.fullUrl, f"{where}[{number}]")
        for number, entry in enumerate(entries)
        if bytes(entry.resource)
    ]
    urls = [str(entry.fullUrl or "") for entry in entries if bytes(entry.resource)]
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
