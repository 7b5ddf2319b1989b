"""Readable day tables with expected answers: what a clinician writes, run through the pure core.

    ## Sepsis in the fourth week is infection
    ```days
    day | what
      0 | infusion: axi-cel
     19 | blood culture: Pseudomonas aeruginosa
     24 | death
    ```
    ```expect
    outcome = nrm
    cause = infection
    ```

Days count from the first infusion, so a table carries no date and no identity. The words are those
of mappings/subconcepts.csv; docs/cases.md explains them.
"""

import difflib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from adapter.causes.rule import Plan
from adapter.codes.prophylaxis import prophylaxis_rules
from adapter.dates import Days, Interval, days_between
from adapter.daytables import DAY_ZERO, Row, timeline_of_rows
from adapter.episodes import episodes_of, why_not
from adapter.errors import UsageError
from adapter.grades import grades_of
from adapter.grades.infections import infections_of
from adapter.grades.prophylaxis import prophylaxis_of
from adapter.model import Judged, Timeline
from adapter.outcomes import outcome_of
from adapter.patient import judge

_BLOCK = re.compile(r"^```(days|expect|policy)\s*\n(.*?)^```", re.M | re.S)
_CASE = re.compile(r"^## .+?(?=^## |\Z)", re.M | re.S)
_LISTS = frozenset({"notes", "infections", "yes", "no", "cannot_tell", "contributing",
                    "review_reasons", "baseline"})  # fmt: skip
_JUDGED = frozenset({"cause", "subcause", "certainty", "contributing", "because", "yes", "no",
                     "cannot_tell", "review_reasons"})  # fmt: skip


class Case(msgspec.Struct, frozen=True):
    """One day table with its expected answers; `rows` are (line, day, what)."""

    title: str
    place: str  # "relapse.md:12"
    rows: tuple[Row, ...]
    expect: dict[str, str]
    policy: dict[str, str] = {}
    why: str = ""


class Result(msgspec.Struct, frozen=True):
    """What a case gave: a line per answer that differs from the expected one."""

    case: Case
    differences: tuple[str, ...]


def run_folder(folder: Path, plan: Plan) -> list[Result]:
    """Every case of every Markdown file below `folder`."""
    files = sorted(folder.rglob("*.md")) if folder.is_dir() else [folder]
    cases = [case for file in files if file.exists() for case in read_cases(file)]
    if not cases:
        raise UsageError(f"No day tables in {folder}.", "See docs/cases.md for how to write one.")
    return [run(case, plan) for case in cases]


def read_cases(file: Path) -> list[Case]:
    """The cases of one Markdown file: a `##` heading, a days block, an expect block."""
    text = file.read_text(encoding="utf-8", errors="replace")
    return [_case(match, text, file) for match in _CASE.finditer(text)]


def run(case: Case, plan: Plan) -> Result:
    """Run one case; expected and actual answers are compared as text."""
    changed = plan.policy.model_validate({**plan.policy.model_dump(), **case.policy})
    plan = msgspec.structs.replace(plan, policy=changed)
    actual = answers(timeline_of_rows(case.rows, case.place.partition(":")[0]), plan, case.expect)
    lines = [
        f"{key}: expected {wanted}, got {actual.get(key, '(no such answer)')}"
        for key, wanted in case.expect.items()
        if not _agrees(key, wanted, actual.get(key))
    ]
    return Result(case, tuple(lines))


# -- reading ---------------------------------------------------------------------------------


def _case(match: re.Match[str], text: str, file: Path) -> Case:
    first = text.count("\n", 0, match.start()) + 1
    section, blocks = match[0], {}
    for block in _BLOCK.finditer(section):
        start = first + section.count("\n", 0, block.start(2))
        blocks[block[1]] = list(enumerate(block[2].splitlines(), start=start))
    if "days" not in blocks or "expect" not in blocks:
        what = f"{file.name}:{first}: a case needs a days block and an expect block."
        raise UsageError(what, "See docs/cases.md for how to write one.")
    rows = [_row(line, row, file.name) for line, row in blocks["days"] if _is_row(row)]
    expect = _pairs(blocks["expect"], file.name, _known())
    if not expect:
        raise UsageError(f"{file.name}:{first}: the expect block is empty.", "Nothing would fail.")
    title, _, rest = section.partition("\n")
    return Case(
        title.removeprefix("## ").strip(), f"{file.name}:{first}",
        tuple(rows),
        expect, _pairs(blocks.get("policy", []), file.name),
        rest.partition("```")[0].strip(),
    )  # fmt: skip


def _is_row(row: str) -> bool:
    return bool(row.strip()) and re.match(r"\s*day\s*\|", row) is None


def _row(line: int, row: str, name: str) -> Row:
    day, bar, what = row.partition("|")
    if not bar:
        raise UsageError(f"{name}:{line}: a row is written `day | what`.")
    return line, day.strip(), what.strip()


def _pairs(
    block: Iterable[tuple[int, str]], name: str, known: frozenset[str] = frozenset()
) -> dict[str, str]:
    pairs = {}
    for line, row in block:
        key, equals, value = row.partition("=")
        if row.strip() and not equals:
            raise UsageError(f"{name}:{line}: an answer is written `key = value`.")
        said = re.sub(r"^\d+\.", "", key.strip())  # 2.outcome is that of the second course
        if row.strip() and known and said not in known:
            near = ", ".join(difflib.get_close_matches(said, known)) or "see docs/cases.md"
            raise UsageError(f"{name}:{line}: {said!r} is no answer.", f"Near: {near}.")
        if row.strip():
            pairs[key.strip()] = value.strip()
    return pairs


# -- answers ---------------------------------------------------------------------------------


@cache
def _known() -> frozenset[str]:
    """Everything that may be asked of a case: all that is said of a death, and of prophylaxis."""
    death = timeline_of_rows([(1, "0", "infusion: axi-cel"), (2, "9", "death")])
    said = answers(death, Plan(), _JUDGED)
    rules = {rule.rule for rule in prophylaxis_rules()}
    return frozenset({key for key in said if "." not in key} | rules)


def answers(timeline: Timeline, plan: Plan, wanted: Iterable[str]) -> dict[str, str]:
    """What the core says of a timeline, as the text an expect block holds."""
    episodes = episodes_of(timeline, plan.policy)
    keys = {key.rpartition(".")[2] for key in wanted}
    said = {"recipient": _yes_no(bool(episodes)), "why_not": why_not(timeline),
            "episodes": str(len(episodes))}  # fmt: skip
    for episode in episodes:
        grades = grades_of(episode, plan.policy)
        judged = Judged(episode, outcome_of(episode, plan.policy), grades=grades)
        if keys & _JUDGED:
            judged = judge(episode, plan)
        of_this = _episode(judged) | _infections(judged, plan, keys) | _cause(judged)
        said |= of_this if episode.number == 1 else {}
        said |= {f"{episode.number}.{key}": value for key, value in of_this.items()}
    return said


def _episode(judged: Judged) -> dict[str, str]:
    episode, outcome = judged.episode, judged.outcome
    death = episode.death
    zero = Interval(DAY_ZERO, DAY_ZERO)
    return {
        "outcome": outcome.kind.value,
        "reason": outcome.reason,
        "time_days": _span(outcome.time),
        "day_zero": _span(days_between(zero, episode.infusion)),
        "death": _span(days_between(zero, death.when)) if death and death.when else "none",
        "disputed": _yes_no(bool(death and death.disputed)),
        "followup_end": _span(days_between(zero, episode.followup_end))
        if episode.followup_end else "none",
        "product": episode.product or "none",
        "indication": episode.indication or "none",
        "needs_review": _yes_no(outcome.needs_review),
        "notes": ", ".join(sorted({note.kind for note in judged.notes})) or "none",
        "baseline": ", ".join(f"{k} {v:g}" for k, v in sorted(episode.baseline.items())) or "none",
        **{key: "none" if v is None else f"{v:g}" for key, v in judged.grades.items()},
    }  # fmt: skip


def _infections(judged: Judged, plan: Plan, keys: set[str]) -> dict[str, str]:
    """Infections as "12 bacterial", and what each rule of prophylaxis that is asked for says."""
    found = infections_of(judged, plan.policy)
    rules = [rule for rule in plan.prophylaxis or prophylaxis_rules() if rule.rule in keys]
    asked = prophylaxis_of(judged, rules, plan.sends, plan.policy)
    return {"infections": ", ".join(f"{day} {organism}" for day, organism in found) or "none",
            **{answer.rule.rule: answer.exposure.value for answer in asked}}  # fmt: skip


def _cause(judged: Judged) -> dict[str, str]:
    by_answer: dict[str, list[str]] = {"yes": [], "no": [], "cannot_tell": []}
    for finding in judged.findings:
        by_answer[finding.answer.value].append(finding.rule)
    verdict = judged.verdict or judged.would_be
    said = {key: ", ".join(rules) for key, rules in by_answer.items()}
    if verdict is None:
        return said | {"cause": "none"}
    return said | {
        "cause": verdict.cause.value if judged.verdict else "none",
        "subcause": verdict.subcause,
        "certainty": verdict.certainty.value,
        "because": verdict.rule,
        "contributing": ", ".join(verdict.contributing) or "none",
        "review_reasons": ", ".join(verdict.review_reasons) or "none",
        "needs_review": _yes_no(judged.needs_review),
    }


def _agrees(key: str, wanted: str, actual: str | None) -> bool:
    """Lists (notes, yes, no, cannot tell, contributing) must hold at least what is wanted."""
    if actual is None:
        return False
    if key.rpartition(".")[2] in _LISTS and wanted != "none":
        return _items(wanted) <= _items(actual)
    return wanted == actual


def _items(text: str) -> set[str]:
    return {part.strip() for part in text.split(",") if part.strip()}


def _span(days: Days | None) -> str:
    if days is None:
        return "none"
    return str(days.low) if days.exact else f"{days.low}..{days.high}"


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"
