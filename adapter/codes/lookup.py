"""Which concepts does this coding stand for? The longest prefix wins; an exclusion beats all.

`Codes.lookup` is asked for every coding of every resource, so answers are remembered.
"""

import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
from msgspec.structs import replace

from adapter.codes import tables
from adapter.codes.systems import (
    MAPPINGS,
    certainties,
    codes_in,
    row_code,
    short_name,
    system_of,
)
from adapter.codes.tables import Row, catalog, read_csv, wording_of
from adapter.errors import MappingError
from adapter.model import Note

_REMEMBERED = 200_000  # more than any hospital's codes; hostile ones must not fill memory


class Meaning(msgspec.Struct, frozen=True):
    """What one coding stands for: `group` is the class of the subconcept, `label` our wording.

    `kind` refines the group (infection: sepsis, bloodstream, pneumonia ...; `ambiguous` may be no
    infection at all). `review`: never counts, a person looks. A look-alike `strikes` out concepts.
    """

    concept: str
    subconcept: str
    group: str
    label: str
    review: bool = False
    kind: str = ""
    strikes: tuple[str, ...] = ()
    code: str = ""  # "system|code" as the source wrote it
    certainty: str = ""  # the German letter behind the code: A, V, Z or G

    @property
    def excluded(self) -> bool:
        """Is this a look-alike?"""
        return self.concept.endswith("_EXCLUDE")


class Trace(msgspec.Struct, frozen=True):
    """One row that a code came near to, and whether and why it won or lost."""

    row: Row
    won: bool
    why: str
    certainty: str = ""


#: How well a row fits: a code of its own beats a prefix, a long prefix a short one, any of them
#: an ancestor; of two ancestors the one with fewer descendants is the nearer.
Fit = tuple[int, int]
_BELOW, _PREFIX, _ITSELF = 0, 1, 2
#: Descendants by system and parent.
Children = dict[tuple[str, str], frozenset[str]]


class Codes:
    """All loaded rows, ready to be asked."""

    def __init__(
        self,
        rows: list[Row],
        left_out: dict[Row, str] | None = None,
        children: Children | None = None,
        who_is_gm: bool = False,
    ) -> None:
        self.rows = tuple(sorted(rows, key=lambda row: (row.key, row.subconcept)))
        self.left_out = left_out or {}
        self.digest = _digest(self.rows, children or {}, who_is_gm)
        self.who_is_gm = who_is_gm
        self._filed: defaultdict[tuple[str, str], list[tuple[Fit, Row]]] = defaultdict(list)
        self._memo: dict[tuple[str | None, ...], tuple[Meaning, ...]] = {}
        self._parents_only: Counter[str] = Counter()
        for row in self.rows:
            self._file(row, children or {})

    def _file(self, row: Row, children: Children) -> None:
        _, system, code = row.key
        fit = (_PREFIX, len(code)) if row.match == "prefix" else (_ITSELF, 0)
        self._filed[system, code].append((fit, row))
        if row.match == "descendants":
            below = children.get((system, code))
            if below is None:
                self._parents_only[system] += 1
            for child in below or ():
                self._filed[system, child].append(((_BELOW, -len(below or ())), row))

    @property
    def notes(self) -> tuple[Note, ...]:
        """What these tables cannot see, and what to do about it."""
        return tuple(
            Note(
                f"{count} {short_name(system)} codes stand for their descendants too, but no "
                "expansion is loaded: only the codes themselves are recognised.",
                where=system,
                todo="Run `cart-nrm mappings expand` against a terminology server.",
                kind="no_expansion",
            )
            for system, count in sorted(self._parents_only.items())
        )

    def lookup(
        self, system: str | None, code: str | None, version: str | None = ""
    ) -> tuple[Meaning, ...]:
        """What this coding stands for; an empty tuple when we do not know it.

        An excluded code answers with its exclusion and without the concepts that strikes out.
        """
        key = (system, code, version)
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) >= _REMEMBERED:
                self._memo.clear()
            traces = self.trace(system or "", code or "", version or "")
            written = f"{system or ''}|{code or ''}"
            meant = (
                replace(_meaning(trace.row, written), certainty=trace.certainty)
                for trace in traces if trace.won
            )  # fmt: skip
            found = self._memo[key] = tuple(dict.fromkeys(meant))
        return found

    def trace(self, system: str, code: str, version: str = "") -> list[Trace]:
        """Every loaded row this coding fits, won or lost; several codes in one are all judged."""
        uri = system_of(system, version, self.who_is_gm)
        letters = certainties(uri, code)
        return [
            replace(trace, certainty=letters.get(one, ""))
            for one in codes_in(uri, code)
            for trace in _judge(self._fitting(uri, one))
        ]

    def _fitting(self, uri: str, code: str) -> list[tuple[Fit, Row]]:
        return [
            (fit, row)
            for length in range(len(code), 0, -1)
            for fit, row in self._filed.get((uri, code[:length]), ())
            if length == len(code) or fit[0] == _PREFIX
        ]


def _judge(fitting: list[tuple[Fit, Row]]) -> list[Trace]:
    """Per concept the best fit wins, unless another concept's exclusion strikes it out."""
    best: dict[str, tuple[Fit, bool]] = {}
    for fit, row in fitting:
        best[row.concept] = max(best.get(row.concept, (fit, False)), (fit, row.site))
    struck = {concept: row for _, row in fitting for concept in _strikes(row)}
    return [_verdict(fit, row, best[row.concept], struck.get(row.concept)) for fit, row in fitting]


def _verdict(fit: Fit, row: Row, best: tuple[Fit, bool], striker: Row | None) -> Trace:
    if striker is not None:
        return Trace(row, False, f"excluded by {striker.concept} {striker.code} ({striker.origin})")
    if (fit, row.site) < best:
        return Trace(row, False, f"a closer row of {row.concept} wins")
    return Trace(row, True, ("descendant", "prefix", "the code itself")[fit[0]])


def _strikes(row: Row) -> tuple[str, ...]:
    return catalog()[row.concept].excludes if row.concept in catalog() else ()


def _meaning(row: Row, written: str = "") -> Meaning:
    words = wording_of(row.concept, row.subconcept, row.code)
    review = row.concept.endswith("_review") or words.kind == "review"
    return Meaning(
        row.concept, row.subconcept, words.group, words.label, review, words.kind,
        _strikes(row), written,
    )  # fmt: skip


def _digest(rows: tuple[Row, ...], children: Children, who_is_gm: bool) -> str:
    """Changes whenever any answer could change; the place of a row in its file does not matter."""
    said = sorted((*row.key, row.match, msgspec.structs.astuple(_meaning(row))) for row in rows)
    below = sorted((*parent, *sorted(codes)) for parent, codes in children.items())
    return hashlib.sha256(msgspec.json.encode((said, below, who_is_gm))).hexdigest()[:16]


def load_codes(
    site: Path | None = None, *, include_unverified: bool = False, who_is_gm: bool = False
) -> Codes:
    """Our tables with a site's overlay over them.

    `who_is_gm`: this site's server puts ICD-10-GM codes under the WHO ICD-10 URI.
    Raises MappingError with file and line when an overlay row cannot be used.
    """
    rows, left_out = tables.shipped_rows(), dict[Row, str]()
    if not include_unverified:
        left_out = {row: "unverified: off" for row in rows if not row.counts_by_default}
        rows = [row for row in rows if row.counts_by_default]
    if site is not None:
        rows, gone = tables.apply_overlay(rows, tables.overlay_changes(site))
        left_out |= gone
    return Codes(rows, left_out, _expansions(site), who_is_gm)


def _expansions(site: Path | None) -> Children:
    """Descendants by (system, parent), from expansions/*.csv of ours and of the site."""
    below: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for folder in (MAPPINGS, site):
        for path in sorted((folder / "expansions").glob("*.csv")) if folder else ():
            for line, cells in read_csv(path):
                if not {"system", "parent", "code"} <= cells.keys():
                    where, hint = f"{path.name}:{line}", "The header is system,parent,code."
                    raise MappingError(f"{where}: a column is missing.", hint)
                system = system_of(cells["system"])
                parent = row_code(system, cells["parent"])
                below[system, parent].add(row_code(system, cells["code"]))
    return {parent: frozenset(codes) for parent, codes in below.items()}
