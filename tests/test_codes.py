"""What a coding means: the traps between classifications, and how servers write codes.

The traps are named in docs/clinical.md §7 and docs/mappings.md.
"""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from adapter.codes import Codes, load_codes, short_name, system_of
from adapter.codes.systems import CM, GM, LOINC, NDC, OPS, RXNORM, SNOMED, WHO, systems

PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ATC = "http://www.whocc.no/atc"
CODES = load_codes()


def said(system: str, code: str, version: str = "") -> set[tuple[str, str]]:
    """Concept and group of every meaning."""
    return {(m.concept, m.group) for m in CODES.lookup(system, code, version)}


def concepts(system: str, code: str) -> set[str]:
    return {concept for concept, _ in said(system, code)}


# --- what is and is not an infusion ----------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "product"),
    [
        ("XW033C3", "unspecified"), ("XW043C7", "unspecified"), ("XW033G7", "allogeneic"),
        ("XW033H7", "axi-cel"), ("XW043J7", "tisa-cel"), ("XW033K7", "ide-cel"),
        ("XW033M7", "brexu-cel"), ("XW043N7", "liso-cel"), ("XW033A7", "cilta-cel"),
        ("XW23346", "brexu-cel"), ("XW24376", "liso-cel"),
    ],
)  # fmt: skip
def test_infusion_procedures_name_their_product(code: str, product: str) -> None:
    """Each year's ICD-10-PCS codes, those of the transfusion table XW2 too, name the product."""
    assert {("cart_infusion", product)} == said(PCS, code)


@pytest.mark.parametrize(
    "code",
    ["XW033L7", "XW033B7", "XW03357", "XW033Q9", "XW03368", "XW03378", "XW043L7"],
)
def test_look_alike_procedures_are_no_infusions(code: str) -> None:
    """TIL, antibodies and virus-specific T cells share the XW033 pattern with CAR T."""
    assert {("cart_infusion_EXCLUDE", "lookalike")} == said(PCS, code)


@pytest.mark.parametrize("code", ["XW03311", "XW033E5", "XW0332", "XW033"])
def test_the_pcs_pattern_alone_means_nothing(code: str) -> None:
    """XW033 is never matched as a prefix: half of it is not cell therapy."""
    assert set() == said(PCS, code)


@pytest.mark.parametrize("code", ["XW0338A", "XW0438A", "XW033BA", "XW0431B"])
def test_new_drg_018_codes_only_queue(code: str) -> None:
    """Codes of MS-DRG 018 whose titles were not seen go to a person."""
    assert [True] == [m.review for m in CODES.lookup(PCS, code)]


def test_the_tcr_t_billing_code_is_not_car_t() -> None:
    """Q2057 is afami-cel; its neighbours Q2056 and Q2058 are CAR T."""
    assert {("cart_infusion_EXCLUDE", "lookalike")} == said(HCPCS, "Q2057")
    assert {("cart_product", "cilta-cel")} == said(HCPCS, "Q2056")
    assert {("cart_product", "obe-cel")} == said(HCPCS, "q2058 ")


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("L01XL03", "axi-cel"), ("L01XL04", "tisa-cel"), ("L01XX70", "axi-cel"),
        ("L01XX71", "tisa-cel"), ("L01XL12", "obe-cel"), ("L01XL11", "lookalike"),
        ("L01XL02", "lookalike"),
    ],
)  # fmt: skip
def test_atc_separates_car_t_from_other_gene_therapy(code: str, group: str) -> None:
    """L01XL holds T-VEC and lifileucel too; before 2022 axi-cel and tisa-cel were L01XX."""
    assert {group} == {g for _, g in said(ATC, code)}
    assert set() == said(ATC, "L01XL")


def test_vector_bulk_is_not_the_product_it_is_named_after() -> None:
    """NDC 84684-002 is liso-cel's lentiviral vector."""
    assert {"cart_infusion_EXCLUDE"} == concepts(NDC, "84684-002-01")


def test_names_ending_in_leucel_are_not_all_car_t() -> None:
    """Sipuleucel-T is a dendritic cell vaccine, lifileucel is TIL."""
    assert {"cart_infusion_EXCLUDE"} == concepts(RXNORM, "997261") | concepts(RXNORM, "2675860")


def test_status_after_car_t_is_history() -> None:
    """Z92.850 proves CAR T without a date; its neighbour is another cellular therapy."""
    assert {("cart_history", "car_t")} == said(CM, "Z92.850")
    assert {("cart_history", "other_cellular")} == said(CM, "Z92.858")


def test_an_unclassified_biologic_proves_nothing() -> None:
    """C9399 is used for any new drug."""
    assert [True] == [m.review for m in CODES.lookup(HCPCS, "C9399")]


def test_collection_is_not_infusion() -> None:
    """OPS 5-410.30 is the T-cell collection; German infusion codes are not confirmed."""
    assert {("leukapheresis", "t_cells")} == said(OPS, "5-410.30")
    assert [True] == [m.review for m in CODES.lookup(OPS, "8-802.24")]


@pytest.mark.parametrize("code", ["38228", "0540T", "38225"])
def test_cpt_is_not_shipped(code: str) -> None:
    """CPT needs a licence: a licensed site fills in its own overlay."""
    assert () == CODES.lookup("http://www.ama-assn.org/go/cpt", code)


# --- traps between classifications -----------------------------------------------------------


def test_r65_means_the_opposite_in_cm_and_who() -> None:
    """R65.1 is non-infectious in ICD-10-CM and infectious in WHO ICD-10 and ICD-10-GM."""
    assert {"infection_EXCLUDE"} == concepts(CM, "R65.10")
    assert {"infection"} == concepts(CM, "R65.21")
    for system in (WHO, GM):
        assert {"infection"} == concepts(system, "R65.1")
        assert {"infection_EXCLUDE"} == concepts(system, "R65.2")


def test_pneumocystis_is_fungal_under_both_codes() -> None:
    """B59 in ICD-10-CM, B48.5 elsewhere; B59 elsewhere is only the chapter."""
    assert {("infection", "fungal")} == said(CM, "B59") | said(WHO, "B48.5") | said(GM, "B48.5")


def test_gvhd_has_its_own_code_only_in_cm() -> None:
    """D89.81- in ICD-10-CM, T86.0 in WHO; GM divides T86.0 otherwise and is left out."""
    assert {("organ", "gvhd")} == said(CM, "D89.813") & said(WHO, "T86.0")
    assert set() == said(GM, "T86.0")


@pytest.mark.parametrize("code", ["R96", "R98", "I46.1", "C97"])
def test_codes_that_cm_does_not_have(code: str) -> None:
    """Sudden and unattended death and multiple primaries exist in WHO and GM only."""
    assert said(WHO, code)
    assert said(WHO, code) == said(GM, code)
    assert not {c for c, _ in said(CM, code)} & {"garbage_cause", "second_primary_malignancy"}


def test_self_harm_ranges_differ() -> None:
    """X71-X83 in ICD-10-CM, X60-X84 in WHO, where X7 is the same and X6 has no CM twin."""
    assert {("external_cause", "self_harm")} == said(CM, "X74.9") == said(WHO, "X70")
    assert {("external_cause", "self_harm")} == said(WHO, "X60") == said(WHO, "X84")
    assert set() == said(CM, "X60")


def test_only_cm_leukaemia_and_myeloma_say_relapse() -> None:
    """C90.02 and C91.02 are relapse in ICD-10-CM; no WHO or GM code is."""
    assert ("disease_status", "relapse") in said(CM, "C90.02") & said(CM, "C91.02")
    for system, code in ((WHO, "C90.0"), (GM, "C90.02"), (GM, "C91.02")):
        assert "disease_status" not in concepts(system, code)


@pytest.mark.parametrize("code", ["C83.3A", "C82.0A", "C83.1A"])
def test_cm_lymphoma_in_remission(code: str) -> None:
    """Since FY2025 the letter A says remission, beside the indication itself."""
    assert {"disease_status", "indication"} == concepts(CM, code)
    assert ("disease_status", "remission") in said(CM, code)


def test_cns_lymphoma_under_its_new_code() -> None:
    """C83.39 became a header: C83.390 is primary CNS lymphoma, C83.398 extranodal DLBCL."""
    kinds = {code: CODES.lookup(CM, code)[0].kind for code in ("C83.390", "C83.398")}
    assert {"C83.390": "cns", "C83.398": ""} == kinds


def test_split_codes_keep_their_disease() -> None:
    """C88.4 and C86.x were split in FY2025; old and new forms mean the same."""
    assert said(CM, "C88.4") == said(CM, "C88.40") == {("indication", "MZL")}
    assert {("indication", "T_NHL")} <= said(CM, "C86.0") & said(CM, "C86.00")


@pytest.mark.parametrize("code", ["C91.00", "C83.50"])
def test_icd_cannot_tell_b_from_t_lineage(code: str) -> None:
    """C91.0 and C83.5 are taken as B-ALL and say that lineage is not known."""
    meaning = next(m for m in CODES.lookup(CM, code) if m.concept == "indication")
    assert ("B_ALL", "lineage_unknown") == (meaning.group, meaning.kind)


@pytest.mark.parametrize("system", [CM, WHO, GM])
def test_follicular_grade_3b_is_large_cell(system: str) -> None:
    """C82.4 is treated as large B-cell lymphoma; the other grades are follicular."""
    assert {("indication", "LBCL")} == said(system, "C82.4")
    assert {("indication", "FL")} == said(system, "C82.1")


@pytest.mark.parametrize("system", [CM, WHO, GM])
@pytest.mark.parametrize("code", ["C77.0", "C78.7", "C79.3"])
def test_secondary_malignant_neoplasm_is_metastasis(system: str, code: str) -> None:
    """C77-C79 are metastases, never a second primary."""
    assert {("second_primary_EXCLUDE", "lookalike")} == said(system, code)


def test_snomed_metastasis_and_neuroendocrine_metastasis() -> None:
    """SNOMED 128462008 and ICD-10-CM C7B are metastases; C7A is a primary."""
    assert {"second_primary_EXCLUDE"} == concepts(SNOMED, "128462008") | concepts(CM, "C7B.8")
    assert {("second_primary_malignancy", "solid")} == said(CM, "C7A.1")


def test_skin_cancer_is_counted_apart() -> None:
    """C44 has its own class, melanoma is solid."""
    assert {("second_primary_malignancy", "nonmelanoma_skin")} == said(CM, "C44.91")
    assert {("second_primary_malignancy", "solid")} == said(CM, "C43.9")


@pytest.mark.parametrize("code", ["D46.9", "C92.00", "C93.10"])
def test_myeloid_second_neoplasms_are_one_class(code: str) -> None:
    """MDS, AML and CMML after CAR T belong together."""
    assert {("second_primary_malignancy", "mds_aml")} == said(CM, code)


@pytest.mark.parametrize("code", ["C84.4", "C86.2", "C91.5", "C91.6"])
def test_t_cell_malignancies_are_the_boxed_warning_class(code: str) -> None:
    """T-cell lymphoma after CAR T is its own class."""
    assert ("second_primary_malignancy", "t_cell") in said(WHO, code)


def test_myeloma_morphology_is_no_diagnosis() -> None:
    """SNOMED 55921005 is a morphology."""
    assert {"indication_EXCLUDE"} == concepts(SNOMED, "55921005")


def test_58776007_is_autologous() -> None:
    """Public code calls 58776007 allogeneic; it is the autologous transplant."""
    assert {("hct", "autologous")} == said(SNOMED, "58776007")


def test_gene_modified_stem_cells_are_neither() -> None:
    """30233C0 is neither a transplant nor CAR T."""
    assert {"hct_EXCLUDE"} == concepts(PCS, "30233C0")


# --- relapse, response, death ----------------------------------------------------------------

VERLAUF = next(uri for uri, s in systems().items() if s.name == "MII Onko Verlauf")
VITAL = next(uri for uri, s in systems().items() if s.name == "MII Vitalstatus")
TOD = next(uri for uri, s in systems().items() if s.name == "MII Onko Tod")


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("V", "remission"), ("R", "remission"), ("T", "partial_remission"), ("K", "stable"),
        ("P", "progression"), ("Y", "relapse"), ("D", "mixed"), ("U", "undetermined"),
    ],
)  # fmt: skip
def test_german_course_of_disease(code: str, group: str) -> None:
    """The oBDS letters say complete or partial remission, progression, relapse."""
    assert {("disease_status", group)} == said(VERLAUF, code)


def test_worsened_needs_a_focus() -> None:
    """mCODE's worsened is progression only of the index malignancy, and its kind says so."""
    assert ["worsened"] == [m.kind for m in CODES.lookup(SNOMED, "271299001")]


def test_clinical_status_relapse_is_undated() -> None:
    """Condition.clinicalStatus has no date of its own: the kind tells it apart."""
    uri = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    assert ["clinical_status"] == [m.kind for m in CODES.lookup(uri, "relapse")]


def test_tumour_death_flag_is_unusable() -> None:
    """MII Onko Tod J counts treatment deaths as tumour deaths: it would erase NRM."""
    assert {("death", "unusable")} == said(TOD, "J")


@pytest.mark.parametrize(
    ("code", "group"), [("L", "alive"), ("T", "died"), ("A", "lost_to_follow_up")]
)
def test_german_vital_status(code: str, group: str) -> None:
    """Lost to follow-up is neither alive nor dead."""
    assert {("death", group)} == said(VITAL, code)


def test_certificate_lines_are_told_apart() -> None:
    """80358-5 is the coded underlying cause, 69453-9 and 69441-4 are text."""
    asked = {code: said(LOINC, code) for code in ("80358-5", "69453-9", "69441-4")}
    expected = ("underlying_cause", "cause_text", "contributing_text")
    assert [{("death", group)} for group in expected] == list(asked.values())


def test_hospice_is_not_death() -> None:
    """A discharge to hospice is alive."""
    uri = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
    assert {("death", "hospice")} == said(uri, "hosp")
    assert {("death", "died")} == said(uri, "EXP")


@pytest.mark.parametrize("system", [CM, WHO, GM])
@pytest.mark.parametrize("code", ["J96.0", "N17.9", "I50.9", "R57.9", "K72.9", "R99"])
def test_terminal_mechanisms_are_garbage_causes(system: str, code: str) -> None:
    """They give way to any deeper cause, in every classification."""
    code = "K72.90" if system == CM and code == "K72.9" else code
    assert "garbage_cause" in concepts(system, code)


@pytest.mark.parametrize("code", ["A41.9", "J18.9"])
def test_sepsis_and_pneumonia_stay_infection(code: str) -> None:
    """Unspecific, but infections all the same, without an organism."""
    assert {("infection", "organism_not_identified")} == said(CM, code) == said(GM, code)


@pytest.mark.parametrize("code", ["J69.0", "G03.9", "G04.90"])
def test_ambiguous_infections_ask_for_a_person(code: str) -> None:
    """Aspiration, aseptic meningitis and immune encephalitis may be no infection."""
    assert ["ambiguous"] == [m.kind for m in CODES.lookup(CM, code)]


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("A41.01", "bacterial"), ("A41.51", "bacterial"), ("J20.5", "viral"), ("J12.82", "covid19"),
        ("B44.1", "fungal"), ("B50.9", "parasitic"), ("A87.9", "viral"), ("B37.7", "fungal"),
        ("A06.0", "parasitic"), ("B18.1", "viral"), ("U07.1", "covid19"), ("A39.2", "bacterial"),
    ],
)  # fmt: skip
def test_the_organism_class_comes_from_the_code(code: str, group: str) -> None:
    """The closest row decides, and chapter I falls back to its blocks."""
    assert {("infection", group)} == said(CM, code)


@pytest.mark.parametrize("code", ["B44.81", "B90.9", "B94.8", "Z22.322", "Z86.16"])
def test_no_active_infection(code: str) -> None:
    """Allergy, sequelae, carriers and history are excluded."""
    assert {"infection_EXCLUDE"} == concepts(CM, code)


def test_adverse_drug_effects_are_no_accidents() -> None:
    """Y40-Y59 of a WHO certificate mean treatment."""
    assert {("external_cause", "drug_adverse_effect")} == said(WHO, "Y43.3") == said(WHO, "Y57.9")


# --- toxicity, labs, drugs -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "toxicity", "grade"),
    [("D89.835", "crs", "5"), ("D89.831", "crs", "1"), ("G92.05", "icans", "5"),
     ("G92.00", "icans", ""), ("D89.839", "crs", "")],
)  # fmt: skip
def test_graded_toxicity_codes(code: str, toxicity: str, grade: str) -> None:
    """The grade is in the code; 5 is fatal."""
    assert [(toxicity, grade)] == [(m.group, m.kind) for m in CODES.lookup(CM, code)]


def test_crs_has_a_code_in_every_dialect() -> None:
    """SNOMED 710027002 and ICD-10-GM D76.4 are cytokine release syndrome without a grade."""
    assert {("toxicity", "crs")} == said(SNOMED, "710027002") == said(GM, "D76.4")
    assert set() == said(WHO, "D76.4")


@pytest.mark.parametrize(
    ("system", "code"),
    [(RXNORM, "39786"), (LOINC, "8116-4"), (LOINC, "42176-8")],
)
def test_wrong_codes_of_public_code_mean_nothing(system: str, code: str) -> None:
    """Venlafaxine is no valacyclovir, 8116-4 has a bad check digit, 42176-8 is disputed."""
    assert () == CODES.lookup(system, code)


def test_assays_that_must_not_be_pooled() -> None:
    """The two LDH assays have groups of their own; only D-dimer FEU is read."""
    groups = [said(LOINC, code) for code in ("2532-0", "14804-9", "14805-6")]
    assert 3 == len(set.union(*groups))
    assert () == CODES.lookup(LOINC, "48066-5")


@pytest.mark.parametrize(
    ("system", "code"), [(LOINC, "89247-1"), (LOINC, "89262-0"), (SNOMED, "423740007")]
)
def test_ecog_has_three_codes(system: str, code: str) -> None:
    """mCODE and the German registries code ECOG differently."""
    assert {("performance_status", "ECOG")} == said(system, code)


@pytest.mark.parametrize(
    ("code", "group"),
    [("10828004", "positive"), ("260373001", "positive"), ("260385009", "negative"),
     ("260415000", "negative"), ("264868006", "negative"), ("3092008", "bacterial")],
)  # fmt: skip
def test_results_say_positive_negative_or_an_organism(code: str, group: str) -> None:
    """Microbiology is read from the value."""
    assert {("microbiology_result", group)} == said(SNOMED, code)


@pytest.mark.parametrize("code", ["116197008", "60875001", "77086004"])
def test_common_commensals_are_marked(code: str) -> None:
    """One culture of these is not an infection."""
    assert ["commensal"] == [m.kind for m in CODES.lookup(SNOMED, code)]


# --- how servers write systems and codes -----------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "alias"), [(s.uri, a) for s in systems().values() for a in (s.uri, *s.aliases)]
)
def test_every_alias_means_its_system(uri: str, alias: str) -> None:
    """URIs with slash, https or a version and OIDs with or without urn:oid are one system."""
    forms = {alias, f" {alias}/", f"{alias}|2024"}
    if alias[0].isdigit():
        forms = {alias, f"urn:oid:{alias}", f"URN:OID:{alias}"}
    assert {uri} == {system_of(form) for form in forms}


def test_a_snomed_edition_is_snomed() -> None:
    """Some servers put the edition into the system."""
    assert SNOMED == system_of("http://snomed.info/sct/731000124108/version/20240301")


def test_local_oids_are_one_system_with_and_without_prefix() -> None:
    """Epic sends urn:oid:1.2.840..., exports sometimes leave the prefix out."""
    assert "1.2.840.114350.1.13.1" == system_of("urn:oid:1.2.840.114350.1.13.1")


@pytest.mark.parametrize(
    ("version", "meant"),
    [("2021", GM), ("2023", GM), ("ICD-10-GM 2019", GM), ("2019", WHO), ("2016", WHO), ("", WHO)],
)
def test_gm_under_the_who_uri_is_believed_only_when_stated(version: str, meant: str) -> None:
    """WHO published no 2021 edition; 2019 exists in both and stays WHO."""
    assert meant == system_of(WHO, version)


def test_a_site_can_say_that_its_who_codes_are_gm() -> None:
    """D76.4 exists in ICD-10-GM only."""
    assert () == CODES.lookup(WHO, "D76.4")
    assert ["crs"] == [m.group for m in load_codes(who_is_gm=True).lookup(WHO, "D76.4")]


@pytest.mark.parametrize(
    "written", ["C83.3", "c833", " C83.3 ", "C83.3+", "C83.3 DLBCL, Stadium IV", "C83.3, B20"]
)
def test_icd_codes_are_read_through_dots_case_marks_and_text(written: str) -> None:
    """Dots, case, marks, blanks and following text do not change the code."""
    assert ("indication", "LBCL") in said(GM, written)


def test_several_codes_in_one_string_are_all_read() -> None:
    """`S62.32 Z33!` are two codes; so are a dagger and a star code."""
    assert {("infection", "bacterial"), ("indication", "MM")} == said(GM, "A40.3+ C90.00")
    assert ("infection", "bacterial") in said(GM, "S62.32 A40.3!")


def test_text_after_a_code_is_no_code() -> None:
    """Vitamin B12 deficiency is not hepatitis."""
    assert {("indication", "LBCL")} == said(GM, "C83.3 bei Vitamin B18 Mangel")


@pytest.mark.parametrize(
    "written",
    ["0078-0846-19", "00078-0846-19", "00078084619", "0078084619", "0078-0846", "00078-0846"],
)
def test_ndc_in_ten_and_eleven_digits(written: str) -> None:
    """Ten digits with or without hyphens, eleven digits, or labeler and product."""
    assert {("cart_product", "tisa-cel")} == said(NDC, written)


@pytest.mark.parametrize("written", ["71287-119-01", "71287011901", "7128711901"])
def test_ndc_with_a_short_product_part(written: str) -> None:
    """5-3-2 becomes 5-4-2 by a zero in the middle."""
    assert {("cart_product", "axi-cel")} == said(NDC, written)


def test_ops_with_a_side() -> None:
    """The letter after the colon is the side of the body."""
    assert {("hct", "allogeneic")} == said(OPS, "8-805.42:R")


@pytest.mark.parametrize("system", ["", "http://example.org/local", "urn:oid:1.2.3"])
def test_unknown_systems_mean_nothing(system: str) -> None:
    """A local code is not an ICD code because it looks like one."""
    assert () == CODES.lookup(system, "C83.3")


def test_short_names_are_for_printing() -> None:
    """URIs and OIDs have one short name; local systems are printed as they are."""
    names = [short_name(s) for s in (CM, "urn:oid:2.16.840.1.113883.6.1", "http://x.org/a")]
    assert ["ICD-10-CM", "LOINC", "http://x.org/a"] == names


# --- properties ------------------------------------------------------------------------------

SYSTEMS = st.sampled_from([*systems(), "", "urn:oid:9.9"])
TEXT = st.text(string.printable, max_size=20)


@given(SYSTEMS, TEXT, TEXT)
def test_anything_may_be_asked(system: str, code: str, version: str) -> None:
    """Whatever a server writes into a coding, the answer is a tuple and never an error."""
    assert isinstance(CODES.lookup(system, code, version), tuple)


@given(st.sampled_from(CODES.rows), st.text("0123456789", max_size=2))
def test_asking_twice_and_in_other_cases_is_the_same(row: object, tail: str) -> None:
    """Case, surrounding blanks and repetition do not matter."""
    system, code = row.system, row.code + tail  # type: ignore[attr-defined]
    first = CODES.lookup(system, code)
    assert first == CODES.lookup(system, code)
    other = CODES.lookup(system, f" {code.lower()} ")
    assert first == tuple(replace(meaning, code=f"{system}|{code}") for meaning in other)


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=1), st.integers(0, 9999))
def test_an_exclusion_is_never_alone_with_what_it_excludes(letter: str, number: int) -> None:
    """For any ICD code an exclusion and its include never come together."""
    found = concepts(CM, f"{letter}{number:04d}")
    pairs = (("infection_EXCLUDE", "infection"),
             ("second_primary_EXCLUDE", "second_primary_malignancy"))  # fmt: skip
    assert not any({*pair} <= found for pair in pairs)


def test_the_digest_names_the_tables(tmp_path: Path) -> None:
    """The same tables have the same digest, other tables another."""
    (tmp_path / "empty.csv").write_text(
        "action,concept,subconcept,system,code,match,display,signed,dated\n"
    )
    switched = load_codes(include_unverified=True), load_codes(who_is_gm=True)
    assert CODES.digest == load_codes().digest == load_codes(tmp_path).digest
    assert 3 == len({CODES.digest, *(codes.digest for codes in switched)})


def test_missing_hierarchies_are_noted() -> None:
    """Descendants cannot be seen without an expansion, and the tables say so."""
    assert {"no_expansion"} == {note.kind for note in CODES.notes}
    assert {SNOMED, RXNORM} == {note.where for note in CODES.notes}


def test_memory_is_bounded() -> None:
    """A server that invents codes cannot fill the memory."""
    codes = Codes([])
    for number in range(200_010):
        codes.lookup("urn:oid:1.2.3", str(number))
    assert len(codes._memo) <= 200_000
