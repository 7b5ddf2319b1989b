"""Of what the non-relapse deaths died: bars, stacked incidence, early and late, organisms."""

from collections.abc import Mapping, Sequence

import htpy as h
from htpy import Element, Node

from adapter.export import NRM, answer_of
from adapter.incidence import count, follow_up, split_incidence
from adapter.model import SUBCAUSES, Cause, Certainty, Judged
from adapter.report.charts import Panel, Track, stacked_panel, value_at
from adapter.report.svg import Drawing, Scale, box, label, nice_top, width_of
from adapter.report.view import View, cause_of, day_of
from adapter.report.words import CAUSE_WORDS, plain, rounded, say, sentence_case, share, wilson
from adapter.review import review_counts

_LEVELS = (Certainty.DEFINITE, Certainty.PROBABLE, Certainty.POSSIBLE, Certainty.NONE)
_TOPS = (0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0)
_UNNAMED = ("organism_not_identified", "")


def causes(view: View) -> Node:
    """Causes of every non-relapse death; unknown is an answer like the others."""
    if not view.deaths:
        return None
    found: dict[Cause, list[Judged]] = {}
    for judged in sorted(view.deaths, key=lambda j: list(Cause).index(cause_of(j))):
        found.setdefault(cause_of(judged), []).append(judged)
    # Most frequent first; unknown last, because it is no cause.
    order = sorted(found, key=lambda cause: (cause is Cause.UNKNOWN, -len(found[cause])))
    ranked = {cause: found[cause] for cause in order}
    return [_who_decided(view), _by_certainty(view, ranked), _stacked(view, ranked),
            _early_late(view, ranked), _organisms(view)]  # fmt: skip


def _who_decided(view: View) -> Element:
    """Nobody should take a rule's proposal for a physician's judgement."""
    waiting = sum(one.needs_review for one in view.deaths)
    return h.p[say("causes.who_decided", waiting=waiting, **review_counts(view.deaths))]


def _by_certainty(view: View, found: Mapping[Cause, Sequence[Judged]]) -> Element:
    counts = {}
    for cause, deaths in found.items():
        seen = [a.certainty if (a := answer_of(j)) else Certainty.NONE for j in deaths]
        counts[CAUSE_WORDS[cause]] = [seen.count(level) for level in _LEVELS]
    rows = [[name, *(f"{n}" for n in (*parts, sum(parts)))] for name, parts in counts.items()]
    return view.figure("causes.certainty", bars(counts, len(view.deaths)), rows)


def bars(rows: Mapping[str, Sequence[int]], total: int | None) -> Drawing:
    """Horizontal bars of counts in up to four shades, with number and share of `total` at the end.

    With `total` None each bar is a whole of its own and what is written is its darkest part.
    """
    left = max(width_of(row) for row in rows) + 12
    x = Scale(0, max(sum(parts) for parts in rows.values()), left, 610)
    drawn, said = list[Node](), list[str]()
    for i, (row, parts) in enumerate(rows.items()):
        y, start = 26.0 * i + 4, 0
        for shade, part in enumerate(parts):
            if part:
                drawn.append(box(x(start), y, x(start + part) - x(start), 17, f"bar s{shade}"))
            start += part
        told = share(start, total) if total else share(parts[0], start)
        drawn += [
            label(left - 8, y + 13, row, "", "end"),
            label(x(start) + 7, y + 13, told, "faint"),
        ]
        said.append(f"{row}: {told}")
    return Drawing(720, 26.0 * len(rows) + 8, f"{'; '.join(said)}.", drawn)


def _stacked(view: View, found: Mapping[Cause, Sequence[Judged]]) -> Node:
    codes = {cause: 10 + i for i, cause in enumerate(found)}
    events = [codes[cause_of(j)] if j.outcome.event == NRM else j.outcome.event or 0
              for j in view.judged]  # fmt: skip
    data = follow_up([day_of(j) for j in view.judged], events)
    whole, parts = split_incidence(count(data, codes.values()), codes.values())
    if view.last_day <= 0:
        return None
    end = value_at(whole, view.last_day)
    axes = view.axes([])._replace(top=nice_top(end, _TOPS))
    tracks = [Track(CAUSE_WORDS[cause], f"a{list(Cause).index(cause)}", parts[code], view.last_day)
              for cause, code in codes.items()]  # fmt: skip
    curves = {**{track.name: track.curve for track in tracks}, "all together": whole}
    rows = [[name, *(rounded(value_at(curve, day), 2) for day in (view.horizon, view.last_day))]
            for name, curve in curves.items()]  # fmt: skip
    words = "; ".join(f"{t.name} {rounded(value_at(t.curve, view.last_day))}" for t in tracks)
    desc = say("causes.at_the_end", words=words, end=rounded(end))
    drawn = stacked_panel(Panel(tracks, axes, desc, size=(720, 280)))
    return view.figure("causes.stacked", drawn, rows, when=view.when, last=view.last_day)


def _early_late(view: View, found: Mapping[Cause, Sequence[Judged]]) -> Node:
    day, total = view.study.plan.policy.early_late_day, len(view.deaths)
    rows = list[list[Node]]()
    for cause, deaths in found.items():
        n, early = len(deaths), sum(day_of(j) < day for j in deaths)
        waiting = sum(j.needs_review for j in deaths)
        counts = (f"{number}" for number in (early, n - early, waiting))
        rows.append([CAUSE_WORDS[cause], share(n, total), wilson(n, total), *counts])
    return view.table("causes.early_late", rows, day=day, total=total)


def _organisms(view: View) -> Node:
    found = [a.subcause for j in view.deaths if (a := answer_of(j)) and a.cause is Cause.INFECTION]
    if not found:
        return None
    known = SUBCAUSES[Cause.INFECTION]
    counts = {
        sentence_case(plain(name)) or "Class not given":
            [0] * 3 * (name in _UNNAMED) + [found.count(name)]
        for name in (*known, *sorted(set(found) - set(known))) if name in found
    }  # fmt: skip
    rows = [[name, f"{sum(parts)}"] for name, parts in counts.items()]
    return view.figure("causes.organisms", bars(counts, len(found)), rows)
