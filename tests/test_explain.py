"""One death on a page: what a physician reads in a minute."""

from adapter.causes import Plan
from adapter.codes.prophylaxis import prophylaxis_rules
from adapter.explain import day_line, explain, what_would_change
from adapter.model import Judged
from tests.causes.tables import judged

PLAN = Plan()
SEPTIC = """
    0 | infusion: axi-cel
    2 | infection: pneumonia [refuted]
    3 | toxicity: CRS grade 4
    4 | drug: tocilizumab
    9 | blood culture: Pseudomonas aeruginosa
   10 | infection: septic shock
   12 | death
"""


def page(table: str) -> str:
    """The page of a day table, as one line."""
    return " ".join(explain(judged(table), PLAN, "P-1").split())


def test_the_page_names_cause_certainty_and_sentence() -> None:
    """The answer stands first, with the sentence of the rule that decided."""
    text = page(SEPTIC)
    assert "P-1, episode 1: axi-cel for LBCL" in text
    assert "died 12 days after infusion, without recorded relapse" in text
    assert "Cause: crs, probable" in text
    assert "Contributing: infection" in text
    assert "To review: Infection and CAR T toxicity were both active" in text


def test_evidence_stands_with_the_resource_it_came_from() -> None:
    """A reader can look the source up."""
    row = next(row for row in day_line(judged(SEPTIC)) if "Pseudomonas" in row.what)
    assert (row.day, row.counted) == ("9", True)
    assert row.sources[0].startswith("Observation/")


def test_what_did_not_count_is_shown_as_such() -> None:
    """A refuted pneumonia is there, marked, and stands behind nothing."""
    row = next(row for row in day_line(judged(SEPTIC)) if "pneumonia" in row.what)
    assert not row.counted
    assert "refuted by source" in row.what


def test_a_series_of_laboratory_values_is_one_row() -> None:
    """Forty ferritin values would bury the rest."""
    table = """
        0 | infusion: axi-cel
        10, 11, 12, 13 | ferritin: 42000 ng/mL
        12, 13 | AST: 480 U/L
        12 | fibrinogen: 90 mg/dL
        15 | death
    """
    rows = [row.what for row in day_line(judged(table)) if "ferritin" in row.what.lower()]
    assert len(rows) == 1
    assert "(4 values)" in rows[0]


def test_a_long_day_line_keeps_what_decided() -> None:
    """The rows that stand behind a yes are never cut."""
    many = "\n".join(f"{day} | infection: influenza [until {day + 3}]" for day in range(20, 300, 4))
    one = judged(f"0 | infusion: axi-cel\n{many}\n398 | infection: septic shock\n400 | death")
    rows = day_line(one, lines=10)
    assert len(rows) == 10
    assert all(row in rows for row in day_line(one, lines=1000) if row.counted)


def test_what_would_change_it_is_tried_out() -> None:
    """Without its evidence the verdict is decided again."""
    said = what_would_change(judged(SEPTIC), PLAN)
    assert any("If the evidence of crs were wrong: infection (bacterial)" in text for text in said)
    assert any("certificate" in text for text in said)


def test_what_nobody_could_see_is_said() -> None:
    """Death at home: the page says which evidence was missing."""
    said = " ".join(
        what_would_change(judged("0 | infusion: axi-cel\n90 | visit\n400 | death"), PLAN)
    )
    assert "No contact in the 30 days before death" in said
    assert "infection" in said


def test_a_death_after_relapse_says_what_the_rules_would_say() -> None:
    """It is no non-relapse death, and the registries read it differently."""
    text = page("0 | infusion: axi-cel\n90 | relapse\n120 | infection: septic shock\n124 | death")
    assert "Not a non-relapse death; the rules would say: infection" in text
    assert "ebmt reads it as relapse; cibmtr reads it as infection" in text


def test_a_survivor_has_a_short_page() -> None:
    """No rules are listed for somebody who lives."""
    text = page("0 | infusion: axi-cel\n90 | visit")
    assert "alive when last seen, 90 days after infusion" in text
    assert "Rules" not in text
    assert what_would_change(judged("0 | infusion: axi-cel\n90 | visit"), PLAN) == ()


def test_the_page_is_at_most_a_screen_wide() -> None:
    """It is read in terminals and printed."""
    one: Judged = judged(SEPTIC)
    assert max(len(line) for line in explain(one, PLAN).splitlines()) <= 110


def test_what_another_policy_would_give_is_said() -> None:
    """A transplant without recorded progression: censored, or relapse, as the study decides."""
    text = page("0 | infusion: axi-cel\n100 | transplant: allogeneic\n200 | death")
    assert "later_hct=censor: alive, day 100" in text
    assert "next_therapy" not in text


def test_infections_and_prophylaxis_of_one_patient() -> None:
    """Each infection by day, and each rule that is for this patient, with why it was not met."""
    table = judged("0 | infusion: axi-cel\n12 | blood culture: Escherichia coli\n400 | visit")
    text = " ".join(explain(table, Plan(prophylaxis=prophylaxis_rules())).split())
    assert "day 12: bacterial infection" in text
    assert "IgG measured on about day 28: not met (not begun by day 42)" in text
    assert "Posaconazole" not in text
