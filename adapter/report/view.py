"""The study as the sections read it: computed once, with pseudonyms and numbered figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import htpy as h
import numpy as np
from htpy import Element, Node

from adapter.export import NRM, RELAPSE, answer_of, evaluable
from adapter.incidence import count, crude, cumulative_incidence
from adapter.intervals import limits
from adapter.model import Cause, Judged, OutcomeKind
from adapter.pseudonyms import Pseudonyms
from adapter.report.charts import Axes, Track, month_ticks
from adapter.report.svg import Drawing, nice_top
from adapter.report.words import at, say, slug
from adapter.study import Study, follow_up_of

#: Curves stop where fewer than this many, or a tenth of a small cohort, are left (convention).
FEW_AT_RISK = 10
Rows = Sequence[Sequence[Node]]
_NUMERIC = "0123456789–-<"


class Change(NamedTuple):
    """One difference from the previous report; `patient` is shown as a pseudonym."""

    kind: str  # "new infusion", "new death", "verdict moved" ...
    patient: str
    text: str


class Changes(NamedTuple):
    """What changed since the report of `since`."""

    since: str
    changes: tuple[Change, ...] = ()


class Group:
    """Some episodes, their follow-up and their two curves."""

    def __init__(self, name: str, judged: Sequence[Judged]) -> None:
        self.name, self.judged, self.n = name, judged, len(judged)
        self.sets = count(follow_up_of(judged), (RELAPSE, NRM))
        self.nrm = cumulative_incidence(self.sets, NRM)
        self.relapse = cumulative_incidence(self.sets, RELAPSE)

    @property
    def crude(self) -> dict[str, Any]:
        """Non-relapse deaths over patients, with Wilson limits."""
        return crude(self.sets, NRM)

    @property
    def end(self) -> float:
        """Where its curves are cut: the last day with enough patients still under observation."""
        enough = min(FEW_AT_RISK, -(-self.n // 10))
        days = self.sets.times[self.sets.at_risk >= enough]
        return float(days[-1]) if len(days) else 0.0

    def track(self, outcome: str, name: str, css: str) -> Track:
        """Its curve of `nrm` or `relapse`, to be drawn."""
        return Track(name, css, getattr(self, outcome), self.end)


@dataclass
class View:
    """Everything the sections need; figure and table numbers are given out in reading order."""

    study: Study
    pseudonyms: Pseudonyms
    changes: Changes | None = None
    figures: int = 0
    tables: int = 0
    pictures: dict[str, tuple[Drawing, Element]] = field(default_factory=dict)  # by file name

    @cached_property
    def whole(self) -> Group:
        """Evaluable episodes: the denominator of every curve."""
        return Group("all", evaluable(self.study.judged))

    @property
    def judged(self) -> Sequence[Judged]:
        """The evaluable episodes themselves."""
        return self.whole.judged

    @cached_property
    def deaths(self) -> list[Judged]:
        """Non-relapse deaths, by day of death."""
        found = [j for j in self.judged if j.outcome.kind is OutcomeKind.NRM]
        return sorted(found, key=lambda j: (day_of(j), j.episode.name))

    @cached_property
    def names(self) -> dict[str, str]:
        """Short pseudonyms of the patients a report may speak of."""
        changed = [change.patient for change in self.changes.changes] if self.changes else []
        return self.pseudonyms.short({*(j.episode.patient for j in self.deaths), *changed})

    @property
    def last_day(self) -> float:
        """Where curves of the whole cohort are cut, and no other goes further."""
        return self.whole.end

    @property
    def days(self) -> list[int]:
        """The horizons of the policy that the curves reach."""
        return [day for day in self.study.plan.policy.horizons if day <= self.last_day]

    @property
    def horizon(self) -> int:
        """The day the report reads its numbers at: a year, or the longest horizon reached."""
        return 365 if 365 in self.days else max(self.days, default=0)

    @property
    def when(self) -> str:
        """The horizon as a reader says it."""
        return "12 months" if self.horizon == 365 else f"day {self.horizon}"

    def axes(
        self, tracks: Iterable[Track], crowded: bool = False, marks: tuple[int, ...] = ()
    ) -> Axes:
        """Axes that hold these curves as cut, four fifths of their intervals; ticks by months."""
        highest = 0.0
        for _, _, curve, end in tracks:
            shown = curve.times <= min(end, self.last_day)
            if shown.any():
                upper = limits(curve.estimate[shown], curve.se[shown])[1]
                known = np.sort(upper[upper == upper])
                ribbon = float(known[len(known) * 4 // 5]) if len(known) else 0.0
                highest = max(highest, float(curve.estimate[shown].max()), ribbon)
        ticks = month_ticks(self.last_day)
        every = 1 + len(ticks) // 7 if crowded else 1  # narrow panels have room for seven
        return Axes(self.last_day, nice_top(min(highest, 1.0)), ticks[::every], marks)

    def reading(self, tracks: Iterable[Track]) -> str:
        """Curves read at the horizon, in words; none is read where it is no longer drawn."""
        day = self.horizon
        read = (f"{t.name} {at(t.curve, day) if t.end >= day else 'cut before'}" for t in tracks)
        return f"At {self.when}: {'; '.join(read)}."

    # -- numbering ------------------------------------------------------------------------

    def figure(
        self, name: str, drawn: Drawing | list[Drawing], rows: Rows, more: Sequence[str] = (),
        **values: object,
    ) -> Element:  # fmt: skip
        """A numbered figure of one or more panels, with its numbers in a real table behind it.

        Without `rows` a table beside it holds them. Its words are the entry `name` of words.toml,
        filled in with `values`; `more` are heads of columns that depend on the data.
        """
        self.figures += 1
        said, number = say(name, **values), f"Figure {self.figures}"
        panels = drawn if isinstance(drawn, list) else [drawn]
        framed = []
        for i, panel in enumerate(panels, start=1):
            part = f"-{i}" if len(panels) > 1 else ""
            svg = panel.framed(f"figure-{self.figures}{part}", said["title"])
            self.pictures[f"{self.figures:02d}-{slug(said['title'])}{part}"] = panel, svg
            framed.append(svg)
        css = {1: None, 2: "panels two"}.get(len(panels), "panels three")
        key = [patch(css, words) for css, words in said.get("key", {}).items()]
        return h.figure(".plate")[
            h.figcaption[caption(number, said["title"]), " ", key, said.get("note")],
            scrolling(number, h.div(class_=css)[framed] if css else framed),
            rows and _behind(f"Numbers of figure {self.figures}", [*said["head"], *more], rows),
        ]

    def table(self, name: str, rows: Rows, more: Sequence[str] = (), **values: object) -> Node:
        """A numbered table with its words from words.toml, and nothing when there are no rows."""
        if not rows:
            return None
        self.tables += 1
        said, number = say(name, **values), f"Table {self.tables}"
        content = grid([*said["head"], *more], rows, h.caption[caption(number, said["title"])])
        note = said.get("note")
        return h.div(".plate")[scrolling(number, content), note and h.p(".note")[note]]


def _behind(name: str, head: Sequence[str], rows: Rows) -> Element:
    """The numbers of a figure, for those who open them."""
    return h.details(".numbers")[h.summary[name], scrolling(name, grid(head, rows))]


def caption(number: str, title: str) -> Node:
    """The number and title of a figure or table."""
    return [h.b[f"{number}."], " ", h.span(".caption")[title, "."]]


def patch(css: str, words: str) -> Element:
    """A patch of colour and what it means."""
    return h.span(".key")[h.i(class_=f"patch {css}", aria_hidden="true"), words]


def scrolling(name: str, content: Node) -> Element:
    """Wide content scrolls by itself on a phone and can be reached with the keyboard."""
    return h.div(".scroll", tabindex="0", role="region", aria_label=name)[content]


def grid(head: Sequence[str], rows: Rows, caption: Node = None) -> Element:
    """A plain table: the first column names the row; columns of words are set to the left."""
    css = ["words" if _worded(column) else None for column in zip(*rows, strict=True)]
    css = css or [None] * len(head)
    names = (h.th(scope="col", class_=c)[name] for name, c in zip(head, css, strict=True))
    body = (
        h.tr[
            h.th(scope="row")[row[0]],
            (h.td(class_=c)[cell] for cell, c in zip(row[1:], css[1:], strict=True)),
        ]
        for row in rows
    )
    return h.table[caption, h.thead[h.tr[names]], h.tbody[body]]


def _worded(column: Sequence[Node]) -> bool:
    numbers = sum(isinstance(cell, str) and (not cell or cell[0] in _NUMERIC) for cell in column)
    return numbers * 2 < len(column)


def day_of(judged: Judged) -> int:
    """The day of the outcome, counted from infusion."""
    return max(0, judged.outcome.time.middle) if judged.outcome.time else 0


def cause_of(judged: Judged) -> Cause:
    """The cause that counts; unknown when there is none."""
    answer = answer_of(judged)
    return answer.cause if answer else Cause.UNKNOWN
