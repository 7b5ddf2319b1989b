"""A day table, `day | what`, becomes a timeline: the words of mappings/, days from infusion.

     19 | blood culture: Pseudomonas aeruginosa
    30..60 | relapse [problem list, entered 70]
      ? | death

docs/cases.md lists the words and the circumstances that may stand in brackets.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from functools import cache

import msgspec

from adapter.codes.tables import wordings
from adapter.dates import Interval
from adapter.errors import UsageError
from adapter.model import TRAITS, Fact, Timeline
from adapter.timelines import timeline_of

#: What needs the living patient: reading FHIR makes a `contact` of each.
PRESENCE = frozenset({
    "contact", "lab", "lab_micro", "microbiology_result", "vital", "performance_status",
    "cart_infusion", "cart_product", "lymphodepletion", "bridging", "hct", "supportive_drug",
})  # fmt: skip

Row = tuple[int, str, str]  # line of the file, day, what

DAY_ZERO = 738_000  # any day will do; the clock of a table is its day column
_ROW = re.compile(r"(?P<word>[^:\[\]]+)(?::\s*(?P<detail>[^\[\]]*))?(?P<how>(?:\[[^\]]*\]\s*)*)")
_VALUE = re.compile(r"([<>]?)\s*(-?\d+(?:\.\d+)?)\s*(.*)")

#: What a row may begin with, beside the concepts themselves: (concept, traits it implies).
_WORDS: dict[str, tuple[str, frozenset[str]]] = {
    "infusion": ("cart_infusion", frozenset()),
    "product": ("cart_product", frozenset()),
    "blood culture": ("microbiology_result", frozenset({"positive", "blood"})),
    "culture": ("microbiology_result", frozenset({"positive"})),
    "pcr": ("microbiology_result", frozenset({"positive"})),
    "second malignancy": ("second_primary_malignancy", frozenset()),
    "status": ("disease_status", frozenset()),
    "visit": ("contact", frozenset()),
    "transplant": ("hct", frozenset()),
    "history of cart": ("cart_history", frozenset({"history"})),
    "drug": ("", frozenset()),
    "certified": ("", frozenset({"certified"})),
    "diagnosis": ("", frozenset()),
    "look alike": ("cart_infusion_EXCLUDE", frozenset()),
}
_TRAIT_WORDS = {
    "refuted": "refuted_by_source", "ordered": "planned", "bill": "billing",
    "encounter": "encounter_diagnosis", "entry only": "day_only_from_entry",
    "stay only": "dated_by_encounter", "other tumour": "other_focus",
}  # fmt: skip
#: Where the word alone does not say what kind of thing follows it.
_DRUGS = ("supportive_drug", "lymphodepletion", "bridging")
_DIAGNOSES = ("infection", "toxicity", "organ", "second_primary_malignancy", "disease_status",
              "indication", "garbage_cause", "external_cause")  # fmt: skip
_WITHIN = {"drug": _DRUGS, "certified": _DIAGNOSES, "diagnosis": _DIAGNOSES,
           "culture": ("microbiology_result", "lab_micro"),
           "blood culture": ("microbiology_result", "lab_micro"),
           "pcr": ("lab_micro", "microbiology_result"),
           "look alike": ("cart_infusion_EXCLUDE",)}  # fmt: skip
#: The FHIR type such a fact comes from, where it matters to a rule; the others are Conditions.
_RESOURCES = {
    "cart_infusion": "Procedure", "cart_product": "MedicationAdministration", "hct": "Procedure",
    "leukapheresis": "Procedure", "cart_processing": "Procedure", "contact": "Encounter",
    "microbiology_result": "Observation", "disease_status": "Observation", "lab": "Observation",
    "vital": "Observation", "performance_status": "Observation", "death": "Patient",
    "encounter": "Encounter", **dict.fromkeys(_DRUGS, "MedicationAdministration"),
}  # fmt: skip


def timeline_of_rows(rows: Iterable[Row], name: str = "table") -> Timeline:
    """The timeline a table describes: a woman of 60 with large B-cell lymphoma unless it says.

    Whatever needs the living patient (a lab value, a culture, a drug given) is a contact as well.
    """
    facts = [fact for row in rows for fact in _facts(row, name)]
    if not any(fact.concept == "indication" for fact in facts):
        facts.append(Fact("indication", "DLBCL", _day("-365"), "Condition/index", group="LBCL"))
    facts += [
        Fact("contact", "", day, fact.source)
        for fact in facts
        if fact.concept in PRESENCE and fact.counts
        for day in (fact.when, fact.end)
        if day is not None
    ]
    born = Interval(DAY_ZERO - 22_000, DAY_ZERO - 22_000)
    return timeline_of(Timeline("case", tuple(facts), sex="female", born=born))


def _facts(row: Row, name: str) -> Iterator[Fact]:
    line, days, what = row
    match = _ROW.fullmatch(what.strip())
    if match is None:
        raise UsageError(f"{name}:{line}: cannot read {what!r}.")
    try:
        for number, day in enumerate(days.split(",")):
            yield _fact(match, _day(day), f"row-{line}-{number}")
    except UsageError as problem:
        raise UsageError(f"{name}:{line}: {problem.message}", problem.hint) from None


def _fact(match: re.Match[str], when: Interval | None, name: str) -> Fact:
    """One row on one day: what it names, then what the brackets say of it."""
    word, detail = _plain(match["word"]), (match["detail"] or "").strip()
    concept, implied = _WORDS.get(word, (_concepts().get(word, ""), frozenset()))
    fact = _named(word, concept, detail)
    if concept == "microbiology_result":  # a positive PCR is filed by its test
        fact = msgspec.structs.replace(fact, concept=concept)
    traits, end, recorded = _circumstances(match["how"])
    traits |= fact.traits | implied
    if when is None and fact.concept == "death":
        traits |= {"no_time"}
    if detail == "negative":
        traits = (traits - {"positive"}) | {"negative"}
    listed = traits & {"problem_list", "encounter_diagnosis"}
    resource = "Condition" if listed else _RESOURCES.get(fact.concept, "Condition")
    return msgspec.structs.replace(
        fact, when=when, source=f"{resource}/{name}", end=end, recorded=recorded, traits=traits
    )


def _named(word: str, concept: str, detail: str) -> Fact:
    """The fact the words before the brackets name; "ANC: 0.3" is a measurement."""
    number = _VALUE.fullmatch(detail)
    measured = _find(word, ("lab", "vital", "performance_status")) if number else None
    if number and measured:
        limit = {"<": {"less_than"}, ">": {"more_than"}}.get(number[1], set())
        return msgspec.structs.replace(
            measured, value=float(number[2]), unit=number[3], traits=frozenset(limit)
        )
    if concept == "death" and not detail:
        return Fact("death", "deceased_flag", None, "", label="died")
    if concept in ("contact", "text_only", "encounter") or detail in ("", "negative"):
        found = None if concept else _find(word, ())
        return found or Fact(concept or _known(word), detail, None, "", label=word)
    within = _WITHIN.get(word, (concept or _known(word),))
    found = _find(detail, within)
    if found is None:
        raise UsageError(f"{detail!r} is not a word of the mappings.", _nearest(detail, within))
    return found


def _known(word: str) -> str:
    if word not in _concepts() and word not in _WORDS:
        raise UsageError(f"{word!r} is not a word of the mappings.", _nearest(word, ()))
    return word.replace(" ", "_")


def _circumstances(text: str) -> tuple[frozenset[str], Interval | None, Interval | None]:
    """[problem list, until 40, entered 130] as traits, end and day of entry."""
    traits, end, recorded = set(), None, None
    for word in re.split(r"[\[\],]+", text):
        plain = " ".join(word.split()).lower()
        trait = _TRAIT_WORDS.get(plain, plain.replace(" ", "_"))
        if trait in TRAITS:
            traits.add(trait)
        elif plain.startswith("until "):
            end = _day(plain.removeprefix("until "))
        elif plain.startswith("entered "):
            recorded = _day(plain.removeprefix("entered "))
        elif plain:
            raise UsageError(f"{plain!r} is no circumstance.", f"Known: {', '.join(TRAITS)}.")
    return frozenset(traits), end, recorded


def _day(text: str) -> Interval | None:
    """24, -300, 30..60 (some day between) or ? (nobody knows)."""
    text = text.strip().lstrip("~")
    if text == "?":
        return None
    match = re.fullmatch(r"(-?\d+)(?:\.\.(-?\d+))?", text)
    if match is None:
        raise UsageError(f"{text!r} is no day; write 24, 30..60 or ?.")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise UsageError(f"{text!r} ends before it begins.")
    return Interval(DAY_ZERO + first, DAY_ZERO + last, f"day {text}")


# -- words -----------------------------------------------------------------------------------


@cache
def _words() -> dict[str, list[Fact]]:
    """Every name of mappings/subconcepts.csv; a subconcept or label beats the name of a group."""
    names: dict[str, list[Fact]] = {}
    for (concept, subconcept, _), said in wordings().items():
        fact = Fact(concept, subconcept, None, "", said.group, label=said.label, kind=said.kind)
        for name in (subconcept, said.label):
            names.setdefault(_plain(name), []).append(fact)
    for (concept, _, _), said in wordings().items():
        fact = Fact(concept, "", None, "", said.group, label=said.group)
        names.setdefault(_plain(said.group), []).append(fact)
    return names


@cache
def _concepts() -> dict[str, str]:
    found = {fact.concept for facts in _words().values() for fact in facts}
    return {_plain(name): name for name in found | {"contact", "text_only", "encounter"}}


def _find(name: str, within: tuple[str, ...]) -> Fact | None:
    """The meaning of a name, in the given concepts in that order (anywhere when none is given)."""
    found = [f for f in _words().get(_plain(name), []) if not within or f.concept in within]
    return min(found, key=lambda f: within.index(f.concept) if within else 0, default=None)


def _nearest(name: str, within: tuple[str, ...]) -> str:
    known = [w for w, facts in _words().items() if not within or facts[0].concept in within]
    near = difflib.get_close_matches(_plain(name), known, n=4, cutoff=0.5)
    return f"Near: {', '.join(near)}." if near else "See mappings/subconcepts.csv."


def _plain(text: str) -> str:
    """Lower case, single blanks, American spelling: what two people write for one thing."""
    plain = " ".join(re.split(r"[^a-z0-9]+", text.lower())).strip()
    return plain.replace("ae", "e").replace("oe", "e").replace("our", "or")
