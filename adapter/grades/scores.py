"""CAR-HEMATOTOX and the EASIX family from the values before lymphodepletion.

`baseline` is `Episode.baseline`: platelets and ANC in 10*3/µL, haemoglobin g/dL, CRP mg/L, ferritin
ng/mL, LDH U/L, creatinine mg/dL. The formulas want CRP in mg/dL: the unit trap of this family.
"""

from collections.abc import Mapping

from adapter.config import Hematotox
from adapter.grades.score import Score

_MG_L_PER_MG_DL = 10


def easix(baseline: Mapping[str, float]) -> Score:
    """EASIX = LDH (U/L) x creatinine (mg/dL) / platelets (10*9/L).

    Source of the three formulas: doi 10.1182/bloodadvances.2020003885.
    """
    return _ratio(baseline, "LDH", "creatinine")


def s_easix(baseline: Mapping[str, float]) -> Score:
    """Simplified EASIX = LDH / platelets (source: see `easix`)."""
    return _ratio(baseline, "LDH")


def m_easix(baseline: Mapping[str, float]) -> Score:
    """Modified EASIX = LDH x CRP (mg/dL) / platelets (source: see `easix`)."""
    score = _ratio(baseline, "LDH", "CRP")
    return score if score.value is None else Score(score.value / _MG_L_PER_MG_DL)


def _ratio(baseline: Mapping[str, float], *factors: str) -> Score:
    missing = [name for name in (*factors, "platelets") if name not in baseline]
    if missing:
        return Score(None, f"no {', '.join(missing)} before lymphodepletion")
    if baseline["platelets"] <= 0:
        return Score(None, "platelets are zero")
    value = 1.0
    for name in factors:
        value *= baseline[name]
    return Score(value / baseline["platelets"])


def car_hematotox(baseline: Mapping[str, float], cuts: Hematotox) -> Score:
    """CAR-HEMATOTOX, 0 to 7 (Rejeski et al. 2021, doi 10.1182/blood.2020010543).

    The cut-offs are from general knowledge and marked so; verify them in the paper before use.
    """
    needed = ("platelets", "ANC", "hemoglobin", "CRP", "ferritin")
    missing = [name for name in needed if name not in baseline]
    if missing:
        return Score(None, f"no {', '.join(missing)} before lymphodepletion")
    low, high = cuts.platelets
    iron_low, iron_high = cuts.ferritin
    points = (
        (baseline["platelets"] <= high) + (baseline["platelets"] < low)
        + (baseline["ANC"] * 1000 <= cuts.anc)
        + (baseline["hemoglobin"] <= cuts.hemoglobin)
        + (baseline["CRP"] / _MG_L_PER_MG_DL >= cuts.crp)
        + (baseline["ferritin"] >= iron_low) + (baseline["ferritin"] > iron_high)
    )  # fmt: skip
    return Score(int(points), "" if cuts.verified else "cut-offs not verified in the paper")


def hematotox_risk(score: Score, cuts: Hematotox) -> Score:
    """1 when the risk is high (score >= 2, sourced), 0 when low."""
    if score.value is None:
        return score
    return Score(int(score.value >= cuts.high), score.why)
