"""How often things happen: published figures where there are any, marked assumptions elsewhere.

NM24 = Cordas dos Santos et al., Nat Med 2024;30:2667-78: 574 non-relapse deaths among 7,604
patients; group rates are its random-effects estimates. DESCAR = Lemoine et al., Blood Adv 2023.
"""

import random
from collections.abc import Mapping

# (entity, product): (share of recipients, NRM, relapse). Shares follow the patient numbers of
# NM24 loosely and add leukaemia. NRM: NM24 (LBCL by product, MCL, MM by product, indolent);
# leukaemia is not in NM24, so 8 % is an assumption. Every relapse rate is an assumption.
GROUPS: dict[tuple[str, str], tuple[float, float, float]] = {
    ("LBCL", "axi-cel"): (0.40, 0.0739, 0.48),
    ("LBCL", "tisa-cel"): (0.11, 0.0410, 0.55),
    ("LBCL", "liso-cel"): (0.08, 0.0379, 0.48),
    ("IL", "axi-cel"): (0.03, 0.0566, 0.35),
    ("IL", "tisa-cel"): (0.02, 0.0566, 0.40),
    ("MCL", "brexu-cel"): (0.07, 0.1059, 0.42),
    ("MM", "ide-cel"): (0.10, 0.0634, 0.55),
    ("MM", "cilta-cel"): (0.09, 0.1524, 0.40),
    ("ALL", "tisa-cel"): (0.03, 0.08, 0.45),
    ("ALL", "brexu-cel"): (0.03, 0.08, 0.45),
    ("ALL", "obe-cel"): (0.04, 0.08, 0.45),
}

DISEASES: dict[str, dict[str, float]] = {  # assumption
    "LBCL": {"DLBCL": 0.92, "PMBCL": 0.08},
    "IL": {"FL": 1.0},
    "MCL": {"MCL": 1.0},
    "MM": {"multiple_myeloma": 1.0},
    "ALL": {"B_ALL": 1.0},
}

# Deaths by cause, NM24 figure 4 (sum 574).
CAUSES: dict[str, float] = {
    "infection": 292,
    "second_malignancy": 45,
    "cardiovascular_respiratory": 42,
    "neurotoxicity": 30,
    "crs": 27,
    "hemorrhage": 19,
    "iec_hs": 9,
    "organ_failure": 30,
    "other": 23,
    "unknown": 57,
}

# Infection deaths: NM24 says not stated 189, COVID-19 55, bacterial 22, fungal 20, rest 6 of 292;
# how the six divide, and all other subcauses, are assumptions.
SUBCAUSES: dict[str, dict[str, float]] = {
    "infection": {
        "organism_not_identified": 189,
        "covid19": 55,
        "bacterial": 22,
        "fungal": 20,
        "viral": 3,
        "parasitic": 1,
        "mixed": 2,
    },
    "second_malignancy": {"mds_aml": 28, "t_cell": 5, "solid": 12},
    "cardiovascular_respiratory": {"": 1},
    "neurotoxicity": {"": 1},
    "crs": {"": 1},
    "hemorrhage": {"": 1},
    "iec_hs": {"": 1},
    "organ_failure": {"": 1},
    "other": {"gvhd": 10, "accident": 8, "suicide": 5},
    "unknown": {"": 1},
}

# Share of deaths before day 28 by cause: assumption, chosen so that the whole gives the 19 %
# of DESCAR (9 of 48).
EARLY: dict[str, float] = {
    "infection": 0.12,
    "second_malignancy": 0.0,
    "cardiovascular_respiratory": 0.2,
    "neurotoxicity": 0.65,
    "crs": 1.0,
    "hemorrhage": 0.4,
    "iec_hs": 0.5,
    "organ_failure": 0.2,
    "other": 0.0,
    "unknown": 0.05,
}

DIALECTS: dict[str, float] = {"us": 0.6, "oracle": 0.2, "german": 0.2}

# Chance that a sign of the cause was never recorded, and that a coded certificate reached the
# hospital (assumptions; `missing` of the study shape chooses the row).
LOST_SIGNS = {"none": 0.0, "some": 0.15, "much": 0.5}
CERTIFICATES = {"none": 0.6, "some": 0.35, "much": 0.1}

# How recipients' infusions are recorded, how relapses are, and how deaths are (assumptions).
STYLES = {"pcs+drug": 4, "pcs": 2, "cpt+hcpcs": 2, "snomed+drug": 2, "drug": 1.6, "generic": 0.2}
RELAPSE_RECORDS = {"status": 64, "diagnosis": 34, "text-only": 1, "undated": 1}
DEATH_RECORDS = {"datetime": 84, "boolean+discharge": 12, "month": 2, "boolean": 2}


def deal(weights: Mapping[str, float], n: int, dice: random.Random) -> list[str]:
    """`n` labels in the proportions of `weights` (largest remainder), shuffled: a deck of cards,
    so that a small study resembles the published table as closely as whole people allow."""
    total = sum(weights.values())
    quotas = {label: n * weight / total for label, weight in weights.items()}
    counts = {label: int(quota) for label, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda label: counts[label] - quotas[label])
    for label in by_remainder[: n - sum(counts.values())]:
        counts[label] += 1
    deck = [label for label, count in counts.items() for _ in range(count)]
    dice.shuffle(deck)
    return deck
