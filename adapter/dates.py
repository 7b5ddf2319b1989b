"""FHIR dates as intervals of calendar days, and comparisons that may answer "cannot tell".

"2021-05" is not 1 May: it is some day from 1 to 31 May. Every date becomes an :class:`Interval` of
whole days at the site, and every question about order is answered by True, False or None (cannot
tell). Day numbers are proleptic Gregorian ordinals (``datetime.date.toordinal``).
"""

import re
from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

# dateTime, instant and date of FHIR R4 §2.24.0.1, and what real servers send beside it: no zone,
# "10:00Z" without seconds, a blank for the T, a leap second.
_FHIR = re.compile(
    r"(?P<y>\d{4})(?:-(?P<m>\d{2})(?:-(?P<d>\d{2})"
    r"(?:[T ](?P<H>\d{2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:\.\d+)?)?\s*"
    r"(?P<z>Z|[+-]\d{2}:?\d{2})?)?)?)?",
    re.ASCII,
)
_EARLIEST_YEAR = 1850  # older than any patient: "0001-01-01" is a database default, not a date


class Interval(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Some day from `first` to `last`, both included (ordinals); `clock` orders within a day.

    `clock` is seconds since local midnight, or None when the source gives no time of day.
    `text` is the date as the source wrote it.
    """

    first: int
    last: int
    text: str = ""
    clock: int | None = None

    @property
    def exact(self) -> bool:
        """True when the calendar day is known."""
        return self.first == self.last

    @property
    def iso(self) -> str:
        """The date with no more precision than is known: 2021-05-03, 2021-05, 2021, or a range."""
        first, last = date.fromordinal(self.first), date.fromordinal(self.last)
        if self.exact:
            return first.isoformat()
        if (first.month, first.day, last.month, last.day) == (1, 1, 12, 31) and (
            first.year == last.year
        ):
            return f"{first.year:04d}"
        whole_month = first.day == 1 and last.day == monthrange(last.year, last.month)[1]
        if whole_month and (first.year, first.month) == (last.year, last.month):
            return f"{first.year:04d}-{first.month:02d}"
        return f"{first.isoformat()}/{last.isoformat()}"


class Days(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A number of days known to lie between `low` and `high`."""

    low: int
    high: int

    @property
    def exact(self) -> bool:
        """True when both bounds agree."""
        return self.low == self.high

    @property
    def middle(self) -> int:
        """The midpoint, rounded down: what an estimator uses when only the bounds are known."""
        return (self.low + self.high) // 2

    def __str__(self) -> str:
        return str(self.low) if self.exact else f"{self.low} to {self.high}"


def on(day: date | str) -> Interval:
    """The interval of one exact day, or of the FHIR date in a string."""
    if isinstance(day, str):
        found = parse(day)
        if found is None:
            raise ValueError(f"{day!r} is not a FHIR date")
        return found
    return Interval(day.toordinal(), day.toordinal(), day.isoformat())


@lru_cache(maxsize=65536)
def parse(text: str, zone: str | None = None) -> Interval | None:
    """Read a FHIR date, dateTime or instant; None when it cannot be read or is no real day.

    `zone` is the site's time zone: an instant with an offset is moved to the site's calendar day.
    Without `zone` the day is taken as written, because that is the day the ward saw. Zone-less
    times are always taken as written.
    """
    match = _FHIR.fullmatch(text.strip())
    if match is None or int(match["y"]) < _EARLIEST_YEAR:
        return None
    year, month, day = int(match["y"]), match["m"], match["d"]
    try:
        if month is None:
            return _span(date(year, 1, 1), date(year, 12, 31), text)
        if day is None:
            last = monthrange(year, int(month))[1]
            return _span(date(year, int(month), 1), date(year, int(month), last), text)
        if match["H"] is None:
            return _span(date(year, int(month), int(day)), date(year, int(month), int(day)), text)
        return _moment(match, text, zone)
    except (ValueError, OverflowError):
        return None


def _span(first: date, last: date, text: str) -> Interval:
    return Interval(first.toordinal(), last.toordinal(), text)


def _moment(match: re.Match[str], text: str, zone: str | None) -> Interval:
    """One instant or zone-less time; ValueError when a part of it is out of range."""
    day = date(int(match["y"]), int(match["m"]), int(match["d"])).toordinal()
    hour, minute, second = int(match["H"]), int(match["M"]), int(match["S"] or 0)
    if hour == 24 and minute == second == 0:
        # ISO 8601 allows 24:00, the end of the day, which some lab systems write for midnight
        day, hour = day + 1, 0
        date.fromordinal(day)  # OverflowError after the last day there is
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError("no time of day")
    clock = hour * 3600 + minute * 60 + min(second, 59)  # 23:59:60 is still that day
    offset = _offset(match["z"]) if match["z"] else None
    if zone is not None and offset is not None:
        utc = datetime.fromordinal(day) + timedelta(seconds=clock) - offset
        local = utc.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
        day, clock = local.toordinal(), local.hour * 3600 + local.minute * 60 + local.second
    return Interval(day, day, text, clock)


def _offset(text: str) -> timedelta:
    """FHIR allows +14:00 at the most; more is a typing error, not a place on earth."""
    if text == "Z":
        return timedelta(0)
    hours, minutes = int(text[1:3]), int(text[-2:])
    if minutes > 59 or hours * 60 + minutes > 14 * 60:
        raise ValueError("no offset")
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)


def before(a: Interval, b: Interval) -> bool | None:
    """Is `a` on an earlier day than `b`? None when the intervals overlap and cannot tell."""
    if a.last < b.first:
        return True
    return False if a.first >= b.last else None


def days_between(start: Interval, end: Interval) -> Days:
    """Days from `start` to `end` with bounds; negative when `end` is earlier."""
    return Days(end.first - start.last, end.last - start.first)


def years_between(start: Interval, end: Interval) -> int | None:
    """Completed years from `start` to `end` (age); None when the bounds give two answers."""
    youngest = _completed_years(start.last, end.first)
    oldest = _completed_years(start.first, end.last)
    return youngest if youngest == oldest else None


def _completed_years(start: int, end: int) -> int:
    a, b = date.fromordinal(start), date.fromordinal(end)
    return b.year - a.year - ((b.month, b.day) < (a.month, a.day))


def overlap(a: Interval, b: Interval) -> Interval | None:
    """The days that fit both: how two sources of one date are made as exact as they allow."""
    first, last = max(a.first, b.first), min(a.last, b.last)
    if first > last:
        return None
    finer = a if (a.last - a.first) <= (b.last - b.first) else b
    return Interval(first, last, finer.text, finer.clock)


def hull(intervals: Iterable[Interval]) -> Interval:
    """The shortest interval that covers all of `intervals` (at least one)."""
    every = list(intervals)
    first, last = min(i.first for i in every), max(i.last for i in every)
    return Interval(first, last, " / ".join(dict.fromkeys(i.text for i in every)))


def seconds_of(instant: str) -> float | None:
    """A FHIR instant as seconds since 1970; None when it cannot be read. Instants are compared
    as numbers, never as text: "…:00Z" and "…:00.000+00:00" are the same moment.
    """
    try:
        return datetime.fromisoformat(instant).timestamp() if instant else None
    except (ValueError, OverflowError):
        return None


def instant_of(seconds: float) -> str:
    """Seconds since 1970 as a FHIR instant in UTC, with milliseconds."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
