"""The answer in one paragraph and five numbers; and what is new since the last report."""

from typing import Any

import htpy as h
from htpy import Node

from adapter.incidence import median, survival
from adapter.model import Cause
from adapter.pseudonyms import scrubbed
from adapter.report.charts import DAYS_PER_MONTH
from adapter.report.view import View, cause_of
from adapter.report.words import at, rounded, say, tally


def summary(view: View) -> Node:
    """What was found, for the reader who stops here."""
    follow_up = median(survival(view.whole.sets, "censored"))["median"] if view.whole.n else None
    cells = {
        "Episodes": f"{view.whole.n:,}",
        f"NRM at {view.when}": rounded(view.whole.nrm.at(view.horizon)[0]),
        f"Relapse at {view.when}": rounded(view.whole.relapse.at(view.horizon)[0]),
        "Median follow-up": f"{follow_up / DAYS_PER_MONTH:.1f} months" if follow_up else "–",
        "Awaiting review": f"{sum(j.needs_review for j in view.study.judged):,}",
    }
    numbers = h.dl(".figures")[(h.div[h.dt[name], h.dd[value]] for name, value in cells.items())]
    return [h.p(".lead")[_lead(view)], numbers, h.p(".note")[say("summary.never")]]


def _lead(view: View) -> Any:
    whole, deaths = view.whole, len(view.deaths)
    if not whole.n:
        return say("summary.nobody")
    found = say(
        "summary.lead", n=whole.n, episodes="episode" if whole.n == 1 else "episodes",
        deaths=deaths, crude=rounded(whole.crude["estimate"]), when=view.when,
        nrm=at(whole.nrm, view.horizon), relapse=at(whole.relapse, view.horizon),
    )  # fmt: skip
    if not deaths:
        return found
    causes = [cause_of(j) for j in view.deaths]
    infections, unknown = causes.count(Cause.INFECTION), causes.count(Cause.UNKNOWN)
    part = rounded(infections / deaths)
    return found + say(
        "summary.causes", infections=infections, deaths=deaths, share=part, unknown=unknown
    )


def changes(view: View) -> Node:
    """Left out when there is nothing to compare with."""
    if view.changes is None:
        return None
    found = view.changes.changes
    counts = "; ".join(f"{kind}: {n:,}" for kind, n in tally(c.kind for c in found).items())
    rows = [[view.names[c.patient], c.kind, h.span[scrubbed(c.text)]] for c in found]
    said = say("changes.counts", counts=counts) if counts else say("changes.none")
    return [h.p[said], view.table("changes.list", rows)]
