"""Dates: intervals, order that may be unknown, zones, and everything servers send instead."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.dates import (
    Days,
    Interval,
    before,
    days_between,
    hull,
    on,
    overlap,
    parse,
    years_between,
)

DAYS = st.dates(date(1900, 1, 1), date(2100, 12, 31))
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "UTC"]


@st.composite
def short(draw: st.DrawFn) -> Interval:
    """An interval of one to five days in a narrow range, so that pairs often touch."""
    first = draw(st.integers(738_000, 738_008))
    return Interval(first, first + draw(st.integers(0, 4)))


def every(interval: Interval) -> range:
    """The days an interval may mean."""
    return range(interval.first, interval.last + 1)


def verdict(answers: list[bool]) -> bool | None:
    """True or False when all possible days agree, else None."""
    return answers[0] if len(set(answers)) == 1 else None


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "iso", "exact"),
    [
        ("2021", "2021", False),
        ("2021-05", "2021-05", False),
        ("2024-02", "2024-02", False),
        ("2021-05-03", "2021-05-03", True),
        ("2021-05-03T10:11:12Z", "2021-05-03", True),
        ("2021-05-03T10:11:12.123456+02:00", "2021-05-03", True),
        ("2021-05-03T10:11:12+0200", "2021-05-03", True),
        ("2021-05-03T10:11", "2021-05-03", True),
        ("2021-05-03T10:00Z", "2021-05-03", True),
        ("2021-05-03 10:11:12", "2021-05-03", True),
        (" 2021-05-03 ", "2021-05-03", True),
        ("2021-05-03T24:00:00", "2021-05-04", True),
        ("2016-12-31T23:59:60Z", "2016-12-31", True),
    ],
)
def test_what_servers_write_is_read(text: str, iso: str, exact: bool) -> None:
    """FHIR dates and the common departures from them."""
    found = parse(text)
    assert found is not None
    assert (found.iso, found.exact, found.text) == (iso, exact, text)


@pytest.mark.parametrize(
    "text",
    [
        "", "unknown", "2021-13", "2021-02-29", "2021-05-32", "03.05.2021", "05/03/2021",
        "20210503", "2021-W18-1", "2021-123", "0001-01-01", "1849-12-31", "2021-5-3",
        "2021-05-03T25:00:00Z", "2021-05-03T10:61:00Z", "2021-05-03T10:11:75Z",
        "2021-05-03T24:00:01Z", "2021-05-03T10", "2021-05-03T10:11:12+15:00",
        "2021-05-03T10:11:12+02:99", "9999-12-31T24:00:00Z", "２０２１-05-03", "2021-05-03T",
        "2021-05-03T10:11:12 Europe/Berlin", "2021-05-03\n2021-05-04", "-2021-05-03",
    ],
)  # fmt: skip
def test_what_is_no_date_is_none(text: str) -> None:
    """Never a guess: day and month are not told apart by hoping."""
    assert parse(text) is None
    assert parse(text, "Europe/Berlin") is None


@given(DAYS)
def test_every_real_day_is_itself(day: date) -> None:
    """Written and read again."""
    assert on(day.isoformat()) == on(day)
    assert on(day).iso == day.isoformat()


@given(st.integers(1850, 2200), st.integers(1, 12))
def test_a_month_is_all_its_days(year: int, month: int) -> None:
    """From the first to the last, and never a day more."""
    found = on(f"{year:04d}-{month:02d}")
    days = [date.fromordinal(day) for day in every(found)]
    assert {(day.year, day.month) for day in days} == {(year, month)}
    assert (days[0].day, (days[-1] + timedelta(days=1)).day) == (1, 1)


@given(st.integers(1850, 2200))
def test_a_year_is_all_its_days(year: int) -> None:
    """365 or 366."""
    found = on(f"{year:04d}")
    assert {date.fromordinal(day).year for day in (found.first, found.last)} == {year}
    assert len(every(found)) in (365, 366)


@given(DAYS, DAYS)
def test_iso_says_what_is_known_and_no_more(one: date, other: date) -> None:
    """Reading the printed form of a range gives its ends again."""
    found = hull((on(one), on(other)))
    parts = found.iso.split("/")
    assert on(parts[0]).first == found.first
    assert on(parts[-1]).last == found.last


@given(st.text(max_size=30), st.sampled_from([None, *ZONES]))
def test_no_text_crashes(text: str, zone: str | None) -> None:
    """None or an interval in order."""
    found = parse(text, zone)
    assert found is None or found.first <= found.last


@given(st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?", fullmatch=True))
def test_no_shape_of_an_instant_crashes(text: str) -> None:
    """Also 99:99 and month 47."""
    for found in (parse(text), parse(text, "Asia/Kathmandu")):
        assert found is None or found.exact


def test_on_refuses_what_is_no_date() -> None:
    """Tests and settings are told; data are noted."""
    with pytest.raises(ValueError, match="not a FHIR date"):
        on("yesterday")


# -- zones ---------------------------------------------------------------------------------------


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
    st.integers(-14 * 4, 14 * 4),
    st.sampled_from(ZONES),
)
def test_an_instant_falls_on_the_sites_day(moment: datetime, quarters: int, zone: str) -> None:
    """Whatever offset it was written in, as Python's own calendar says."""
    written = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=15 * quarters)))
    local = written.astimezone(ZoneInfo(zone))
    found = parse(written.isoformat(), zone)
    assert found is not None
    assert found.first == found.last == local.date().toordinal()
    assert found.clock == local.hour * 3600 + local.minute * 60 + local.second


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), st.sampled_from(ZONES))
def test_a_time_without_a_zone_is_taken_as_written(moment: datetime, zone: str) -> None:
    """The ward's clock is the site's clock."""
    text = moment.replace(microsecond=0).isoformat()
    assert parse(text, zone) == parse(text)
    assert on(text).first == moment.toordinal()


@given(DAYS, st.sampled_from(ZONES))
def test_a_date_has_no_zone(day: date, zone: str) -> None:
    """Only instants move."""
    assert parse(day.isoformat(), zone) == on(day)


def test_without_a_site_zone_the_day_is_the_one_written() -> None:
    """23:30 in New York is that evening's ward, not tomorrow in UTC."""
    assert on("2021-05-03T23:30:00-04:00").iso == "2021-05-03"


def test_late_evening_in_utc_is_the_next_day_in_berlin() -> None:
    """The classic."""
    found = parse("2021-05-03T22:30:00Z", "Europe/Berlin")
    assert found is not None
    assert (found.iso, found.clock) == ("2021-05-04", 30 * 60)


def test_a_leap_second_stays_on_its_day() -> None:
    """23:59:60 is the last second of the year."""
    found = parse("2016-12-31T23:59:60Z", "UTC")
    assert found is not None
    assert (found.iso, found.clock) == ("2016-12-31", 86_399)


def test_summer_time_begins_and_ends_without_losing_a_day() -> None:
    """Every hour of the two odd days lies on them or their neighbours."""
    for day in (datetime(2021, 3, 28, tzinfo=UTC), datetime(2021, 10, 31, tzinfo=UTC)):
        days = [
            parse((day + timedelta(hours=hour)).isoformat(), "Europe/Berlin") for hour in range(24)
        ]
        firsts = [found.first for found in days if found is not None]
        assert len(firsts) == 24
        assert firsts == sorted(firsts)
        assert set(firsts) <= {day.toordinal(), day.toordinal() + 1}


# -- order ---------------------------------------------------------------------------------------


@given(short(), short())
def test_order_is_what_all_possible_days_agree_on(a: Interval, b: Interval) -> None:
    """Every comparison against brute force over the days the two may mean."""
    pairs = list(product(every(a), every(b)))
    assert before(a, b) == verdict([x < y for x, y in pairs])


@given(short(), short())
def test_day_counts_carry_their_bounds(a: Interval, b: Interval) -> None:
    """Low and high are reached, and nothing lies outside."""
    counts = [y - x for x, y in product(every(a), every(b))]
    assert days_between(a, b) == Days(min(counts), max(counts))
    assert days_between(a, b).exact == (a.exact and b.exact)
    back = days_between(b, a)
    assert (back.low, back.high) == (-max(counts), -min(counts))


@given(short(), short(), short())
def test_before_is_transitive(a: Interval, b: Interval, c: Interval) -> None:
    """Where all three are known."""
    if before(a, b) and before(b, c):
        assert before(a, c)


@given(short(), short())
def test_overlap_and_hull_are_intersection_and_cover(a: Interval, b: Interval) -> None:
    """Either way round."""
    both, cover = overlap(a, b), hull((a, b))
    common = set(every(a)) & set(every(b))
    assert (set(every(both)) if both else set()) == common
    assert (cover.first, cover.last) == (min(a.first, b.first), max(a.last, b.last))
    other = overlap(b, a)
    assert (both is None) == (other is None)
    if both is not None and other is not None:
        assert (both.first, both.last) == (other.first, other.last)


@given(DAYS, DAYS)
def test_ages_are_completed_years(born: date, then: date) -> None:
    """By counting birthdays; 29 February is completed on 1 March."""
    start, end = sorted((born, then))
    age = years_between(on(start), on(end))
    assert age is not None
    birthdays = 0
    while True:
        year = start.year + birthdays + 1
        try:
            birthday = start.replace(year=year)
        except ValueError:
            birthday = date(year, 3, 1)
        if birthday > end:
            break
        birthdays += 1
    assert age == birthdays


@pytest.mark.parametrize(
    ("born", "then", "age"),
    [("1960", "2021-05-03", None), ("1960-02", "2021-05-03", 61), ("1960-05", "2021-05-15", None),
     ("1960-02-03", "2021", None), ("2000-02-29", "2021-02-28", 20)],
)  # fmt: skip
def test_an_age_with_two_answers_is_unknown(born: str, then: str, age: int | None) -> None:
    """Born in 1960: 60 or 61."""
    assert years_between(on(born), on(then)) == age


def test_days_print_as_they_are_known() -> None:
    """12, or 12 to 42."""
    assert (str(Days(12, 12)), str(Days(12, 42)), Days(12, 42).middle) == ("12", "12 to 42", 27)


def test_a_month_before_a_day_in_it_cannot_be_told() -> None:
    """2021-05 against 10 May."""
    assert before(on("2021-05"), on("2021-05-10")) is None
    assert before(on("2021-04"), on("2021-05-10")) is True
    assert before(on("2021-06"), on("2021-05-10")) is False
