"""Answers as text tables, for people who read a terminal."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from adapter.codes import short_name
from adapter.codes.tables import OVERLAY_HEADER, overlay_row

if TYPE_CHECKING:  # what one command says must not load what all of them do
    from adapter.account import Unmapped
    from adapter.codes.lint import Fault
    from adapter.load import LoadReport
    from adapter.sync import Planned, SyncReport


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under a head; the first is flush left, the others flush right."""
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def counted(n: int, one: str, many: str = "") -> str:
    """A count and what is counted: 1 file, 2 files."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def percent(value: float | None, digits: int = 1) -> str:
    """A proportion as a percentage, or a dash."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def between(low: float | None, high: float | None, digits: int = 1) -> str:
    """An interval of proportions as percentages, or nothing."""
    return (
        "" if low is None or high is None else f"({percent(low, digits)}-{percent(high, digits)})"
    )


def incidence_in_words(answer: dict[str, Any]) -> str:
    """Curves at their times, tests, and what to be careful about."""
    rows = [
        (
            "all" if curve["group"] is None else curve["group"],
            curve["cause"],
            f"{point['time']:g}",
            percent(point["estimate"], 2),
            between(point["lower"], point["upper"], 2),
            point["at_risk"],
        )
        for curve in answer["curves"]
        for point in curve["at"]
    ]
    head = ("group", "cause", "time", "%", "95 % CI", "at risk")
    text = [f"n = {answer['n']:,}; cumulative incidence, {answer['variance']} variance", ""]
    text += [table(head, rows), ""]
    text += [_gray(test) for test in answer["gray"]]
    text += [line for models in answer.get("models", ()) for line in _models(models)]
    text += [f"Note: {warning}" for warning in answer["warnings"]]
    return "\n".join(text).rstrip()


def _gray(test: dict[str, Any]) -> str:
    if test.get("p") is None:
        return f"Gray's test, cause {test['cause']}: {test.get('note') or 'not computed'}"
    return f"Gray's test, cause {test['cause']}: {_chi_square(test)}"


def _chi_square(test: dict[str, Any]) -> str:
    return f"{test['statistic']:.3f}, df {test['df']}, {_p(test['p'])}"


def _p(value: float | None) -> str:
    return "" if value is None else "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


#: Regressions in the order they are read; the other convention of Fine-Gray is in the JSON.
_REGRESSIONS = {"fine_gray": "Fine-Gray", "cause_specific_cox": "cause-specific Cox"}


def _models(models: dict[str, Any]) -> list[str]:
    """The regressions and the log-rank test of one cause; what was not fitted says why."""
    cause, test = f"cause {models['cause']}", models["log_rank"]
    rows, notes = [], []
    for key, name in _REGRESSIONS.items():
        if isinstance(fit := models[key], dict):
            notes.append(f"{name}, {cause}: {fit['note']}")
        else:
            rows += [(f"{name}, {cause}", row["term"], *_ratio(row)) for row in fit]
    said = test.get("note") or _chi_square(test)
    head = ("model", "term", "hazard ratio", "95 % CI", "p")
    return [*(["", table(head, rows)] if rows else []), *notes, f"Log-rank, {cause}: {said}"]


def _ratio(row: dict[str, Any]) -> tuple[str, str, str]:
    numbers = (row["hazard_ratio"], row["lower"], row["upper"])
    ratio, lower, upper = ("–" if n is None else f"{n:#.3g}" for n in numbers)
    return ratio, f"({lower}-{upper})", _p(row["p"])


def pooled_in_words(answer: dict[str, Any]) -> str:
    """The pooled proportion by both methods, and the subgroups."""
    rows = [("random-intercept logistic (primary)", *_pooled(answer["glmm"]))]
    rows.append(("logit REML, Hartung-Knapp", *_pooled(answer["reml_hk"])))
    rows += [(f"  {part['subgroup']}", *_pooled(part)) for part in answer["subgroups"]]
    head = f"{answer['k']} cohorts, {answer['events']:,} deaths of {answer['n']:,}"
    notes = [f"Note: {warning}" for warning in answer.get("warnings", [])]
    return "\n".join([head, "", table(("", "%", "95 % CI", "tau2"), rows), *notes])


def _pooled(row: dict[str, Any]) -> tuple[str, str, str]:
    tau2 = "–" if row.get("tau2") is None else f"{row['tau2']:.3f}"
    return percent(row["estimate"], 2), between(row["lower"], row["upper"], 2), tau2


def published_in_words(rows: list[dict[str, Any]]) -> str:
    """Published figures beside ours; the last column says whether all printed digits agree."""
    body = [
        (
            row["label"],
            row["cohorts"],
            f"{row['events']}/{row['n']}",
            _triple(row["published"]),
            _triple(row["reproduced"]),
            "yes" if row["agrees"] else "NO",
        )
        for row in rows
    ]
    head = ("NRM %, Nat Med 2024;30:2667", "cohorts", "deaths/n", "published", "ours", "agrees")
    return table(head, body)


def _triple(values: Sequence[str]) -> str:
    estimate, *limits = [value for value in values if value]
    return f"{estimate} ({'-'.join(limits)})" if limits else estimate


def loaded_in_words(report: "LoadReport", reasons: dict[str, int]) -> str:
    """What became of every entry that was read, in an account that adds up."""
    rows = [f"read {counted(report.read, 'entry', 'entries')} from {counted(report.files, 'file')}"]
    rows.append(f"  {report.stored:>9,}  stored")
    rows.append(f"  {report.unchanged:>9,}  already known")
    rows += [f"  {n:>9,}  not used: {kind}" for kind, n in report.not_used.items()]
    rows += [f"  {n:>9,}  rejected: {reason}" for reason, n in reasons.items()]
    lost = ", ".join(f"{n:,} {kind}" for kind, n in report.unresolved.items())
    if lost:
        rows.append(f"In the store, and never read because no patient is named: {lost}.")
    if report.others:
        rows.append(f"{report.others:,} patients show no trace of cell therapy: nothing is kept.")
    return "\n".join(rows)


def summed_up_in_words(summary: dict[str, Any]) -> str:
    """What one classification on Spark read, and what came of it."""
    account = summary["attrition"]
    ends = "".join(f", {n:,} {kind}" for kind, n in account["outcomes"].items())
    rows = [f"read {summary['read']:,} entries"]
    rows += [f"  {n:>9,}  {kind}" for kind, n in summary["kept"].items()]
    rows += [f"  {n:>9,}  not used: {kind}" for kind, n in summary["not_used"].items()]
    rows += [f"  {n:>9,}  rejected: {reason}" for reason, n in summary["reject"].items()]
    rows.append(f"{summary['others']:,} patients show no trace of cell therapy.")
    rows.append(f"{account['recipients']:,} recipients, {account['episodes']:,} episodes{ends}")
    return "\n".join(rows)


def synced_in_words(report: "SyncReport") -> str:
    """What one sync did, counts only."""
    rows = [
        f"run {report.run}: {report.state} in {report.seconds:.0f} s, {report.requests:,} requests",
        f"  {report.received:>9,}  resources received",
        f"  {report.stored:>9,}  stored (new or changed)",
        f"  {report.unchanged:>9,}  already known",
        f"  {report.deleted:>9,}  gone from the server",
    ]
    if report.rejected:
        rows.append(f"  {report.rejected:>9,}  rejected")
    rows += [f"  due: {due.type} ({due.patients}): {due.reason}" for due in report.due]
    rows += [f"  alarm: {alarm}" for alarm in report.alarms]
    rows += [f"  note: {note}" for note in report.notes]
    return "\n".join(rows)


def planned_in_words(rows: Sequence["Planned"]) -> str:
    """What would be asked, with the expected counts where the server gives them."""
    lines = []
    for row in rows:
        expected = "" if row.expected is None else f"  ({row.expected:,} expected)"
        lines.append(f"{row.what}{expected}\n    {row.reason}")
    return "\n".join(lines)


def checked_in_words(lines: Sequence[Any]) -> str:
    """A mark, what was found, and what to do."""
    marks = {"green": "ok  ", "amber": "look", "red": "NO  "}
    return "\n".join(
        f"{marks[line.colour]}  {line.what}" + (f"\n      → {line.todo}" if line.todo else "")
        for line in lines
    )


def status_in_words(answer: dict[str, Any]) -> str:
    """The last runs, how far the source was read, what is wrong and what waits."""
    rows = [
        (run["run"], run["kind"], _minute(run["started"]), run["state"]) for run in answer["runs"]
    ]
    text = [table(("run", "kind", "started (UTC)", "state"), rows), ""]
    text += [f"ALARM: {alarm}" for alarm in answer["alarms"]]
    text.append(f"last night: {_last_night(answer['last_night'])}")
    text.append(f"last complete: {answer['last_complete'] or 'never'}")
    by_day: dict[str, list[str]] = {}
    for kind, when in answer["complete_by_type"].items():
        by_day.setdefault(_minute(when), []).append(kind)
    text += [f"  {when}: {', '.join(kinds)}" for when, kinds in sorted(by_day.items())]
    text.append(f"slices due: {answer['slices_due']:,}")
    text += [f"  {due['type']}: {due['reason']}" for due in answer["due"][:10]]
    text.append(f"recipients: {answer['recipients']:,}")
    text.append(f"deaths to review: {answer['deaths_to_review']:,}")
    held = ", ".join(f"{kind} {n:,}" for kind, n in sorted(answer["resources"].items()))
    text.append(f"resources: {held or 'none'}; rejects: {answer['rejects']:,}")
    return "\n".join(text)


def _minute(instant: str | None) -> str:
    return (instant or "never")[:16].replace("T", " ")


def _last_night(night: dict[str, Any] | None) -> str:
    if night is None:
        return "none known"
    exit_ = f"{night['state']} (exit {night['exit_code']})"
    problem = f": {night['problem']}" * bool(night["problem"])
    return f"{night['number']}, {exit_}, {_minute(night['ended'])}{problem}"


def coverage_in_words(gaps: Sequence["Unmapped"]) -> str:
    """Unmapped codes, and the overlay rows that would give them a meaning."""
    if not gaps:
        return "Every code of the source has a meaning."
    rows = [
        (short_name(gap.system) or gap.system, gap.code, gap.type, gap.recipients, gap.patients)
        for gap in gaps
    ]
    head = ("system", "code", "in", "recipients", "patients")
    text = [table(head, rows), "", "Rows for the site overlay (fill in the meaning, sign, date):"]
    text.append(",".join(OVERLAY_HEADER))
    named = [gap for gap in gaps if gap.system]
    text += [overlay_row(system=gap.system, code=gap.code, match="exact") for gap in named]
    if mute := len(gaps) - len(named):
        text.append(f"{mute:,} without a row: the source sends no system with the code.")
    return "\n".join(text)


def faults_in_words(faults: Sequence["Fault"]) -> str:
    """One line a fault, and how many there are."""
    return "\n".join([*map(str, faults), f"{counted(len(faults), 'fault')} in the mappings"])


def agreement_in_words(answer: dict[str, Any]) -> str:
    """Kappa between readers and of the rules against the readers, and the share found per cause."""
    text: list[str] = []
    for title, name in (("reader against reader", "readers"), ("rules against readers", "tool")):
        found = answer[name]
        text.append(f"{title}: {found['n']:,} deaths{_kappa(found['kappa'])}")
        rows = [
            (row["cause"], row["truth"], percent(row["sensitivity"]), percent(row["ppv"]))
            for row in found["by_cause"]
        ]
        text += [table(("cause", "deaths", "sensitivity %", "PPV %"), rows), ""]
    return "\n".join([*text, f"disputed: {answer['disputed']:,}"])


def _kappa(found: dict[str, Any] | None) -> str:
    if found is None or found["estimate"] is None:
        return ", kappa not computed"
    limits = "" if found["lower"] is None else f" ({found['lower']:.2f}-{found['upper']:.2f})"
    return f", {percent(found['observed'])} % agree, kappa {found['estimate']:.2f}{limits}"
