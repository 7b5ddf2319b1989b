"""One HTML file: the order of the chapters, and everything they need inside the file."""

from collections.abc import Callable
from importlib.resources import files

import htpy as h
from htpy import Element, Node
from markupsafe import Markup

from adapter.report.sections.causes import causes
from adapter.report.sections.changes import changes
from adapter.report.sections.cohort import cohort
from adapter.report.sections.deaths import deaths
from adapter.report.sections.infections import infections
from adapter.report.sections.left_out import left_out
from adapter.report.sections.literature import literature
from adapter.report.sections.methods import methods
from adapter.report.sections.outcomes import by_group, outcomes
from adapter.report.sections.quality import quality
from adapter.report.sections.sensitivity import sensitivity
from adapter.report.sections.summary import summary
from adapter.report.sections.toxicity import toxicity
from adapter.report.view import Section, View

#: The order of the report; a new chapter is one file in sections/ and one line here.
CHAPTERS: tuple[Callable[[View], Section | None], ...] = (
    summary,
    changes,
    left_out,
    cohort,
    outcomes,
    by_group,
    causes,
    infections,
    toxicity,
    deaths,
    literature,
    sensitivity,
    quality,
    methods,
)


def render(view: View) -> str:
    """The report as text; needs no network, and nothing is hidden when scripts are off."""
    chapters = [made for chapter in CHAPTERS if (made := chapter(view)) is not None]
    document = h.html(lang="en")[
        _head(view),
        h.body[
            h.a(".skip", href="#summary")["Skip to the summary"],
            view.study.synthetic and _banner(),
            _masthead(view),
            _contents(chapters),
            h.main[[_chapter(made) for made in chapters]],
            h.footer[
                h.p[f"{view.study.name} · data cut {view.study.cut or 'not known'} · "
                    "made with cart-nrm. Not validated for clinical use."]
            ],
            h.script[_asset("script.js")],
        ],
    ]  # fmt: skip
    return "".join(document.iter_chunks())


def _asset(name: str) -> Markup:
    """A file of ours beside this module: the only text that is not escaped."""
    text = files("adapter.report").joinpath(name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704


def stylesheet() -> Markup:
    """The style of page and figures."""
    return _asset("style.css")


def _head(view: View) -> Element:
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return h.head[
        h.meta(charset="utf-8"),
        h.meta(name="viewport", content="width=device-width, initial-scale=1"),
        h.meta(http_equiv="Content-Security-Policy", content=policy),
        h.meta(name="color-scheme", content="light dark"),
        h.title[f"{view.study.name}: non-relapse mortality after CAR T"],
        h.style[stylesheet()],
    ]


def _banner() -> Element:
    return h.div(".banner", role="note")[
        "This report shows synthetic data. No real patient is described."
    ]


def _masthead(view: View) -> Element:
    cut = f"Data as of {view.study.cut}" if view.study.cut else "No data cut recorded"
    return h.header(".masthead")[
        h.p(".kicker")["Non-relapse mortality after CAR T cell therapy"],
        h.h1[view.study.name],
        h.p(".byline")[
            f"{cut} · {view.data.n:,} evaluable episodes · {len(view.deaths):,} non-relapse deaths"
        ],
    ]


def _contents(chapters: list[Section]) -> Element:
    return h.nav(".contents", aria_label="Contents")[
        h.ol[(h.li[h.a(href=f"#{made.anchor}")[made.heading]] for made in chapters)]
    ]


def _chapter(made: Section) -> Node:
    return h.section(id=made.anchor, aria_labelledby=f"{made.anchor}-h")[
        h.h2(id=f"{made.anchor}-h")[made.heading], made.body
    ]
