"""The drawing pieces: paths say what the numbers say, labels do not overlap, tables add up."""

import itertools
import re

import htpy as h
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.grades.infections import infections_of
from adapter.incidence import Curve
from adapter.model import OutcomeKind
from adapter.pseudonyms import Pseudonyms
from adapter.report.charts import (
    Axes,
    Panel,
    RiskRow,
    Track,
    curve_panel,
    month_ticks,
    stacked_panel,
)
from adapter.report.sections.deaths import day_line, marks_of
from adapter.report.sections.outcomes import by_group, outcomes
from adapter.report.svg import apart, band, nice_top, px, steps, ticks_to
from adapter.report.view import Group, View, grid
from adapter.report.words import plain, rounded, say, sentence_case
from tests.report.studies import Person, a_study, fact, judged_of

KEY = Pseudonyms(bytes(range(32)))


def heights(path: str) -> dict[float, float]:
    """y after each x of a step path, as the eye follows it."""
    found, x = {}, 0.0
    for command, a, b in re.findall(r"([MHV])([\d.]+)(?: ([\d.]+))?", path):
        if command == "M":
            x, y = float(a), float(b)
        elif command == "H":
            x = float(a)
        else:
            y = float(a)
        found[x] = y
    return found


def test_steps_start_at_zero_and_stop_at_the_last_follow_up() -> None:
    """Two jumps, drawn as steps, the last one carried to the end and no further."""
    assert "M10 100H20V90H40V60H55" == steps([20, 40, 60], [90, 60, 30], (10, 100), 55)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9)), max_size=400))
def test_thinning_never_moves_a_curve_by_a_visible_amount(jumps: list[tuple[int, int]]) -> None:
    """However many steps, the path is within half a pixel of the truth at every step."""
    xs = np.cumsum([0.3 * dx for dx, _ in jumps]) + 10
    ys = 500 - np.cumsum([0.1 * dy for _, dy in jumps])
    end = float(xs[-1]) + 5 if len(xs) else 20.0
    drawn = heights(steps(xs.tolist(), ys.tolist(), (10, 500), end))
    last = float(ys[-1]) if len(ys) else 500.0
    assert abs(drawn[float(px(end))] - last) <= 0.1
    for x, y in zip(xs, ys, strict=True):
        at = [h for place, h in drawn.items() if place <= x + 0.051]
        assert abs(at[-1] - y) <= 0.5


def test_a_band_skips_what_has_no_interval() -> None:
    """Before the first event there is no interval: the ribbon begins at the event."""
    nan = float("nan")
    path = band(np.array([1.0, 5.0]), np.array([nan, 9.0]), np.array([nan, 7.0]), 8)
    assert "M5 7H8V9H5Z" == path
    assert "" == band(np.array([1.0]), np.array([nan]), np.array([nan]), 8)


@given(st.lists(st.floats(0, 300), max_size=8))
def test_labels_are_kept_apart_in_their_order(places: list[float]) -> None:
    """No two labels closer than a line, and none changes place with another."""
    moved = apart(places, 15, 0, 300)
    ranked = [moved[i] for i in sorted(range(len(places)), key=lambda i: places[i])]
    assert all(b - a >= 15 - 1e-6 for a, b in itertools.pairwise(ranked))


@pytest.mark.parametrize("top", [0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0])
def test_axes_end_on_a_tick(top: float) -> None:
    """The highest tick is the end of the axis."""
    assert pytest.approx(top) == ticks_to(top)[-1]
    assert top == nice_top(top, (0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0))


@pytest.mark.parametrize("days", [0, 20, 100, 400, 1000, 2000, 5500])
def test_month_ticks_are_few_and_inside(days: int) -> None:
    """At most fifteen ticks, none beyond the last day."""
    ticks = month_ticks(days)
    assert 0 == ticks[0]
    assert len(ticks) <= 16
    assert max(ticks) <= days + 0.5


def test_risk_tables_of_the_main_figure_add_up() -> None:
    """At risk, both events and censored add up to n in every column."""
    view = View(a_study(150), KEY)
    outcomes(view)
    ((_, svg),) = view.pictures.values()
    rows = re.findall(r'text-anchor="middle" x="[\d.]+" y="[\d.]+">([\d,]+)</text>', str(svg))
    columns = len(view.axes([]).ticks)
    table = np.array([int(cell) for cell in rows[columns:]]).reshape(4, columns)
    assert [view.whole.n] * columns == table.sum(axis=0).tolist()


def test_the_curves_of_a_group_are_cut_when_few_are_left() -> None:
    """A late death with the last one of fifteen at risk is neither drawn nor read."""
    judged = [judged_of(Person(n, OutcomeKind.ALIVE, 50 + n)) for n in range(14)]
    group = Group("few", [*judged, judged_of(Person(15, OutcomeKind.NRM, 400))])
    assert 63 == group.track("nrm", "NRM", "c1").end
    view = View(a_study(300), KEY)
    assert 365 == view.horizon
    assert "At 12 months: NRM cut before." == view.reading([group.track("nrm", "NRM", "c1")])
    assert 0.05 == view.axes([group.track("nrm", "NRM", "c1")]).top


def test_the_axis_lies_over_stacked_areas() -> None:
    """The last stroke along the bottom comes after the areas that would hide it."""
    curve = Curve(np.array([5.0]), np.array([0.5]), np.array([0.1]))
    panel = Panel([Track("A", "a0", curve, 9)], Axes(10, 1, (0.0,)), "D")
    svg = str(stacked_panel(panel).framed("f", "T"))
    assert svg.rindex('class="axis"') > svg.index('class="area a0"')


def test_a_panel_says_in_words_what_it_shows() -> None:
    """Title and description come first in the picture."""
    curve = Curve(np.array([5.0]), np.array([0.5]), np.array([0.1]))
    panel = Panel([Track("NRM", "c1", curve, 9)], Axes(10, 1, (0.0,)), "D",
                  [RiskRow("At risk", (2,))])  # fmt: skip
    svg = curve_panel(panel).framed("f", "T")
    assert '<title id="f-t">T</title><desc id="f-d">D</desc>' in str(svg)


def test_groups_too_small_for_a_curve_are_said() -> None:
    """Episodes that are in no curve are counted in the note."""
    study = a_study(60)
    html = str(h.div[by_group(View(study, KEY))])
    assert "not drawn" in html


def test_repeats_of_an_infection_are_one() -> None:
    """Same class within 14 days of the last statement is the same infection; another class not."""
    judged = judged_of(Person(1, OutcomeKind.ALIVE, 90))
    infections = [("viral", 3), ("viral", 12), ("bacterial", 12), ("viral", 40), ("viral", 200)]
    facts = tuple(fact("infection", group, day, group=group) for group, day in infections)
    from msgspec.structs import replace

    episode = replace(judged.episode, timeline=replace(judged.episode.timeline, facts=facts))
    found = infections_of(replace(judged, episode=episode))
    assert [(3, "viral"), (12, "bacterial"), (40, "viral")] == [tuple(one) for one in found]


def test_the_day_line_marks_evidence_and_death() -> None:
    """Infusion is a mark at day 0, death a cross at the end."""
    dead = next(j for j in a_study(200).judged if j.verdict and len(marks_of(j)) > 1)
    svg = str(day_line(marks_of(dead), 50).framed("x", "Day line"))
    assert "death, day 50" in svg
    assert 1 == svg.count('class="cross"')


def test_columns_of_words_are_set_to_the_left() -> None:
    """Numbers to the right, words to the left."""
    html = str(grid(["a", "b", "c"], [["x", "1", "word"], ["y", "2", "more"]]))
    assert '<td>1</td><td class="words">word</td>' in html


def test_words() -> None:
    """Names of ours become words; a proportion that is not known is a dash."""
    assert "organism not identified" == plain("organism_not_identified")
    assert "COVID-19" == sentence_case(plain("covid19"))
    assert ["MDS or AML", "T-cell", "later transplant"] == [
        plain(n) for n in ("mds_aml", "t_cell", "hct")
    ]
    assert "–" == rounded(None) == rounded(float("nan"))


def test_what_is_filled_into_a_text_is_escaped() -> None:
    """Our texts may hold markup; what is put into them may not."""
    assert "What changed since &lt;b&gt;" == say("changes.heading", since="<b>")
