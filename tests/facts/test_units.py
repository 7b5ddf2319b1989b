"""Units: converted, refused, never guessed."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import MappingError
from adapter.facts.units import UNITS_FILE, Unit, known_units, measure, spelled
from tests.facts.reader import codes

# Hand-worked: analyte, value, unit as sent, canonical value (mappings/units.csv)
CONVERSIONS = [
    ("ANC", 1200, "/uL", 1.2),
    ("ANC", 1.2, "10*3/uL", 1.2),
    ("ANC", 1.2, "x10^9/L", 1.2),
    ("ANC", 1.2, "10³/µL", 1.2),
    ("ANC", 1.2, "K/uL", 1.2),
    ("ANC", 1.2, "G/l", 1.2),
    ("ANC", 1200, "{cells}/uL", 1.2),
    ("ANC", 1200, "cells/mm3", 1.2),
    ("ANC", 1.2, "thou/mcL", 1.2),
    ("ANC", 1.2, "10E3/uL", 1.2),
    ("ANC", 1.2, "Tsd/µl", 1.2),
    ("platelets", 150000, "/uL", 150.0),
    ("platelets", 150, "Gpt/l", 150.0),
    ("CD4", 0.2, "10*9/L", 200.0),
    ("hemoglobin", 95, "g/L", 9.5),
    ("hemoglobin", 5.0, "mmol/L", 8.055),
    ("CRP", 1.2, "mg/dL", 12.0),
    ("CRP", 12, "mg/l", 12.0),
    ("ferritin", 2000, "ug/L", 2000.0),
    ("ferritin", 2000, "µg/l", 2000.0),
    ("LDH", 5, "ukat/L", 300.0),
    ("LDH", 300, "[iU]/L", 300.0),
    ("creatinine", 88.4, "umol/L", 1.0),
    ("bilirubin", 17.1, "µmol/l", 1.0),
    ("fibrinogen", 1.5, "g/L", 150.0),
    ("IgG", 4, "g/L", 400.0),
    ("BUN", 10, "mmol/L", 28.0),
    ("albumin", 35, "g/L", 3.5),
    ("temperature", 100.4, "[degF]", 38.0),
    ("temperature", 38.0, "Cel", 38.0),
    ("temperature", 38.0, "°C", 38.0),
    ("weight", 150, "[lb_av]", 68.04),
    ("height", 70, "[in_i]", 177.8),
    ("systolic_pressure", 120, "mmHg", 120.0),
    ("systolic_pressure", 120, "mm[Hg]", 120.0),
]


@pytest.mark.parametrize(("analyte", "value", "unit", "expected"), CONVERSIONS)
def test_values_are_converted(analyte: str, value: float, unit: str, expected: float) -> None:
    """To the canonical unit of the analyte."""
    measured = measure(analyte, value, unit)
    assert measured.value == pytest.approx(expected, rel=1e-9)
    assert measured.doubt == ""


@pytest.mark.parametrize(
    ("analyte", "value", "units"),
    [
        ("ANC", 1.2, ()),  # 1.2 per nL or per uL
        ("CRP", 12.0, ()),  # mg/L or mg/dL
        ("LDH", 300.0, ()),  # U/L or ukat/L
        ("ANC", 1.2, ("mg/dL",)),  # no unit of a count
        ("CRP", 12.0, ("mg/L", "mg/dL")),  # code and text contradict each other
        ("ANC", 1200, ("10*3/uL",)),  # impossible
        ("hemoglobin", 95, ("g/dL",)),  # impossible
        ("ANC", -1.0, ("10*3/uL",)),  # impossible
        ("ANC", float("nan"), ("10*3/uL",)),
        ("ANC", float("inf"), ("10*3/uL",)),
        ("nonsense", 1.0, ("g/L",)),
    ],
)
def test_doubtful_values_are_refused(analyte: str, value: float, units: tuple[str, ...]) -> None:
    """With a sentence that holds no value."""
    measured = measure(analyte, value, *units)
    assert measured.value is None
    assert measured.doubt
    assert str(value) not in measured.doubt


def test_a_missing_unit_is_assumed_only_when_one_is_possible() -> None:
    """ANC 1200 can only be per uL; the assumption is noted."""
    measured = measure("ANC", 1200)
    assert measured.value == 1.2
    assert measured.doubt


def test_an_unknown_text_beside_a_known_code_does_not_matter() -> None:
    """UCUM code g/dL, unit text in the hospital's words."""
    assert measure("hemoglobin", 9.5, "g/dL", "Gramm pro Deziliter").value == 9.5


def test_scores_need_no_unit() -> None:
    """ECOG 2, with UCUM {score} or nothing."""
    assert measure("ECOG", 2).value == measure("ECOG", 2, "{score}").value == 2.0
    assert measure("ECOG", 7).value is None


def test_every_measured_concept_has_units() -> None:
    """A new laboratory code needs a row in units.csv."""
    measured = {
        meaning.group
        for row in codes().rows
        if row.concept in ("lab", "vital", "performance_status")
        for meaning in codes().lookup(row.system, row.code)
        if not meaning.group.endswith("panel")
    }
    assert measured <= set(known_units())


def rows() -> list[dict[str, str]]:
    """The rows of units.csv."""
    lines = UNITS_FILE.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def test_rows_of_one_analyte_agree() -> None:
    """One canonical unit and one range; each row has a source."""
    agreed: dict[str, tuple[str, ...]] = {}
    for row in rows():
        same = (row["canonical"], row["low"], row["high"])
        assert agreed.setdefault(row["analyte"], same) == same
        assert row["source"]


def test_no_spelling_means_two_units() -> None:
    """Within one analyte."""
    for analyte in known_units():
        spellings = [
            spelled(one)
            for row in rows()
            if row["analyte"] == analyte
            for one in row["spellings"].split(";")
        ]
        factors = {s: known_units()[analyte][s].factor for s in spellings}
        for row in rows():
            if row["analyte"] == analyte:
                for one in row["spellings"].split(";"):
                    assert factors[spelled(one)] == float(row["factor"])


def test_the_canonical_unit_is_accepted_as_it_is() -> None:
    """Factor one, offset zero."""
    for row in rows():
        if row["canonical"] in row["spellings"].split(";"):
            assert (float(row["factor"]), float(row["offset"])) == (1.0, 0.0)


@given(st.sampled_from(sorted(known_units())), st.floats(), st.none() | st.text(max_size=8))
def test_measure_never_fails_and_stays_in_range(
    analyte: str, value: float, unit: str | None
) -> None:
    """Whatever a server sends."""
    measured = measure(analyte, value, unit)
    if measured.value is not None:
        some = next(iter(known_units()[analyte].values()))
        assert some.low <= measured.value <= some.high


@given(st.text(max_size=20))
def test_spelling_is_idempotent_enough(text: str) -> None:
    """Spelling twice changes nothing that blanks and case did not."""
    assert spelled(text.upper().lower()) == spelled(text.upper().lower() + " ")


def test_binary_dust_is_brushed_off() -> None:
    """0.1 * 3 is 0.3 in a table a physician reads."""
    assert Unit("x", "x", 0.1, 0.0, 0.0, 10.0).convert(3.0) == 0.3


def test_a_broken_table_says_so(tmp_path: pytest.TempPathFactory) -> None:
    """With its name."""
    path = tmp_path / "units.csv"  # type: ignore[operator]
    path.write_text("analyte,canonical\nANC,x\n", encoding="utf-8")
    with pytest.raises(MappingError, match=r"units\.csv"):
        known_units(path)
