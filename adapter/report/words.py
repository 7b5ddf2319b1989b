"""How names, counts and proportions are said; whole sentences are in words.toml."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from adapter import intervals
from adapter.incidence import Curve
from adapter.model import Cause

TEXT: dict[str, Any] = tomllib.loads(
    files("adapter.report").joinpath("words.toml").read_text(encoding="utf-8")
)
CAUSE_WORDS = {cause: TEXT["causes_of_death"][cause.value] for cause in Cause}


def say(name: str, /, **values: object) -> Any:
    """The text `chapter.name` of words.toml with its {values}, which are escaped unless markup."""
    found: Any = TEXT
    for part in name.split("."):
        found = found[part]
    return _filled(found, values)


def _filled(text: Any, values: Mapping[str, object]) -> Any:
    if isinstance(text, dict):
        return {name: _filled(part, values) for name, part in text.items()}
    if isinstance(text, list):
        return [_filled(part, values) for part in text]
    return Markup(text).format(**values)  # noqa: S704 (our own file)


def plain(name: str) -> str:
    """A name of ours as words: organism_not_identified -> organism not identified."""
    return str(TEXT["plain"].get(name, name.replace("_", " ")))


def sentence_case(text: str) -> str:
    """The first letter large, the others as they are: COVID-19 stays COVID-19."""
    return text[:1].upper() + text[1:]


def slug(text: str) -> str:
    """A file name of a title."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60]


def tally(names: Iterable[str]) -> dict[str, int]:
    """Counts, largest first, then by name."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def rounded(value: float | None, digits: int = 1) -> str:
    """A proportion as percent, or a dash when it is not known."""
    return "–" if value is None or value != value else f"{value * 100:.{digits}f}%"


def share(part: int, whole: int) -> str:
    """A count with its percentage."""
    return f"{part:,} ({part / whole * 100:.1f}%)" if whole else f"{part:,}"


def between(lower: float | None, upper: float | None) -> str:
    """Limits of a proportion in percent, without the sign: 4.2–8.4."""
    known = lower is not None and upper is not None and lower == lower and upper == upper
    return f"{lower * 100:.1f}–{upper * 100:.1f}" if known else "–"  # type: ignore[operator]


def wilson(part: int, whole: int) -> str:
    """The Wilson limits of a proportion."""
    return between(*intervals.wilson(part, whole))


def with_limits(value: float | None, lower: float | None, upper: float | None) -> str:
    """An estimate with its limits, or as much of it as is known: 6.1% (4.2–8.4)."""
    limits = between(lower, upper)
    return rounded(value) if limits == "–" else f"{rounded(value)} ({limits})"


def at(curve: Curve, day: float) -> str:
    """A curve read at a day, with its log-log limits."""
    value, se = curve.at(day)
    return with_limits(value, *(float(limit) for limit in intervals.limits(value, se)))
