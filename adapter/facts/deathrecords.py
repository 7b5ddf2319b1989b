"""Death records: dates of death, certified causes, vital status.

A certificate's text is never read; its coded causes are facts with the trait `certified`.
"""

from adapter.codes import Meaning
from adapter.facts import shapes
from adapter.facts.reading import Match, Reading, Setting

_UNDERLYING = frozenset({"underlying_cause"})
_CONTRIBUTING = frozenset({"multiple_cause", "contributing_text"})
_CAUSES = _UNDERLYING | _CONTRIBUTING | {"cause_text"}
_VIOLENT = frozenset({"manner_accident", "manner_suicide", "manner_homicide"})
_NO_TIME = frozenset({"no_time"})


def read(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    """One Observation or component about a death."""
    group = match.meaning.group
    if match.meaning.subconcept == "cause_of_death_obs":
        _onco_death(valued, match, setting, into)
    elif group in _CAUSES:
        _cause(valued, match, setting, into)
    elif group == "death_date":
        _date(valued, match, setting, into)
    elif group == "vital_status":
        _vital_status(valued, setting, into)
    elif group == "manner":
        _manner(valued, match, setting, into)
    elif group == "died":
        into.add(match, setting)


def _date(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    when, _ = into.span(
        valued.valueDateTime or valued.valueString, valued.valuePeriod, setting.source
    )
    undated = setting.traits - {"day_only_from_entry", "dated_by_encounter"}
    traits = undated if when is not None else undated | _NO_TIME
    into.add(match, Setting(setting.source, when, None, setting.recorded, traits))


def _cause(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    traits = {"certified"}
    if match.meaning.group in _UNDERLYING:
        traits.add("underlying")
    elif match.meaning.group in _CONTRIBUTING:
        traits.add("contributing")
    certified = Setting(
        setting.source, setting.when, None, setting.recorded, setting.traits | traits
    )
    answer = valued.valueCodeableConcept
    if answer is None:
        answer = shapes.Concept(text=valued.valueString)
    into.certified_cause(answer, into.meanings(answer, "Observation.value"), certified)


def _onco_death(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    """MII Onko Tod: dated by its effective time; its yes/no counts deaths by treatment as well."""
    found = into.meanings(valued.valueCodeableConcept, "Observation.value")
    causes = tuple(m for m in found if m.meaning.concept != "death")
    dead = Setting(setting.source, setting.when, None, setting.recorded,
                   setting.traits | {"certified"})  # fmt: skip
    into.add(match, dead)
    if causes:
        into.certified_cause(valued.valueCodeableConcept, causes, dead)
    if any(m.meaning.subconcept == "mii_tumour_related_death" for m in found):
        into.note(
            "unusable", setting.source,
            "Death of tumour or treatment: this flag cannot tell relapse from treatment.",
            "Send the coded cause of death.",
        )  # fmt: skip


def _vital_status(valued: shapes.Valued, setting: Setting, into: Reading) -> None:
    """Dead by that day, alive on that day, or why nobody knows."""
    for match in into.meanings(valued.valueCodeableConcept, "Observation.value"):
        group = match.meaning.group
        if group == "died":
            into.add(match, Setting(setting.source, None, None, setting.when or setting.recorded,
                                    setting.traits | _NO_TIME))  # fmt: skip
        elif group == "alive":
            into.add(match, setting)
            if setting.when is not None:
                into.contact(setting.when.text, None, setting.source)
        elif match.meaning.concept == "death":
            status = Meaning("followup_status", group, group, match.meaning.label)
            into.add(Match(status, match.code), setting)


def _manner(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    answers = into.meanings(valued.valueCodeableConcept, "Observation.value")
    for found in answers or (match,):
        name = found.meaning.subconcept
        if name in _VIOLENT:
            violent = Meaning("external_cause", name, name.removeprefix("manner_"),
                              found.meaning.label)  # fmt: skip
            into.add(Match(violent, found.code), setting, traits=frozenset({"certified"}))
        elif name == "manner_pending":
            into.note(
                "unusable", setting.source, "The manner of death is still under investigation.",
                "Ask again when it is settled.",
            )  # fmt: skip
