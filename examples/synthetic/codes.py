"""The codes of drugs, products, procedures, organisms and laboratory tests.

Only codes with published evidence are used where a reader is meant to find something; what is
local to a hospital stands for the noise that every real record is full of. Codes only, no
descriptors of the code systems.
"""

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
    "sipuleucel-T": ("997261", ""),
    "talimogene": ("", "L01XL02"),
    "antibiotic": ("", ""),
}

# procedure: US system and code, OPS
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

Unit = tuple[str, str, str, float, int]  # LOINC, unit as written, UCUM, factor, decimals
K, GIGA = "10*3/uL", "10*9/L"
UNITS: dict[str, dict[str, list[Unit]]] = {
    "anc": {
        "us": [("751-8", K, K, 1, 2), ("26499-4", "/uL", "/uL", 1000, 0)],
        "oracle": [("753-4", "K/uL", K, 1, 2), ("751-8", "cells/uL", "{cells}/uL", 1000, 0)],
        "german": [("26499-4", "G/L", GIGA, 1, 2), ("751-8", "/nl", "/nL", 1, 2)],
    },
    "wbc": {"us": [("6690-2", K, K, 1, 1)], "german": [("26464-8", "G/L", GIGA, 1, 1)]},
    "platelets": {"us": [("777-3", K, K, 1, 0)], "german": [("26515-7", "G/L", GIGA, 1, 0)]},
    "hemoglobin": {
        "us": [("718-7", "g/dL", "g/dL", 1, 1)],
        "german": [("718-7", "g/dl", "g/dL", 1, 1), ("718-7", "g/l", "g/L", 10, 0)],
    },
    "crp": {
        "us": [("1988-5", "mg/L", "mg/L", 1, 1), ("1988-5", "mg/dL", "mg/dL", 0.1, 2)],
        "german": [("1988-5", "mg/l", "mg/L", 1, 1), ("1988-5", "mg/dl", "mg/dL", 0.1, 2)],
    },
    "ferritin": {
        "us": [("2276-4", "ng/mL", "ng/mL", 1, 0)],
        "german": [("2276-4", "µg/l", "ug/L", 1, 0)],
    },
    "ldh": {
        "us": [("2532-0", "U/L", "U/L", 1, 0), ("14804-9", "IU/L", "[IU]/L", 1, 0)],
        "german": [("2532-0", "U/l", "U/L", 1, 0), ("14804-9", "µkat/l", "ukat/L", 1 / 60, 2)],
    },
    "ast": {
        "us": [("1920-8", "U/L", "U/L", 1, 0)],
        "german": [("30239-8", "U/l", "U/L", 1, 0), ("1920-8", "µkat/l", "ukat/L", 1 / 60, 2)],
    },
    "creatinine": {
        "us": [("2160-0", "mg/dL", "mg/dL", 1, 2)],
        "german": [("14682-9", "µmol/l", "umol/L", 88.4, 0), ("2160-0", "mg/dl", "mg/dL", 1, 2)],
    },
    "bilirubin": {
        "us": [("1975-2", "mg/dL", "mg/dL", 1, 1)],
        "german": [("14631-6", "µmol/l", "umol/L", 17.1, 0)],
    },
    "fibrinogen": {
        "us": [("3255-7", "mg/dL", "mg/dL", 1, 0)],
        "german": [("3255-7", "g/l", "g/L", 0.01, 2)],
    },
    "igg": {
        "us": [("2465-3", "mg/dL", "mg/dL", 1, 0)],
        "german": [("2465-3", "g/l", "g/L", 0.01, 2)],
    },
    "cd4": {"us": [("24467-3", "/uL", "/uL", 1, 0)]},
    "galactomannan": {"us": [("44357-2", "index", "{index}", 1, 2)]},
    "cmv_dna": {"us": [("72493-0", "IU/mL", "[IU]/mL", 1, 0)]},
    "temperature": {
        "us": [("8310-5", "degF", "[degF]", 0, 1)],  # the one unit that is no mere factor
        "oracle": [("8310-5", "degC", "Cel", 1, 1)],
        "german": [("8310-5", "°C", "Cel", 1, 1)],
    },
    "weight": {
        "us": [("29463-7", "lb", "[lb_av]", 2.20462, 1)],
        "german": [("29463-7", "kg", "kg", 1, 1)],
    },
    "height": {
        "us": [("8302-2", "in", "[in_i]", 1 / 2.54, 1)],
        "german": [("8302-2", "cm", "cm", 1, 0)],
    },
    "ecog": {"us": [("89247-1", "{score}", "{score}", 1, 0)]},
}


def unit_of(analyte: str, dialect: str, style: int) -> Unit:
    """How this hospital reports an analyte; what a dialect does not say, it shares with `us`."""
    variants = UNITS[analyte].get(dialect) or UNITS[analyte]["us"]
    return variants[style % len(variants)]
