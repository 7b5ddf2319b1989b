"""One HTML file: the order of the chapters, and everything they need inside the file."""

from collections.abc import Callable, Iterator
from importlib.resources import files

import htpy as h
from htpy import Node, fragment
from markupsafe import Markup

from adapter.report.sections.causes import causes
from adapter.report.sections.cohort import cohort, left_out
from adapter.report.sections.complications import infections, toxicity
from adapter.report.sections.deaths import deaths
from adapter.report.sections.literature import literature
from adapter.report.sections.methods import methods
from adapter.report.sections.outcomes import by_group, outcomes
from adapter.report.sections.quality import quality
from adapter.report.sections.sensitivity import sensitivity
from adapter.report.sections.summary import changes, summary
from adapter.report.view import View
from adapter.report.words import TEXT, say

#: The order of the report. A new chapter is one function in sections/, one place here, and its
#: heading in words.toml under the function's name; with nothing to show it returns None.
CHAPTERS: tuple[Callable[[View], Node], ...] = (
    summary, changes, left_out, cohort, outcomes, by_group, causes, infections, toxicity, deaths,
    literature, sensitivity, quality, methods,
)  # fmt: skip

#: States of a run that may have left something unread.
_NOT_WHOLE = ("partial", "alarm", "failed", "interrupted")


def render(view: View) -> str:
    """The report as text; needs no network, and nothing is hidden when scripts are off."""
    made = {c.__name__: c(view) or _empty(c.__name__) for c in CHAPTERS}
    shown = {name: body for name, body in made.items() if body is not None}
    since = view.changes.since if view.changes else ""
    headings = {name: say(f"{name}.heading", since=since) for name in shown}
    name, cut = view.study.name, view.study.cut
    as_of = say("page.cut", day=cut) if cut else say("page.no_cut")
    page = asset("page.html").format(
        title=say("page.title", name=name),
        style=asset("style.css"),
        banner=fragment[_banners(view)],
        kicker=say("page.kicker"),
        name=name,
        byline=say("page.byline", cut=as_of, n=view.whole.n, deaths=len(view.deaths)),
        contents=fragment[(h.li[h.a(href=f"#{n}")[heading]] for n, heading in headings.items())],
        chapters=fragment[(_chapter(n, headings[n], body) for n, body in shown.items())],
        footer=say("page.footer", name=name, cut=cut or "not known"),
        script=asset("script.js"),
    )
    return str(page)


def _banners(view: View) -> Iterator[Node]:
    """What no reader may miss: data that nobody lived, and data that are not all there."""
    quality = view.study.quality
    state = str(quality.runs[-1]["state"]) if quality.runs else ""
    if view.study.synthetic:
        yield say("page.synthetic")
    if quality.slices_due:
        yield say("page.due", due=quality.slices_due)
    elif state in _NOT_WHOLE:
        yield say("page.not_whole", state=state)


def asset(name: str) -> Markup:
    """A file of ours beside this module: the only text that is not escaped."""
    text = files("adapter.report").joinpath(name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704


def _empty(name: str) -> Node:
    return h.p[say(f"{name}.empty")] if "empty" in TEXT[name] else None


def _chapter(name: str, heading: str, body: Node) -> Node:
    titled = h.h2(id=f"{name}-h")[heading]
    return h.section(id=name, aria_labelledby=f"{name}-h")[titled, body]
