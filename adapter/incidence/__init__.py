"""Competing-risk statistics on anyone's table: curves, tests and regressions, numbers only.

risksets (counts) -> curves (Aalen-Johansen, Kaplan-Meier) -> gray, models -> table (all of it).
"""

from adapter.incidence.curves import (
    Curve,
    crude,
    cumulative_incidence,
    density,
    early_late,
    median,
    patient_days,
    split_incidence,
    survival,
    upper_bound,
)
from adapter.incidence.gray import gray_test, pairwise_gray
from adapter.incidence.models import cause_specific_cox, fine_gray, log_rank
from adapter.incidence.risksets import FollowUp, RiskSets, count, follow_up, risk_table
from adapter.incidence.table import Options, incidence_of_table

__all__ = [
    "Curve", "FollowUp", "Options", "RiskSets", "cause_specific_cox", "count", "crude",
    "cumulative_incidence", "density", "early_late", "fine_gray", "follow_up", "gray_test",
    "incidence_of_table", "log_rank", "median", "pairwise_gray", "patient_days", "risk_table",
    "split_incidence", "survival", "upper_bound",
]  # fmt: skip
