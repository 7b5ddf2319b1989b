"""From what the server can do and the settings to a list of questions, each with a reason.

Finding: who had a CAR T infusion? By coded procedures, by medication administrations, by a group,
by a list of patients, or by taking everything. Pulling: what is known of each of them.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from adapter.codes import Codes
from adapter.config import Connection
from adapter.dates import instant_of
from adapter.errors import UNREADABLE, ConfigError
from adapter.fhir.capabilities import Capabilities
from adapter.fhir.pages import Params, Query
from adapter.fhir.quirks import Quirks

#: Concepts that find recipients, by the type they are searched in. History codes find patients
#: infused elsewhere; orders (MedicationRequest) are often never infused.
FINDERS: dict[str, tuple[str, ...]] = {
    "Procedure": ("cart_infusion", "cart_infusion_review", "cart_product"),
    "MedicationAdministration": ("cart_product", "cart_infusion"),
    "Condition": ("cart_history",),
}
_BY_STRATEGY = {
    "auto": ("Procedure", "MedicationAdministration", "Condition"),
    "procedures": ("Procedure", "Condition"),
    "medications": ("MedicationAdministration",),
}
_TOO_WIDE = {"unclassified_biologic", "history_other_cellular", "history_cellular_unspec"}
_CLINICAL_LOOK_BACK = 60 * 86_400.0  # late entries reach back: autopsy, coding after discharge


class Planned(msgspec.Struct):
    """One line of `cart-nrm plan`: what is asked, why, and how many rows to expect."""

    what: str
    reason: str
    expected: int | None = None


class Planner:
    """Writes the questions; knows nothing of what was answered before."""

    def __init__(self, connection: Connection, quirks: Quirks, offers: Capabilities) -> None:
        self.connection, self.quirks, self.offers = connection, quirks, offers
        self.page = min(connection.page_size, quirks.largest_page)
        self.without_instants = set(quirks.no_last_updated)  # and what the server turns out to be

    def types(self) -> list[str]:
        """The types we ask for: configured and, as far as the server says, offered."""
        offered = self.offers.params
        return [kind for kind in self.connection.types if not offered or kind in offered]

    def missing_types(self) -> list[str]:
        """Configured types that the server does not offer."""
        return [kind for kind in self.connection.types if kind not in self.types()]

    def by_instant(self, kind: str) -> bool:
        """Can this type be asked for what changed since an instant?"""
        return not self.without_instants & {"*", kind}

    def doubtful(self) -> list[str]:
        """Types of which the server does not say that they are searched by _lastUpdated."""
        return [
            kind
            for kind in self.types()
            if self.by_instant(kind) and not self.offers.has(kind, "_lastUpdated")
        ]

    def query(self, kind: str, params: Params = ()) -> Query:
        """A search of one type, with the categories that some servers insist on."""
        if categories := self.quirks.categories.get(kind):
            params = (*params, ("category", ",".join(categories)))
        return Query(kind, params, page=self.page, sorted=self.by_instant(kind))

    def light(self, query: Query) -> Query:
        """The same search for ids and meta only, in large pages."""
        return msgspec.structs.replace(query, light=True, page=self.quirks.largest_page)

    def ids(self, query: Query) -> Query:
        """All ids of a search, walked from instant to instant so that nothing slips through."""
        return msgspec.structs.replace(self.light(query), keyset=True)

    def of_patients(self, kind: str, patients: Iterable[str], *, typed: bool) -> Query:
        """What one type holds about some patients; `typed`: named as Patient/7, not as 7."""
        if kind == "Patient":
            return self.query(kind, (("_id", ",".join(patients)),))
        names = (f"Patient/{patient}" if typed else patient for patient in patients)
        return self.query(kind, (("patient", ",".join(names)),))

    def by_ids(self, kind: str, ids: Iterable[str]) -> list[Query]:
        """Some resources by their ids, as many questions as it takes."""
        every, size = sorted(ids), max(1, min(100, self.page))
        parts = [every[start : start + size] for start in range(0, len(every), size)]
        return [Query(kind, (("_id", ",".join(part)),), page=size, sorted=False) for part in parts]

    def batches(self, patients: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
        """Patients in groups that fit one question."""
        every = sorted(patients)
        for start in range(0, len(every), size):
            yield tuple(every[start : start + size])

    def changes(self, query: Query, since: float, boundary: float, full: bool) -> Iterator[Query]:
        """What changed since an instant, without sending again what we hold.

        Rows from `since` to `boundary` (the newest we hold) are listed by id and meta only; newer
        rows come whole. A type that knows no instants is asked by clinical date, or in full.
        """
        if not self.by_instant(query.type):
            parameter = self.quirks.clinical_dates.get(query.type)
            if full or not parameter:
                yield query
            else:
                day = instant_of(since - _CLINICAL_LOOK_BACK)[:10]
                yield query.also((parameter, f"ge{day}"))
            return
        if boundary >= since:
            high = instant_of(boundary + 0.001)
            held = (("_lastUpdated", f"ge{instant_of(since)}"), ("_lastUpdated", f"le{high}"))
            yield self.light(query.also(*held))
            yield query.also(("_lastUpdated", f"gt{high}"))
        else:
            yield query.also(("_lastUpdated", f"ge{instant_of(since)}"))

    # -- finding ---------------------------------------------------------------------------

    def finders(self, codes: Codes) -> dict[str, list[Query]]:
        """The searches that find recipients, by type."""
        kinds = [
            kind
            for kind in _BY_STRATEGY.get(self.connection.find, ())
            if kind in self.types() and (not self.offers.params or self.offers.has(kind, "code"))
        ]
        found = {kind: self._by_code(kind, codes) for kind in kinds}
        if self.connection.find in _BY_STRATEGY and not any(found.values()):
            raise ConfigError(
                "The server offers no search by code, so recipients cannot be found.",
                "Set connection.find to group, patients or all.",
            )
        return {kind: queries for kind, queries in found.items() if queries}

    def _by_code(self, kind: str, codes: Codes) -> list[Query]:
        values = search_values(kind, codes, with_system=self.quirks.token_with_system)
        size = self.quirks.batch_codes
        return [
            self.query(kind, (("code", ",".join(values[start : start + size])),))
            for start in range(0, len(values), size)
        ]


def search_values(kind: str, codes: Codes, *, with_system: bool) -> list[str]:
    """The codes to search a type for.

    Without their system, because the same system goes by several names (URI, OID); what comes back
    is looked at again, code by code. A code known only by its beginning cannot be searched.
    """
    return sorted(
        {
            f"{row.system}|{row.code}" if with_system else row.code
            for row in codes.rows
            if row.match != "prefix" and _finds(kind, row.concept, row.subconcept)
        }
    )


def _finds(kind: str, concept: str, subconcept: str) -> bool:
    """Codes of "some cellular therapy" or "some new biologic" would bring in strangers."""
    return concept in FINDERS[kind] and subconcept not in _TOO_WIDE


class _Coding(msgspec.Struct):
    system: object = None
    code: object = None
    version: object = None


class _Concept(msgspec.Struct):
    coding: list[_Coding] = []


class _Coded(msgspec.Struct):
    code: _Concept | None = None
    medicationCodeableConcept: _Concept | None = None


def is_recipient_row(kind: str, body: bytes, codes: Codes) -> bool:
    """Does this row really carry one of the codes we searched for? Servers ignore parameters.

    One of odd shape (a null among its codings) may: its patient is pulled, and the facts decide.
    """
    try:
        row = msgspec.json.decode(body, type=_Coded)
    except msgspec.ValidationError:
        return True
    except UNREADABLE:
        return False
    return any(
        _finds(kind, meaning.concept, meaning.subconcept) and not meaning.excluded
        for concept in (row.code, row.medicationCodeableConcept)
        if concept is not None
        for coding in concept.coding
        for meaning in codes.lookup(
            str(coding.system or ""), str(coding.code or ""), str(coding.version or "")
        )
    )


def describe_plan(
    planner: Planner,
    codes: Codes,
    count: Callable[[Query], int | None],
    recipients: Iterable[str] = (),
    *,
    typed: bool = False,
) -> list[Planned]:
    """What a sync would ask, why, and how many rows the server says there are. Pulls nothing."""
    lines = [
        Planned(f"{kind}: not asked", "the server does not offer this type", 0)
        for kind in planner.missing_types()
    ]
    for kind, queries in planner.finders(codes).items():
        for number, query in enumerate(queries, 1):
            size = len(query.params[0][1].split(","))
            reason = f"find recipients: {size} codes of {', '.join(FINDERS[kind])}"
            part = f"{kind} by code, part {number} of {len(queries)}"
            lines.append(Planned(part, reason, count(query)))
    if planner.connection.mode == "bulk":
        types = ", ".join(planner.types())
        return [*lines, Planned(f"export of {types}", "connection.mode is bulk")]
    if planner.connection.find == "all":
        every = [planner.query(kind) for kind in planner.types()]
        reason = "connection.find is all"
        return [*lines, *(Planned(f"every {q.type}", reason, count(q)) for q in every)]
    return lines + _pulls(planner, count, list(recipients), typed)


def _pulls(
    planner: Planner, count: Callable[[Query], int | None], recipients: list[str], typed: bool
) -> list[Planned]:
    size = planner.quirks.batch_patients
    lines = []
    for kind in planner.types():
        counts = [
            count(planner.of_patients(kind, batch, typed=typed))
            for batch in planner.batches(recipients, size)
        ]
        known = [number for number in counts if number is not None]
        expected = sum(known) if counts and len(known) == len(counts) else None
        reason = f"of each recipient found, {size} patients a question"
        if recipients:
            reason = f"{len(recipients)} known patients, {len(counts)} questions"
        lines.append(Planned(f"{kind} of patients", reason, expected))
    return lines
