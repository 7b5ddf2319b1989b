"""The codes of drugs, products, procedures, organisms and laboratory tests.

Only codes with published evidence are used where a reader is meant to find something; what is
local to a hospital stands for the noise that every real record is full of. Codes only, no
descriptors of the code systems.
"""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

CM = "http://hl7.org/fhir/sid/icd-10-cm"
WHO = "http://hl7.org/fhir/sid/icd-10"
GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
GM_OLD = "http://fhir.de/CodeSystem/dimdi/icd-10-gm"
SCT = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
NDC = "http://hl7.org/fhir/sid/ndc"
ATC = "http://fhir.de/CodeSystem/bfarm/atc"
PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
OPS = "http://fhir.de/CodeSystem/bfarm/ops"
UCUM = "http://unitsofmeasure.org"
VERLAUF = (
    "https://www.medizininformatik-initiative.de/fhir/ext/modul-onko/CodeSystem/"
    "mii-cs-onko-verlauf-gesamtbeurteilung"
)
CAR_T = "1156961008"  # SNOMED CT: CAR T-cell immunotherapy, any product

# product: ICD-10-PCS from FY2022, HCPCS, RxNorm, NDC, ATC
PRODUCTS = {
    "axi-cel": ("XW033H7", "Q2041", "1987398", "71287-119-01", "L01XL03"),
    "tisa-cel": ("XW043J7", "Q2042", "1986438", "0078-0958-19", "L01XL04"),
    "brexu-cel": ("XW033M7", "Q2053", "2387277", "71287-219-01", "L01XL06"),
    "liso-cel": ("XW033N7", "Q2054", "2479136", "73153-900-01", "L01XL08"),
    "ide-cel": ("XW043K7", "Q2055", "2536430", "59572-515-01", "L01XL07"),
    "cilta-cel": ("XW033A7", "Q2056", "2594775", "57894-111-01", "L01XL05"),
    "obe-cel": ("", "Q2058", "2698195", "83047-410-04", "L01XL12"),
    "lifileucel": ("XW033L7", "", "2675860", "", "L01XL11"),
    "afami-cel": ("XW03368", "Q2057", "2690256", "", ""),
    "amivantamab": ("XW033B7", "", "", "", ""),
}
LOOK_ALIKES = ("lifileucel", "afami-cel", "amivantamab")  # never under a CAR T code
PCS_FY2021 = {"brexu-cel": "XW23346", "liso-cel": "XW24376"}
PCS_GENERIC = ("XW033C3", "XW043C7")  # until FY2021, and since

# drug: RxNorm, ATC; empty where no evidence was found, then the coding is local only
DRUGS = {
    "fludarabine": ("24698", "L01BB05"),
    "cyclophosphamide": ("3002", "L01AA01"),
    "rituximab": ("121191", "L01FA01"),
    "glofitamab": ("2639782", "L01FX28"),
    "teclistamab": ("2619426", "L01FX24"),
    "tocilizumab": ("612865", "L04AC07"),
    "dexamethasone": ("3264", "H02AB02"),
    "levetiracetam": ("114477", "N03AX14"),
    "anakinra": ("", "L04AC03"),
    "ruxolitinib": ("1193326", "L01EJ01"),
    "emapalumab": ("2104604", "L04AG09"),
    "levofloxacin": ("82122", "J01MA12"),
    "isavuconazole": ("1608322", "J02AC05"),
    "ganciclovir": ("4678", "J05AB06"),
    "valacyclovir": ("73645", "J05AB11"),
    "cotrimoxazole": ("10831", "J01EE01"),
    "immunoglobulin": ("5666", "J06BA02"),
    "filgrastim": ("68442", "L03AA02"),
    "sipuleucel-T": ("997261", ""),
    "talimogene": ("", "L01XL02"),
    "antibiotic": ("", ""),
}

# procedure: US system and code, OPS. CPT as a US server sends it: our tables may not know it
PROCEDURES = {
    "leukapheresis": (CPT, "38225", "5-410.30"),
    "leukapheresis_old": (CPT, "0537T", "5-410.30"),
    "allo_hct": (PCS, "30243Y3", "8-805.5"),
    "donor_lymphocytes": (CPT, "38242", ""),
    "cell_processing": (CPT, "38227", ""),
}

# result of a culture: SNOMED CT organism and words; a skin commensal is real but no evidence
ORGANISMS = {
    "klebsiella": ("56415008", "Klebsiella pneumoniae"),
    "pseudomonas": ("52499004", "Pseudomonas aeruginosa"),
    "e_coli": ("112283007", "Escherichia coli"),
    "staph_aureus": ("3092008", "Staphylococcus aureus"),
    "candida_auris": ("3491000146109", "Candida auris"),
    "commensal": ("116197008", "Coagulase negative Staphylococcus"),
    "negative": ("260385009", "No growth after 5 days"),
}

# disease status: mCODE answer (SNOMED CT), MII Verlauf
STATUS = {
    "complete_remission": ("268910001", "V"),
    "partial_remission": ("268910001", "T"),
    "progression": ("271299001", "P"),
    "relapse": ("271299001", "Y"),
    "worsened": ("271299001", "P"),
}


class Unit(NamedTuple):
    """How one hospital reports one analyte."""

    loinc: str
    unit: str  # as written
    ucum: str  # empty: the interface sends the unit as text only
    factor: float  # from the unit of labs.py
    digits: int


@cache
def units() -> dict[tuple[str, str], list[Unit]]:
    """units.csv by analyte and dialect."""
    found: dict[tuple[str, str], list[Unit]] = {}
    for row in rows("units.csv"):
        unit = Unit(
            row["loinc"], row["unit"], row["ucum"], float(row["factor"]), int(row["digits"])
        )
        found.setdefault((row["analyte"], row["dialect"]), []).append(unit)
    return found


def unit_of(analyte: str, dialect: str, style: int) -> Unit:
    """How this hospital reports an analyte; what a dialect does not say, it shares with `us`."""
    variants = units().get((analyte, dialect)) or units()[analyte, "us"]
    return variants[style % len(variants)]


@cache
def words() -> dict[str, dict[str, str]]:
    """The diagnoses of words.csv by word."""
    return {row["word"]: row for row in rows("words.csv")}


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a table in data/."""
    with (Path(__file__).parent / "data" / name).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
