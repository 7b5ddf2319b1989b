"""Death records: dates of death, certified causes, vital status.

A certificate's text is never read; its coded causes are facts with the trait `certified`.
"""

from msgspec.structs import replace

from adapter.codes import Meaning
from adapter.facts.reading import Reading, Setting
from adapter.facts.shapes import Concept, Observation
from adapter.model import NO_EVIDENCE

#: Where on a certificate a cause may stand, and what that makes it.
_PART = {
    "underlying_cause": "underlying", "multiple_cause": "contributing",
    "contributing_text": "contributing", "cause_text": "",
}  # fmt: skip
_VIOLENT = frozenset({"manner_accident", "manner_suicide", "manner_homicide"})
_VALUE = "Observation.value"
_CERTIFIED = Meaning("death", "certified_cause", "died", "cause of death certified")
_UNMAPPED = Meaning("certified_unmapped", "", "", "certified cause without a mapping")


def read(valued: Observation, meaning: Meaning, setting: Setting, into: Reading) -> None:
    """One Observation or component about a death."""
    group, answer = meaning.group, valued.valueCodeableConcept
    if meaning.subconcept == "cause_of_death_obs":
        _onco_death(answer, meaning, setting, into)
    elif group in _PART:
        cause = answer or Concept(text=valued.valueString)
        marked = setting.also("certified", _PART[group])
        certified(cause, into.meanings(cause, _VALUE), marked, into)
    elif group == "death_date":
        when, _ = into.span(valued.valueDateTime or valued.valueString, valued.valuePeriod)
        into.add(meaning, setting.on(when))
    elif group == "vital_status":
        _vital_status(answer, setting, into)
    elif group == "manner":
        _manner(into.meanings(answer, _VALUE) or (meaning,), setting, into)
    elif group == "died":
        into.add(meaning, setting)


def certified(
    concept: Concept | None, meanings: tuple[Meaning, ...], setting: Setting, into: Reading
) -> None:
    """A cause of death from a certificate; even one nobody mapped proves the death."""
    traits = (setting.traits & NO_EVIDENCE) | {"certified", "no_time"}
    into.add(_CERTIFIED, Setting(None, None, setting.recorded or setting.when, traits))
    if meanings or (concept is not None and concept.worded):
        into.state(meanings, setting, "cause_of_death")
    elif concept is not None and concept.coded:
        into.add(_UNMAPPED, setting.also("review_only"))
        into.note("unmapped_result", "A coded cause of death is in no code list.",
                  "Map it in the site's folder, or send the death to review.")  # fmt: skip


def _onco_death(answer: Concept | None, meaning: Meaning, setting: Setting, into: Reading) -> None:
    """MII Onko Tod: dated by its effective time; its yes/no counts deaths by treatment as well."""
    found = into.meanings(answer, _VALUE)
    causes = tuple(m for m in found if m.concept != "death")
    dead = setting.also("certified")
    into.add(meaning, dead)
    if causes:
        certified(answer, causes, dead, into)
    if any(m.subconcept == "mii_tumour_related_death" for m in found):
        into.note("unusable",
                  "Death of tumour or treatment: this flag cannot tell relapse from treatment.",
                  "Send the coded cause of death.")  # fmt: skip


def _vital_status(answer: Concept | None, setting: Setting, into: Reading) -> None:
    """Dead by that day, alive on that day, or why nobody knows."""
    for meaning in into.meanings(answer, _VALUE):
        group = meaning.group
        if group == "died":
            by_then = setting.on(None)
            by_then.recorded = setting.when or setting.recorded
            into.add(meaning, by_then)
        elif group == "alive":
            into.add(meaning, setting)
            into.contact(setting.when.text if setting.when is not None else None)
        elif meaning.concept == "death":
            into.add(replace(meaning, concept="followup_status", subconcept=group), setting)


def _manner(answers: tuple[Meaning, ...], setting: Setting, into: Reading) -> None:
    for found in answers:
        name = found.subconcept
        if name in _VIOLENT:
            how = name.removeprefix("manner_")
            violent = replace(found, concept="external_cause", group=how)
            into.add(violent, setting.also("certified"))
        elif name == "manner_pending":
            into.note("unusable", "The manner of death is still under investigation.",
                      "Ask again when it is settled.")  # fmt: skip
