"""The truth of a study beside the published figures it was made after."""

from collections import Counter

from .rates import CAUSES, GROUPS
from .truth import TruthRow


def against_published(rows: list[TruthRow]) -> str:
    """Non-relapse mortality by group and cause shares, synthetic truth against published."""
    first = [row for row in rows if row.episode == 1]
    deaths = [row for row in first if row.cause]
    lines = [f"{'group':<18}{'n':>6}{'NRM':>6}{'%':>7}{'published %':>13}{'relapse %':>11}"]
    lines += [_group(first, entity, product) for entity, product in GROUPS]
    lines.append(_line("all", first, "6.82 *"))
    early = sum(int(row.time_days or 99) < 28 for row in deaths)
    lines.append(f"deaths before day 28: {early} of {len(deaths)} (DESCAR-T: 9 of 48)")
    counts = Counter(row.cause for row in deaths)
    for cause, published in CAUSES.items():
        share = 100 * counts[cause] / max(1, len(deaths))
        lines.append(
            f"{cause:<28}{counts[cause]:>5}{share:>7.1f} %  published {published / 5.74:.1f} %"
        )
    lines.append(
        "* Nat Med 2024;30:2667, random effects; without leukaemia, which is our assumption"
    )
    return "\n".join(lines)


def _group(rows: list[TruthRow], entity: str, product: str) -> str:
    members = [row for row in rows if (row.entity, row.product) == (entity, product)]
    published = f"{100 * GROUPS[entity, product][1]:.2f}" + (" a" if entity == "ALL" else "  ")
    return _line(f"{entity} {product}", members, published)


def _line(name: str, rows: list[TruthRow], published: str) -> str:
    nrm, relapse = (sum(test(row) for row in rows) for test in (_died, _relapsed))
    n = max(1, len(rows))
    counts = f"{name:<18}{len(rows):>6}{nrm:>6}{100 * nrm / n:>7.2f}"
    return f"{counts}{published:>13}{100 * relapse / n:>11.1f}"


def _died(row: TruthRow) -> bool:
    return bool(row.cause)


def _relapsed(row: TruthRow) -> bool:
    return row.outcome == "relapse"
