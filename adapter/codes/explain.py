"""Why a code means what it means: every row it fits, and those it missed."""

from collections.abc import Iterator

import msgspec

from adapter.codes.lookup import Codes, Meaning, Trace
from adapter.codes.systems import codes_in, from_short, short_name, system_of, systems
from adapter.codes.tables import Row
from adapter.errors import UsageError


class Explanation(msgspec.Struct, frozen=True):
    """What one coding means here; `missed` are rows left out or of another system, and why."""

    system: str
    codes: tuple[str, ...]
    meanings: tuple[Meaning, ...]
    traces: tuple[Trace, ...]
    missed: tuple[tuple[Row, str], ...]

    def lines(self) -> list[str]:
        """The explanation for a person at a terminal."""
        head = f"{short_name(self.system)} {' '.join(self.codes) or '(no code)'}"
        said = [
            f"{head} is {m.label} ({m.concept}, {m.subconcept}, {m.group})" for m in self.meanings
        ] or [f"{head} means nothing here.{_licensed(self.system)}"]
        fits = [f"  {'won ' if t.won else 'lost'} {_row(t.row)}: {t.why}" for t in self.traces]
        return said + fits + [f"  out  {_row(row)}: {why}" for row, why in self.missed]


def _licensed(system: str) -> str:
    known = systems().get(system)
    if known is None or known.shipped:
        return ""
    return f" The licence of {known.name} forbids shipping its codes: use a site overlay."


def _row(row: Row) -> str:
    where = f"{row.concept} {row.subconcept} {short_name(row.system)} {row.code}"
    return f"{where} {row.match} [{row.confidence}; {row.origin}; {row.source}]"


def explain(codes: Codes, text: str, version: str = "") -> Explanation:
    """The explanation of `SYSTEM|CODE`; SYSTEM is a URI, an OID or a short name (ICD-10-CM)."""
    name, bar, code = text.rpartition("|")
    if not bar or not code.strip():
        raise UsageError(f"{text!r} is not SYSTEM|CODE.", 'Example: "ICD-10-CM|C83.3".')
    system = system_of(from_short(name), version, codes.who_is_gm)
    found, meant = codes_in(system, code), codes.lookup(system, code, version)
    traces = codes.trace(system, code, version)
    return Explanation(system, found, meant, tuple(traces), (*_missed(codes, system, found),))


def _missed(codes: Codes, system: str, found: tuple[str, ...]) -> Iterator[tuple[Row, str]]:
    for row, why in codes.left_out.items():
        if row.system == system and any(_fits(row, code) for code in found):
            yield row, why
    for row in codes.rows:
        if row.system != system and row.key[2] in found:
            yield row, f"a code of {short_name(row.system)}, and systems never share rows"


def _fits(row: Row, code: str) -> bool:
    return code.startswith(row.key[2]) if row.match == "prefix" else code == row.key[2]
