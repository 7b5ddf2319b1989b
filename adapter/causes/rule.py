"""What a cause rule is, and the one place where *cannot tell* is said."""

from functools import cache
from typing import ClassVar

import msgspec

from adapter.causes.chart import Chart
from adapter.codes.prophylaxis import ProphylaxisRule
from adapter.config import Policy, RuleChange
from adapter.envelope import TYPES
from adapter.model import Answer, Cause, Certainty, Fact, Finding

#: From weak to strong; `max` of two certainties is their later place here.
LADDER = (Certainty.NONE, Certainty.POSSIBLE, Certainty.PROBABLE, Certainty.DEFINITE)

DIAGNOSES = frozenset({"Condition", "Encounter", "DiagnosticReport"})
RESULTS = frozenset({"Observation", "DiagnosticReport"})


class Plan(msgspec.Struct, frozen=True):
    """What the rules work under: study policy, changed rules, and what the source ever sends."""

    policy: Policy = Policy()
    rules: dict[str, RuleChange] = {}
    sends: frozenset[str] = frozenset(TYPES)
    prophylaxis: tuple[ProphylaxisRule, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """What a rule found: the facts it rests on, and words for the sentence."""

    facts: tuple[Fact, ...]
    subcause: str = ""
    cause: Cause | None = None  # when the facts, not the rule, name the cause
    certainty: Certainty | None = None  # when it is not the rule's own
    review: bool = False
    words: dict[str, str] = {}


class Rule:
    """One reason to name one cause. The class name is its id, the docstring its title.

    `look` says what was seen, or None; its docstring is the sentence the reader gets, where
    {display}, {days}, {window} and the words of `Seen` are filled in. `window`, `near` and `watch`
    are days before death; a lower `rank` weighs more.
    """

    known: ClassVar[list[type["Rule"]]] = []
    cause: ClassVar[Cause] = Cause.UNKNOWN
    kind: ClassVar[str] = "chart"
    needs: ClassVar[frozenset[str]] = DIAGNOSES
    certainty: ClassVar[Certainty] = Certainty.PROBABLE
    near: ClassVar[int] = 14
    """Evidence that ends longer before death than this is one step less certain."""
    watch: ClassVar[int] = 30
    """*No* needs a contact this shortly before death, else absence means nothing; 0: it does."""
    treatment: ClassVar[frozenset[str]] = frozenset()
    """Drugs whose use in the window makes the diagnosis one step more certain."""
    doubtful: ClassVar[bool] = False
    """True when a *yes* always needs a person."""
    source: ClassVar[str] = "convention"
    window: int = 30
    rank: int = 50

    def __init_subclass__(cls, *, family: bool = False) -> None:
        """Every subclass is a rule that will be asked, except what a family has in common."""
        if not family:
            cls.known.append(cls)

    def __init__(self, change: RuleChange | None = None) -> None:
        if change is not None and change.window is not None:
            self.window = change.window
        if change is not None and change.rank is not None:
            self.rank = change.rank

    def look(self, chart: Chart) -> Seen | None:
        """{display} was found {days}."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """The docstring's first line, with the window in force."""
        return _first_line(type(self).__doc__ or "").replace("{window}", str(self.window))


def ask(rule: Rule, chart: Chart, plan: Plan) -> Finding:
    """What one rule says of one death; here and nowhere else it is decided who cannot tell."""
    seen = rule.look(chart)
    if seen is not None:
        return _yes(rule, seen, chart)
    if rule.needs and not rule.needs & plan.sends:
        missing = ", ".join(sorted(rule.needs))
        return _nothing(rule, Answer.CANNOT_TELL, f"The source never sends {missing}.")
    watch = min(rule.watch, rule.window)
    if rule.needs and watch and not chart.observed(watch):
        why = f"No contact in the {watch} days before death: nothing recorded says nothing."
        return _nothing(rule, Answer.CANNOT_TELL, why)
    return _nothing(rule, Answer.NO, "Nothing of this is recorded in the time that counts.")


def _yes(rule: Rule, seen: Seen, chart: Chart) -> Finding:
    treated = chart.treated(rule.window, rule.treatment) if rule.treatment else ()
    level = LADDER.index(seen.certainty or rule.certainty)
    if seen.certainty is None:
        level += bool(treated) and level < LADDER.index(Certainty.PROBABLE)
    sure = chart.surely_within(seen.facts, rule.window)
    if level > 1 and (not sure or chart.closest(seen.facts) > rule.near):
        level -= 1
    return Finding(
        rule=type(rule).__name__,
        title=rule.title,
        answer=Answer.YES,
        sentence=_sentence(rule, seen, chart, treated),
        cause=seen.cause or rule.cause,
        subcause=seen.subcause,
        certainty=LADDER[level],
        rank=rule.rank,
        facts=seen.facts + treated,
        needs_review=seen.review or rule.doubtful,
        kind=rule.kind,
    )


def _nothing(rule: Rule, answer: Answer, sentence: str) -> Finding:
    name = type(rule).__name__
    return Finding(name, rule.title, answer, sentence, rule.cause, rank=rule.rank, kind=rule.kind)


def _sentence(rule: Rule, seen: Seen, chart: Chart, treated: tuple[Fact, ...]) -> str:
    words = {
        "display": displays(seen.facts),
        "days": chart.ago(seen.facts),
        "window": str(rule.window),
        **seen.words,
    }
    text = _spoken(rule.look.__doc__ or "").format_map(words)
    text = text[:1].upper() + text[1:]
    return f"{text} Treated with {displays(treated)}." if treated else text


def displays(facts: tuple[Fact, ...]) -> str:
    """Our own wording of what was found, each once, in order."""
    names = dict.fromkeys(fact.label or fact.subconcept.replace("_", " ") for fact in facts)
    return ", ".join(names)


@cache
def _first_line(docstring: str) -> str:
    return docstring.strip().splitlines()[0].rstrip(".")


@cache
def _spoken(docstring: str) -> str:
    return " ".join(docstring.split())
