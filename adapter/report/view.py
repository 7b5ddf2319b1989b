"""The study as the sections read it: computed once, with pseudonyms and numbered figures."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import htpy as h
import numpy as np
from htpy import Element, Node

from adapter.export.columns import answer_of
from adapter.export.summary import NRM, RELAPSE, evaluable
from adapter.incidence import Curve, FollowUp, RiskSets, count, cumulative_incidence
from adapter.intervals import limits
from adapter.model import Cause, Judged, OutcomeKind
from adapter.pseudonyms import Pseudonyms, scrubbed
from adapter.report.charts import month_ticks
from adapter.report.svg import nice_top
from adapter.study import Study, follow_up_of

__all__ = ["NRM", "RELAPSE", "Change", "Changes", "Section", "View", "plain", "rounded", "share"]

#: Curves stop where fewer than this many, or a tenth of a small cohort, are left (convention).
FEW_AT_RISK = 10

CAUSE_WORDS: dict[Cause, str] = {
    Cause.INFECTION: "Infection",
    Cause.SECOND_MALIGNANCY: "Second malignancy",
    Cause.CARDIOVASCULAR_RESPIRATORY: "Cardiovascular or respiratory",
    Cause.NEUROTOXICITY: "Neurotoxicity / ICANS",
    Cause.CRS: "CRS",
    Cause.IEC_HS: "IEC-HS",
    Cause.HEMORRHAGE: "Hemorrhage",
    Cause.ORGAN_FAILURE: "Organ failure",
    Cause.OTHER: "Other",
    Cause.UNKNOWN: "Unknown",
}
_NUMERIC = "0123456789–-<"
_WORDS = {
    "covid19": "COVID-19",
    "mds_aml": "MDS/AML",
    "t_cell": "T-cell",
    "nrm": "NRM",
    "B_ALL": "B-ALL",
    "pjp_prophylaxis": "PJP prophylaxis",
}


class Change(NamedTuple):
    """One difference from the previous report; `patient` is shown as a pseudonym."""

    kind: str  # "new infusion", "new death", "verdict moved" ...
    patient: str
    text: str


class Changes(NamedTuple):
    """What changed since the report of `since`."""

    since: str
    changes: tuple[Change, ...] = ()


class Section(NamedTuple):
    """One chapter: its anchor, its heading, and what is in it."""

    anchor: str
    heading: str
    body: Node


def plain(name: str) -> str:
    """A name of ours as words: organism_not_identified -> organism not identified."""
    return _WORDS.get(name, name.replace("_", " "))


def sentence_case(text: str) -> str:
    """The first letter large, the others as they are: COVID-19 stays COVID-19."""
    return text[:1].upper() + text[1:]


def key(css: str, words: str) -> Element:
    """A patch of colour and what it means, for a caption."""
    return h.span(".key")[h.i(class_=f"patch {css}", aria_hidden="true"), words]


def rounded(value: float | None, digits: int = 1) -> str:
    """A proportion as percent, or a dash when it is not known."""
    return "–" if value is None or value != value else f"{value * 100:.{digits}f}%"


def share(part: int, whole: int) -> str:
    """A count with its percentage."""
    return f"{part:,} ({part / whole * 100:.1f}%)" if whole else f"{part:,}"


@dataclass
class View:
    """Everything the sections need; figure and table numbers are given out in reading order."""

    study: Study
    pseudonyms: Pseudonyms
    changes: Changes | None = None
    figures: int = 0
    tables: int = 0
    drawings: dict[str, Element] = field(default_factory=dict)

    @cached_property
    def judged(self) -> list[Judged]:
        """Evaluable episodes: the denominator of every curve."""
        return evaluable(self.study.judged)

    @cached_property
    def deaths(self) -> list[Judged]:
        """Non-relapse deaths, by day of death."""
        found = [j for j in self.judged if j.outcome.kind is OutcomeKind.NRM]
        return sorted(found, key=lambda j: (day_of(j), j.episode.name))

    @cached_property
    def data(self) -> FollowUp:
        """Times and events of all evaluable episodes."""
        return follow_up_of(self.judged)

    @cached_property
    def sets(self) -> RiskSets:
        """Risk sets of the whole cohort."""
        return count(self.data, (RELAPSE, NRM))

    @cached_property
    def names(self) -> dict[str, str]:
        """Short pseudonyms of the patients a report may speak of."""
        changed = [change.patient for change in self.changes.changes] if self.changes else []
        return self.pseudonyms.short({*(j.episode.patient for j in self.deaths), *changed})

    @cached_property
    def last_day(self) -> float:
        """Where curves are cut: the last day with enough patients still under observation."""
        enough = min(FEW_AT_RISK, max(1, self.data.n // 10))
        days = self.sets.times[self.sets.at_risk >= enough]
        return float(days[-1]) if len(days) else 0.0

    @property
    def ticks(self) -> tuple[float, ...]:
        """The month ticks all panels share."""
        return month_ticks(self.last_day)

    @cached_property
    def horizon(self) -> int:
        """The day the report reads its numbers at: a year, or the longest horizon reached."""
        reached = [day for day in self.study.plan.policy.horizons if day <= self.last_day]
        return 365 if 365 in reached else max(reached, default=0)

    @property
    def horizon_words(self) -> str:
        """The horizon as a reader says it."""
        return "12 months" if self.horizon == 365 else f"day {self.horizon}"

    @cached_property
    def nrm(self) -> Curve:
        """Cumulative incidence of non-relapse mortality."""
        return cumulative_incidence(self.sets, NRM)

    @cached_property
    def relapse(self) -> Curve:
        """Cumulative incidence of relapse or progression."""
        return cumulative_incidence(self.sets, RELAPSE)

    def top(self, curves: Iterable[Curve]) -> float:
        """A percent axis that holds these curves and four fifths of their intervals."""
        highest = 0.0
        for curve in curves:
            shown = curve.times <= self.last_day
            if shown.any():
                upper = limits(curve.estimate[shown], curve.se[shown])[1]
                known = np.sort(upper[upper == upper])
                ribbon = float(known[len(known) * 4 // 5]) if len(known) else 0.0
                highest = max(highest, float(curve.estimate[shown].max()), ribbon)
        return nice_top(min(highest, 1.0))

    # -- numbering ------------------------------------------------------------------------

    def figure(self, title: str, drawing: Callable[[str], Element], note: Node, table: Node) -> (
        Element
    ):  # fmt: skip
        """A numbered figure with its numbers in a real table behind it."""
        self.figures += 1
        name = f"figure-{self.figures}"
        drawn = drawing(name)
        self.drawings[f"{self.figures:02d}-{slug(title)}"] = drawn
        return h.figure(class_="plate")[
            h.figcaption[
                h.b[f"Figure {self.figures}."], " ", h.span(".caption")[f"{title}."], " ", note
            ],
            scrolling(f"Figure {self.figures}", drawn),
            h.details(".numbers")[
                h.summary[numbers := f"Numbers of figure {self.figures}"], scrolling(numbers, table)
            ],
        ]

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[Node]],
              note: Node = None) -> Element:  # fmt: skip
        """A numbered table."""
        self.tables += 1
        return h.div(".plate")[
            scrolling(f"Table {self.tables}", grid(head, rows, h.caption[
                h.b[f"Table {self.tables}."], " ", f"{title}."])),
            note and h.p(".note")[note],
        ]  # fmt: skip


def scrolling(name: str, content: Node) -> Element:
    """Wide content scrolls by itself on a phone and can be reached with the keyboard."""
    return h.div(".scroll", tabindex="0", role="region", aria_label=name)[content]


def grid(head: Sequence[str], rows: Sequence[Sequence[Node]], caption: Node = None) -> Element:
    """A plain table: the first column names the row; columns of words are set to the left."""
    css = ["words" if _worded(column) else None for column in zip(*rows, strict=True)]
    css = css or [None] * len(head)
    return h.table[
        caption,
        h.thead[
            h.tr[(h.th(scope="col", class_=c)[name] for name, c in zip(head, css, strict=True))]
        ],
        h.tbody[
            (
                h.tr[
                    h.th(scope="row")[row[0]],
                    (h.td(class_=c)[cell] for cell, c in zip(row[1:], css[1:], strict=True)),
                ]
                for row in rows
            )
        ],
    ]


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


def tally(names: Iterable[str]) -> Mapping[str, int]:
    """Counts, largest first, then by name."""
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def estimate_at(curve: Curve, day: float) -> tuple[float, float, float]:
    """Estimate and log-log limits at a day; NaN where not estimable."""
    value, se = curve.at(day)
    lower, upper = limits(value, se)
    return value, float(lower), float(upper)


def with_interval(curve: Curve, day: float) -> str:
    """6.1% (4.2–8.4)."""
    return interval_words(*estimate_at(curve, day))


def interval_words(value: float, lower: float, upper: float) -> str:
    """An estimate with its limits, or as much of it as is known."""
    if lower != lower or upper != upper:
        return rounded(value)
    return f"{rounded(value)} ({lower * 100:.1f}–{upper * 100:.1f})"


def safe(text: str) -> str:
    """Words of a rule or note without references and dates of the source."""
    return scrubbed(text)


def slug(text: str) -> str:
    """A file name of a title."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60]
