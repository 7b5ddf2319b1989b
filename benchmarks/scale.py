"""What other sizes need, from the measured costs: the arithmetic of docs/scale.md.

Prices and the shape of other people's data are assumptions, named here and in the page.
"""

from typing import NamedTuple

from benchmarks.figures import CLASSIFY, LOAD, LOAD_ALL, Figures

BUSY = 0.8  # of the time a core really works: assumption
CORE_HOUR = 0.05  # EUR for a core and its memory for one hour: assumption
GB_MONTH = 0.02  # EUR for a gigabyte kept for one month: assumption
KILOBYTES = 1.4  # a resource: as the synthetic Observations, assumption for others


class Costs(NamedTuple):
    """What was measured: CPU seconds a resource on one core, and bytes kept of one stored."""

    sift: float  # load --recipients-only, a resource of the input
    keep: float  # load, a resource that is stored
    judge: float  # classify, a resource of a recipient
    stored: float  # bytes in the store, of a resource
    start: float  # bytes of memory, before the first recipient
    held: float  # bytes of memory of a recipient, while a study is classified or told of


class Case(NamedTuple):
    """A size that somebody may have; `others` is patients who are no recipients."""

    name: str
    recipients: float
    of_recipient: float  # resources of a recipient
    others: float
    of_other: float  # resources of another patient
    cores: int


CASES = (
    Case("a centre: 1,000 recipients", 1e3, 2_000, 0, 0, 1),
    Case("a national registry: 10⁵ recipients", 1e5, 2_000, 0, 0, 16),
    Case("a raw export of 10⁸ patients, 10⁵ of them recipients", 1e5, 2_000, 1e8, 500, 256),
)


class Need(NamedTuple):
    """What a case needs for one full run."""

    resources: float
    gigabytes: float
    core_hours: float
    hours: float
    store_gb: float
    memory_gb: float
    euros: float  # for the run
    euros_month: float  # for keeping export and store


def costs_of(figures: Figures) -> Costs:
    """The measured costs, taken at the largest size of each kind."""
    small, export, registry = figures.exports[0], figures.exports[-1], figures.registry
    assert registry is not None
    least, most = small.costs[CLASSIFY].peak, registry.costs[CLASSIFY].peak
    held = max(most - least, 0) / (registry.recipients - small.recipients)
    return Costs(
        export.cpu(LOAD) / export.resources,
        registry.cpu(LOAD_ALL) / registry.resources,
        registry.cpu(CLASSIFY) / registry.resources,
        registry.sizes["store"] / registry.resources,
        least,
        held,
    )


def need(case: Case, costs: Costs) -> Need:
    """T = (all · sift, where there are others + recipients · (keep + judge)) / busy."""
    mine, theirs = case.recipients * case.of_recipient, case.others * case.of_other
    sifted = mine + theirs if theirs else 0
    seconds = sifted * costs.sift + mine * (costs.keep + costs.judge)
    core_hours = seconds / 3600 / BUSY
    gigabytes = (mine + theirs) * KILOBYTES / 1e6
    store = mine * costs.stored / 1e9
    return Need(
        mine + theirs, gigabytes, core_hours, core_hours / case.cores, store,
        (costs.start + case.recipients * costs.held) / 1e9,
        core_hours * CORE_HOUR, (gigabytes + store) * GB_MONTH,
    )  # fmt: skip


def scale_blocks(figures: Figures) -> dict[str, str]:
    """The tables of docs/scale.md."""
    if figures.registry is None:
        return {}
    costs = costs_of(figures)
    needs = [(case, need(case, costs)) for case in CASES]
    return {"unit-costs": _units(costs), "needs": _needs(needs), "worked": _worked(costs)}


def _units(costs: Costs) -> str:
    return "\n".join(
        (
            "| symbol | measured | meaning |",
            "|---|---:|---|",
            f"| s | {1e6 * costs.sift:.1f} µs | `load --recipients-only`, a resource read |",
            f"| k | {1e6 * costs.keep:.1f} µs | `load`, a resource that is stored |",
            f"| j | {1e6 * costs.judge:.1f} µs | `classify`, a resource of a recipient |",
            f"| z | {costs.stored:.0f} bytes | the store, a resource that is stored |",
            f"| h | {costs.held / 1e3:.0f} kB | memory, a recipient while classifying |",
        )
    )


def _needs(needs: list[tuple[Case, Need]]) -> str:
    lines = [
        "| | resources | input | cores | core hours | hours | store | memory "
        "| a run | keeping a month |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case, wants in needs:
        lines.append(
            f"| {case.name} | {wants.resources:.1e} | {_bytes(wants.gigabytes)} | {case.cores} "
            f"| {_number(wants.core_hours)} | {_number(wants.hours)} | {_bytes(wants.store_gb)} "
            f"| {_bytes(wants.memory_gb)} "
            f"| {_number(wants.euros)} € | {_number(wants.euros_month)} € |"
        )
    return "\n".join(lines)


def _worked(costs: Costs) -> str:
    case = CASES[-1]
    wants = need(case, costs)
    mine = case.recipients * case.of_recipient
    every = case.others * case.of_other + mine
    return (
        f"    all         {wants.resources:.1e} resources "
        f"x {1e6 * costs.sift:.1f} µs = {every * costs.sift / 3600:,.0f} h\n"
        f"    recipients  {mine:.1e} resources x {1e6 * (costs.keep + costs.judge):.1f} µs "
        f"= {mine * (costs.keep + costs.judge) / 3600:,.0f} h\n"
        f"    together, at {BUSY:.0%} use: {wants.core_hours:,.0f} core hours; "
        f"on {case.cores} cores {wants.hours:,.1f} hours; at {CORE_HOUR} € {wants.euros:,.0f} €"
    )


def _bytes(gigabytes: float) -> str:
    if gigabytes >= 1000:
        return f"{gigabytes / 1000:,.1f} TB"
    return f"{gigabytes:,.1f} GB"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
