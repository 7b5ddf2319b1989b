"""The arithmetic behind docs/performance.md and docs/scale.md, and the inputs it rests on."""

import math
from pathlib import Path

import pytest

from benchmarks.figures import (
    CLASSIFY,
    CLASSIFY_TWO,
    DECODE,
    LOAD,
    LOAD_ALL,
    LOAD_TWO,
    NIGHT,
    Comparison,
    Figures,
    Peer,
    Series,
    exponent,
    promises,
)
from benchmarks.hospital import mixed, night, recipients_only
from benchmarks.measure import Cost, cart_nrm, cost_of
from benchmarks.page import filled
from benchmarks.picture import picture
from benchmarks.scale import Case, Costs, need


def series(patients: int, **cpu: float) -> Series:
    """A hospital with 50 resources a patient and these CPU seconds; others take one."""
    stages = (DECODE, LOAD, LOAD_ALL, LOAD_TWO, CLASSIFY, CLASSIFY_TWO, NIGHT)
    costs = {stage: Cost(cpu.get(stage, 1.0), 1.0, 100 << 20) for stage in stages}
    return Series(patients, 10, 50 * patients, 1_000, 1, costs, {"store": 500})


def tools(**cpu: float) -> Comparison:
    """Tools that read a thousand resources."""
    named = {"cart-nrm, five columns": 1.0, "DuckDB read_json": 1.0} | cpu
    return Comparison({}, 1_000, 1, 1, [Peer(n, "", cpu=c, rows=1_000) for n, c in named.items()])


def test_the_exponent_of_a_power_law_is_found() -> None:
    """Cost that grows with the square of the size has the exponent 2."""
    exports = [series(n, **{LOAD: 3e-9 * n**2}) for n in (10, 100, 1000)]
    assert exponent(exports, LOAD) == pytest.approx(2)


def test_one_size_has_no_exponent() -> None:
    """Nothing can be said of growth from one point."""
    assert math.isnan(exponent([series(10)], LOAD))


def test_a_promise_is_kept_at_a_third_of_the_decoding_rate() -> None:
    """Load and classify may take three times the bare decoder, and no more."""
    rates = [
        promises(Figures({}, [series(10_000, **{DECODE: base})]), tools())[0].kept
        for base in (0.67, 0.66)
    ]
    assert rates == [True, False]


def test_a_tool_that_did_not_run_proves_nothing() -> None:
    """A missing rival is no promise kept."""
    kept = {one.what: one.kept for one in promises(Figures({}, [series(10_000)]), tools())}
    assert not kept["times faster than fhir.resources, all fields validated"]


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    """The words of a page stay; its figures are renewed."""
    page = "before\n<!-- measured: x -->\nold\n<!-- end -->\nafter\n"
    wanted = "before\n<!-- measured: x -->\nnew\n<!-- end -->\nafter\n"
    assert wanted == filled(page, {"x": "new\n"})


def test_core_hours_follow_the_formula() -> None:
    """All is sifted and recipients are stored and judged, at four fifths use."""
    wants = need(Case("", 10, 100, 90, 100, 2), Costs(1e-3, 2e-3, 3e-3, 400, 1e8, 1e5))
    assert (10_000 * 1e-3 + 1_000 * 5e-3) / 3600 / 0.8 == pytest.approx(wants.core_hours)
    assert wants.core_hours / 2 == pytest.approx(wants.hours)


def test_without_others_nothing_is_sifted() -> None:
    """Where only recipients are pulled nobody has to be looked for."""
    wants = need(Case("", 10, 100, 0, 0, 1), Costs(1e-3, 2e-3, 3e-3, 400, 1e8, 1e5))
    assert 1_000 * 5e-3 / 3600 / 0.8 == pytest.approx(wants.core_hours)


def test_an_export_is_the_same_every_time(tmp_path: Path) -> None:
    """Equal sizes give equal bytes, in one file for each type."""
    one, two = mixed(tmp_path / "one", 3), mixed(tmp_path / "two", 3)
    assert [file.read_bytes() for file in one.files] == [file.read_bytes() for file in two.files]
    assert one.bytes == sum(file.stat().st_size for file in one.files)


def test_a_night_changes_as_many_patients_as_asked(tmp_path: Path) -> None:
    """One new result for each, and other patients on another night."""
    hospital = recipients_only(tmp_path / "registry", 10)
    first, second = (night(hospital, number, 2).read_bytes() for number in (0, 1))
    assert (2, 2) == (first.count(b"\n"), second.count(b"\n"))
    assert not set(first.splitlines()) & set(second.splitlines())


def test_the_picture_names_every_tool_that_ran() -> None:
    """Tools that did not start are left to the table."""
    drawn = picture(Figures({}, [series(100), series(1_000)]), tools())
    assert "DuckDB read_json" in drawn
    assert "Pathling" not in drawn


def test_a_command_that_fails_is_no_measurement() -> None:
    """Its last words are in the error."""
    with pytest.raises(RuntimeError, match="No such command"):
        cost_of(cart_nrm("fly"))
