"""The study in one screen of text."""

from typing import Any

from adapter.cases import Result
from adapter.incidence import Options, incidence_of_table
from adapter.model import Judged, OutcomeKind
from adapter.study import Study, follow_up_of

_HORIZONS = (30.0, 100.0, 365.0)


def study_in_words(study: Study, width: int = 78) -> str:
    """Who was left out, what happened, of what they died: the study in a screenful."""
    account = study.attrition
    rows = [_title(study, width), "", *_flow(study), ""]
    if not account.recipients:
        rows.append("No CAR T recipient was found. `cart-nrm mappings coverage` lists the codes")
        rows.append("of this source that mean nothing yet; a site overlay can give them a meaning.")
        return "\n".join(rows)
    rows += [*_outcomes(study), "", *_causes(study)]
    return "\n".join(rows)


def _title(study: Study, width: int) -> str:
    label = "SYNTHETIC DATA  " if study.synthetic else ""
    title = f"{study.name}  {label}data up to {study.cut or 'unknown'}"
    return f"{title}\n{'─' * min(width, max(len(title), 40))}"


def _flow(study: Study) -> list[str]:
    account = study.attrition
    rows = [f"  {account.patients:>6,}  patients in the store"]
    rows += [
        f"  {-count:>6,}  not a recipient: {reason.replace('_', ' ')}"
        for reason, count in account.not_recipients.items()
    ]
    rows.append(f"  {account.recipients:>6,}  CAR T recipients with {account.episodes:,} episodes")
    rows += [
        f"  {-count:>6,}  episodes not evaluable: {reason.replace('_', ' ')}"
        for reason, count in account.not_evaluable.items()
    ]
    return rows


def _outcomes(study: Study) -> list[str]:
    counts = study.attrition.outcomes
    evaluable = sum(counts.values())
    rows = ["  first event             n      %"]
    for kind in (OutcomeKind.ALIVE, OutcomeKind.RELAPSE, OutcomeKind.NRM):
        n = counts.get(kind.value, 0)
        rows.append(f"  {kind.value:<18}{n:>7,}{_percent(n, evaluable):>7}")
    if not evaluable:
        return rows
    numbers = incidence_of_table(follow_up_of(study.judged), Options(at=_HORIZONS))
    curves = {curve["cause"]: curve["at"] for curve in numbers["curves"]}
    heads = "".join(f"{f'day {day:g}':<20}" for day in _HORIZONS)
    rows += ["", f"  cumulative incidence   {heads}".rstrip()]
    for name, cause in (("NRM", 2), ("relapse", 1)):
        cells = [_reading(point) for point in curves.get(cause, [])]
        rows.append(f"  {name:<21}  " + "".join(f"{cell:<20}" for cell in cells).rstrip())
    return rows


def _reading(point: dict[str, Any]) -> str:
    if point["estimate"] is None:
        return "not estimable"
    if point["lower"] is None or point["upper"] is None:
        return f"{100 * point['estimate']:.1f} %"
    low, high = 100 * point["lower"], 100 * point["upper"]
    return f"{100 * point['estimate']:.1f} ({low:.1f}-{high:.1f}) %"


def _causes(study: Study) -> list[str]:
    deaths = [one for one in study.judged if one.verdict is not None]
    counted: dict[str, int] = {}
    for one in deaths:
        cause = cause_of(one)
        counted[cause] = counted.get(cause, 0) + 1
    rows = [f"  causes of {len(deaths):,} non-relapse deaths"]
    for cause, n in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        bar = "█" * round(30 * n / max(counted.values()))
        rows.append(f"  {cause:<28}{n:>5,}{_percent(n, len(deaths)):>7}  {bar}")
    waiting = sum(one.needs_review for one in study.judged)
    rows += ["", f"  {waiting:,} episodes wait for a person (`cart-nrm review export FOLDER`)"]
    return rows


def cause_of(one: Judged) -> str:
    """The cause that counts: a reviewer's decision, else the rule's verdict."""
    if one.decision is not None:
        return one.decision.cause.value
    return one.verdict.cause.value if one.verdict is not None else ""


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else ""


def cases_in_words(results: list[Result]) -> str:
    """Cases that gave another answer, each with the difference; then the count."""
    wrong = [one for one in results if one.differences]
    rows = [
        f"{one.case.place}  {one.case.title}\n" + "\n".join(f"    {d}" for d in one.differences)
        for one in wrong
    ]
    return "\n".join([*rows, f"{len(results) - len(wrong)} of {len(results)} cases as expected"])
