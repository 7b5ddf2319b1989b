"""Of what the non-relapse deaths died: bars, stacked incidence, early and late, organisms."""

from collections.abc import Sequence

import htpy as h
from htpy import Element, Node

from adapter.export.columns import answer_of
from adapter.incidence import follow_up, split_incidence
from adapter.incidence.risksets import count
from adapter.intervals import wilson
from adapter.model import SUBCAUSES, Cause, Certainty, Judged
from adapter.report.charts import Axes, Panel, Track, stacked_panel, value_at_end
from adapter.report.svg import Scale, box, frame, label, nice_top, width_of
from adapter.report.view import (
    CAUSE_WORDS,
    NRM,
    Section,
    View,
    cause_of,
    day_of,
    grid,
    key,
    plain,
    rounded,
    sentence_case,
    share,
)

_LEVELS = (Certainty.DEFINITE, Certainty.PROBABLE, Certainty.POSSIBLE, Certainty.NONE)


def causes(view: View) -> Section:
    """Causes of every non-relapse death; unknown is an answer like the others."""
    heading = "Causes of non-relapse death"
    if not view.deaths:
        return Section("causes", heading, h.p["No non-relapse death in this study."])
    body = [_bars(view), _stacked(view), _cause_table(view), _organisms(view)]
    return Section("causes", heading, body)


def _counted(view: View) -> list[tuple[Cause, list[Judged]]]:
    """Causes with their deaths, most frequent first; unknown last, because it is no cause."""
    found: dict[Cause, list[Judged]] = {}
    for judged in view.deaths:
        found.setdefault(cause_of(judged), []).append(judged)
    order = list(Cause)
    return sorted(found.items(), key=lambda item: (item[0] is Cause.UNKNOWN, -len(item[1]),
                                                   order.index(item[0])))  # fmt: skip


def _certainty(judged: Judged) -> Certainty:
    answer = answer_of(judged)
    return answer.certainty if answer else Certainty.NONE


def _bars(view: View) -> Element:
    counted = _counted(view)
    total = len(view.deaths)
    rows = [
        (CAUSE_WORDS[cause], [sum(_certainty(j) is c for j in deaths) for c in _LEVELS])
        for cause, deaths in counted
    ]
    table = grid(
        ["cause", *(level.value for level in _LEVELS), "all"],
        [[name, *(str(part) for part in parts), str(sum(parts))] for name, parts in rows],
    )
    title = "Causes of non-relapse death by certainty of the evidence"
    note = [key("s0", "definite"), key("s1", "probable"), key("s2", "possible"),
            key("s3", "no cause could be named")]  # fmt: skip
    return view.figure(title, lambda name: bars(name, title, rows, total), note, table)


def bars(
    name: str, title: str, rows: Sequence[tuple[str, Sequence[int]]], total: int | None
) -> Element:
    """Horizontal bars of counts in up to four shades, with number and share of `total` at the end.

    With `total` None each bar is a whole of its own and what is written is its darkest part.
    """
    left = max((width_of(row) for row, _ in rows), default=40) + 12
    most = max((sum(parts) for _, parts in rows), default=1)
    x = Scale(0, most, left, 610)
    drawn: list[Node] = []
    for i, (row, parts) in enumerate(rows):
        y, start = 26.0 * i + 4, 0
        drawn.append(label(left - 8, y + 13, row, "", "end"))
        for shade, part in enumerate(parts):
            if part:
                drawn.append(box(x(start), y, x(start + part) - x(start), 17, f"bar s{shade}"))
            start += part
        said = share(start, total) if total else share(parts[0], start)
        drawn.append(label(x(start) + 7, y + 13, said, "faint"))
    desc = "; ".join(f"{row}: {sum(parts) if total else parts[0]}" for row, parts in rows)
    whole = f" of {total}" if total else ""
    return frame(name, (720, 26.0 * len(rows) + 8), (title, f"{desc}{whole}."), drawn)


def _stacked(view: View) -> Node:
    counted = _counted(view)
    codes = {cause: 10 + i for i, (cause, _) in enumerate(counted)}
    times = [day_of(j) for j in view.judged]
    events = [codes[cause_of(j)] if j.outcome.event == NRM else j.outcome.event or 0
              for j in view.judged]  # fmt: skip
    whole, parts = split_incidence(count(follow_up(times, events), codes.values()), codes.values())
    if not len(whole.times) or view.last_day <= 0:
        return None
    tracks = [Track(CAUSE_WORDS[cause], f"a{list(Cause).index(cause)}", parts[code], view.last_day)
              for cause, code in codes.items()]  # fmt: skip
    end = value_at_end(Track("", "", whole, view.last_day), Axes(view.last_day, 1, ()))
    axes = Axes(view.last_day, nice_top(end, (0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0)), view.ticks)
    title = "Non-relapse mortality over time, by cause"
    words = "; ".join(f"{t.name} {rounded(value_at_end(t, axes))}" for t in tracks)
    desc = f"At the end of the plot: {words}; together {rounded(end)}."
    panel = Panel("", tracks, axes, (), title, desc)
    rows = [[t.name, rounded(t.curve.at(view.horizon)[0], 2), rounded(value_at_end(t, axes), 2)]
            for t in tracks]  # fmt: skip
    rows.append(["all together", rounded(whole.at(view.horizon)[0], 2), rounded(end, 2)])
    table = grid(["cause", view.horizon_words, f"day {view.last_day:.0f}"], rows)
    note = "Cumulative incidences of the causes; at every day they add up to the NRM curve."
    return view.figure(
        title, lambda name: stacked_panel(panel._replace(name=name), 720, 280), note, table
    )


def _cause_table(view: View) -> Element:
    day, total = view.study.plan.policy.early_late_day, len(view.deaths)
    rows: list[list[Node]] = []
    for cause, deaths in _counted(view):
        early = sum(day_of(j) < day for j in deaths)
        lower, upper = wilson(len(deaths), total)
        interval = f"{lower * 100:.1f}–{upper * 100:.1f}"
        waiting = sum(j.needs_review for j in deaths)
        rows.append([CAUSE_WORDS[cause], share(len(deaths), total), interval, str(early),
                     str(len(deaths) - early), str(waiting)])  # fmt: skip
    head = ["Cause", "Deaths (% of NRM)", "95% CI", f"Before day {day}", f"Day {day} or later",
            "To review"]  # fmt: skip
    note = f"Denominator: all {total} non-relapse deaths, unknown causes included (Wilson)."
    return view.table("Causes of non-relapse death, early and late", head, rows, note)


def _organisms(view: View) -> Node:
    infections = [a for j in view.deaths if (a := answer_of(j)) and a.cause is Cause.INFECTION]
    if not infections:
        return None
    known = {answer.subcause for answer in infections}
    names = [name for name in SUBCAUSES[Cause.INFECTION] if name in known]
    names += sorted(known - set(names))
    counts = [(name, sum(a.subcause == name for a in infections)) for name in names]
    rows = [(sentence_case(plain(name)) if name else "Class not given",
             [0, 0, 0, n] if name in ("organism_not_identified", "") else [n])
            for name, n in counts]  # fmt: skip
    title = "Fatal infections by class of organism"
    note = key("s3", "no organism identified; in the published series so in two of three")
    table = grid(["class", "deaths"], [[name, str(sum(parts))] for name, parts in rows])
    return view.figure(title, lambda name: bars(name, title, rows, len(infections)), note, table)
