"""How different hospitals write the same thing down: US, Oracle-like and German codings."""

from datetime import date
from typing import Any

from . import codes
from .codes import (
    ATC,
    CM,
    CPT,
    GM,
    GM_OLD,
    HCPCS,
    LOINC,
    NDC,
    OPS,
    PCS,
    RXNORM,
    SCT,
    VERLAUF,
    words,
)  # fmt: skip

Json = dict[str, Any]
EPIC = "urn:oid:1.2.840.114350.1.13.9999.1.7."  # a made-up customer number
ORACLE = "https://fhir.cerner.com/00000000-synthetic/"
CERTAINTY = "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit"
CERTAINTY_CODES = "https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT"
MII_DISCHARGE = (
    "https://www.medizininformatik-initiative.de/fhir/core/modul-fall/CodeSystem/Entlassungsgrund"
)


def coding(system: str, code: str, **more: Any) -> Json:
    """One Coding."""
    return {"system": system, "code": code, **more}


def concept(codings: list[Json], text: str) -> Json:
    """A CodeableConcept, of codes or of text alone where the other is missing."""
    if not text:
        return {"coding": codings}
    return {"coding": codings, "text": text} if codings else {"text": text}


class Us:
    """ICD-10-CM, ICD-10-PCS, CPT and HCPCS, RxNorm, LOINC and SNOMED CT beside Epic-style codes."""

    name = "us"
    zone = "-05:00"

    def __init__(self, number: int) -> None:
        self.style = number % 7  # small differences between wards and years

    def local(self, word: str) -> Json:
        """The local code every concept also carries."""
        return coding(f"{EPIC}2.696871", f"LOC{sum(map(ord, word)) % 99991}", display=word)

    def diagnosis(self, word: str, on: date, how: str) -> Json:
        """A diagnosis; codes of a later year are not used in an earlier one."""
        row = words()[_in_its_time(word, on)]
        found = [coding(CM, row["cm"])] if row["cm"] else []
        if row["sct"] and (self.style != 1 or not found):
            found.insert(0 if self.style == 2 else 1, coding(SCT, row["sct"]))
        if self.style == 3 and row["sct"] and row["cm"]:
            found = [coding(SCT, row["sct"])]
        return concept([*found, self.local(word)], row["text"])

    def procedure(self, word: str, on: date) -> Json:
        """A procedure that is no infusion of cells."""
        if word == "leukapheresis" and on < date(2025, 1, 1):
            word = "leukapheresis_old"
        system, code, _ = codes.PROCEDURES[word]
        return concept([coding(system, code), self.local(word)], word.replace("_", " "))

    def drug(self, word: str, ndc: bool = False) -> Json:
        """A drug or a cell product."""
        if word in codes.PRODUCTS:
            rxnorm, number = codes.PRODUCTS[word][2:4]
            found = [coding(NDC, number)] if ndc and number else [coding(RXNORM, rxnorm)]
        else:
            rxnorm = codes.DRUGS[word][0]
            found = [coding(RXNORM, rxnorm)] if rxnorm else []
        return concept([*found, self.local(word)], f"{word} INFUSION")

    def infusion(self, product: str, style: str, on: date) -> Json | None:
        """The Procedure of an infusion; None when only a drug record exists."""
        pcs, hcpcs = codes.PRODUCTS[product][:2]
        before_fy2022 = on < date(2021, 10, 1)
        generic = coding(PCS, codes.PCS_GENERIC[0 if before_fy2022 else 1])
        billed = [coding(HCPCS, hcpcs)] if hcpcs else []
        match style:
            case "drug":
                return None
            case _ if product in codes.LOOK_ALIKES:
                found = [coding(PCS, pcs), *billed]
            case "generic":
                found = [generic]
            case "cpt+hcpcs":
                found = [coding(CPT, "38228" if on >= date(2025, 1, 1) else "0540T"), *billed]
            case "snomed+drug":
                found = [coding(SCT, codes.CAR_T)]
            case _ if on < date(2020, 10, 1) or (before_fy2022 and product not in codes.PCS_FY2021):
                found = [generic, *billed]
            case _ if before_fy2022:
                found = [coding(PCS, codes.PCS_FY2021[product])]
            case _:
                found = [coding(PCS, pcs)] if pcs else [coding(SCT, codes.CAR_T), *billed]
        return concept([*found, self.local("cell infusion")], "Infusion of cells")

    def status(self, word: str) -> tuple[Json, Json]:
        """Code and value of a disease status observation (mCODE)."""
        answer = codes.STATUS[word][0]
        code = concept([coding(LOINC, "97509-4")], "Cancer disease status")
        return code, concept([coding(SCT, answer)], word.replace("_", " "))

    def test(self, loinc: str, word: str) -> Json:
        """The code of a laboratory test."""
        order = coding(f"{EPIC}7.5.737384.1", str(sum(map(ord, word))), display=word.upper())
        return concept([coding(LOINC, loinc), order], word)

    def died(self) -> Json:
        """Discharge disposition of someone who died."""
        system = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
        return concept([coding(system, "exp", display="Expired")], "Expired")


class Oracle(Us):
    """The same country, another vendor: tenant code sets and nomenclature beside the standards."""

    name = "oracle"
    zone = "Z"

    def local(self, word: str) -> Json:
        """The local code of this vendor or house."""
        number = str(sum(map(ord, word)) * 7)
        return coding(f"{ORACLE}nomenclature", number, display=word, userSelected=True)

    def test(self, loinc: str, word: str) -> Json:
        """The code of a laboratory test."""
        event = coding(f"{ORACLE}codeSet/72", str(sum(map(ord, word)) * 11), display=word)
        return concept([event, coding(LOINC, loinc)], word)

    def died(self) -> Json:
        """Discharge disposition of someone who died."""
        disposition = super().died()
        disposition["coding"].insert(0, coding(f"{ORACLE}codeSet/19", "638666", display="Expired"))
        return disposition


class German(Us):
    """ICD-10-GM with certainty, marks and several codes in one string; OPS, ATC, MII Verlauf."""

    name = "german"
    zone = "+01:00"

    def local(self, word: str) -> Json:
        """The local code of this vendor or house."""
        return coding("https://synthetic.example.org/katalog", f"K{sum(map(ord, word)) % 9973}")

    def diagnosis(self, word: str, on: date, how: str) -> Json:
        """A diagnosis with its certainty: A excluded, V suspected, Z status after, G confirmed."""
        row = words()[word]
        letter = {"refuted": "A", "suspected": "V", "resolved": "Z"}.get(how, "G")
        found = []
        if row["gm"]:
            value = {"url": CERTAINTY, "valueCoding": coding(CERTAINTY_CODES, letter)}
            system = GM_OLD if self.style == 4 else GM
            found = [coding(system, row["gm"], version=str(on.year), extension=[value])]
        if row["sct"] and self.style in (1, 5):
            found.append(coding(SCT, row["sct"]))
        return concept(found, row["text"])

    def procedure(self, word: str, on: date) -> Json:
        """A procedure in OPS."""
        ops = codes.PROCEDURES[word][2]
        found = [coding(OPS, ops, version=str(on.year))] if ops else [self.local(word)]
        return concept(found, word.replace("_", " "))

    def drug(self, word: str, ndc: bool = False) -> Json:
        """A drug or cell product in ATC."""
        atc = codes.PRODUCTS[word][4] if word in codes.PRODUCTS else codes.DRUGS[word][1]
        return concept([coding(ATC, atc)] if atc else [self.local(word)], word)

    def infusion(self, product: str, style: str, on: date) -> Json | None:
        """The OPS code of the infusion is not settled: the hospital's own list has to map it."""
        if style == "generic":
            return concept([coding(SCT, codes.CAR_T)], "CAR-T-Zell-Therapie")
        if codes.PRODUCTS[product][4] in ("", "L01XL11"):  # no CAR T product
            return concept([self.local(product)], f"Gabe von {product}")
        found = [coding(OPS, "8-802.24", version=str(on.year))]
        if style == "snomed+drug":
            found.append(coding(SCT, codes.CAR_T))
        return concept(found, "Transfusion von Leukozyten")

    def status(self, word: str) -> tuple[Json, Json]:
        """Code and value of the tumour status (MII oncology)."""
        code = concept([coding(SCT, "396432002")], "Gesamtbeurteilung des Tumorstatus")
        return code, concept([coding(VERLAUF, codes.STATUS[word][1])], word)

    def test(self, loinc: str, word: str) -> Json:
        """The code of a laboratory test."""
        return concept([coding(LOINC, loinc), self.local(word)], word)

    def died(self) -> Json:
        """Discharge disposition of someone who died."""
        return concept([coding(MII_DISCHARGE, "07", display="Tod")], "Tod")


DIALECTS = {dialect.name: dialect for dialect in (Us, Oracle, German)}


def _in_its_time(word: str, on: date) -> str:
    """CRS has codes since October 2020, ICANS since October 2021."""
    if word.startswith("crs_") and on < date(2020, 10, 1):
        return "local_only"
    if word.startswith("icans_") and on < date(2021, 10, 1):
        return "toxic_encephalopathy"
    return word
