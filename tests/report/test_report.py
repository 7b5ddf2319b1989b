"""The report as a file: whole, self-contained, honest at every size, and without identifiers."""

import itertools
import re
import stat
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from adapter.errors import Alarm, StoreError, UsageError
from adapter.model import Cause, Outcome, OutcomeKind
from adapter.pseudonyms import Pseudonyms
from adapter.report import Change, Changes, report_html, write_figures, write_report
from adapter.report.page import CHAPTERS
from adapter.report.sections.cohort import left_out
from adapter.report.view import View
from adapter.study import Study
from tests.report.pages import Page
from tests.report.studies import Person, a_study, judged_of, study_of

KEY = Pseudonyms(bytes(range(32)))
HTML = report_html(a_study(400), KEY)
PAGE = Page(HTML)


def one_patient(kind: OutcomeKind) -> Study:
    return study_of([judged_of(Person(3, kind, 40, Cause.INFECTION, "fungal"))])


SMALL = {
    "empty": study_of([]),
    "nobody_evaluable": one_patient(OutcomeKind.NOT_EVALUABLE),
    "one_alive": one_patient(OutcomeKind.ALIVE),
    "one_relapse": one_patient(OutcomeKind.RELAPSE),
    "one_death": one_patient(OutcomeKind.NRM),
    "dead_on_day_0": study_of([judged_of(Person(1, OutcomeKind.NRM, 0, Cause.CRS))]),
    "twelve": a_study(12),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_chapter_renders_for_small_studies(name: str) -> None:
    """Nobody, one patient or a dozen: every chapter has its heading and the page is well made."""
    page = Page(report_html(SMALL[name], KEY))
    assert len(CHAPTERS) - 1 == len(page.all("section"))  # "what changed" needs a last report
    assert "nan" not in re.findall(r"[a-z]+", page.text.lower())
    assert "None" not in page.text


def test_twenty_thousand_patients_fit_into_a_megabyte() -> None:
    """A registry-sized study is one file below 1 MB, and says how many deaths it shows."""
    html = report_html(a_study(20_000), KEY)
    assert len(html.encode()) < 1_000_000
    assert re.search(r"Shown are the first [\d,]+ of [\d,]+", Page(html).text)


def test_nothing_is_fetched_from_anywhere() -> None:
    """No source, no stylesheet, no font, no picture outside the file; a policy forbids it too."""
    assert not PAGE.all("link")
    assert not PAGE.all("img")
    assert not [attrs for _, attrs in PAGE.tags if attrs.get("src")]
    assert "url(" not in HTML
    assert "@import" not in HTML
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in PAGE.all("meta"))


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    """Anchors and aria-labelledby lead somewhere, and only to one place."""
    ids = PAGE.ids()
    assert len(ids) == len(set(ids))
    named = [part for _, attrs in PAGE.tags for part in
             (attrs.get("aria-labelledby") or "").split()]  # fmt: skip
    linked = [(a["href"] or "")[1:] for a in PAGE.all("a") if (a["href"] or "").startswith("#")]
    assert set(named) | set(linked) <= set(ids)


def test_every_figure_has_a_title_a_description_and_its_table() -> None:
    """Who cannot see a figure reads the same numbers."""
    assert len(PAGE.all("figure")) >= 10
    figures = [part.split("</figure>") for part in HTML.split('<figure class="plate">')[1:]]
    apart = [beside for inside, beside in figures if "<table" not in inside]
    assert ["Outcomes at fixed days" in beside for beside in apart] == [True]
    assert all(svg.get("role") == "img" and svg.get("aria-labelledby") for svg in PAGE.all("svg"))


def test_headings_follow_their_order() -> None:
    """One h1, then h2 for chapters: no level is skipped."""
    levels = [int(tag[1]) for tag, _ in PAGE.tags if re.fullmatch(r"h[1-6]", tag)]
    assert 1 == levels.count(1)
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_no_identifier_and_no_date_of_a_patient_is_in_the_report() -> None:
    """Neither ids of the server nor references nor calendar days of a patient."""
    for planted in ("synthetic-0", "secret-77", "2021-03", "2021-04", "Observation/"):
        assert planted not in HTML


def test_ages_in_the_report_are_capped() -> None:
    """97 is shown as 90; of fewer than five the quartiles, which are persons, are not shown."""
    few, more = (
        study_of([judged_of(Person(n, OutcomeKind.ALIVE, 9, age=97)) for n in range(size)])
        for size in (4, 5)
    )
    for study, said in ((few, "<td>90</td>"), (more, "<td>90 (90–90)</td>")):
        html = report_html(study, KEY)
        assert said in re.sub(r"<td[^>]*>", "<td>", html)
        assert "97 (" not in html


def test_hostile_text_is_escaped() -> None:
    """A product called <script> is shown as text."""
    evil = "<script>alert(1)</script>"
    people = [judged_of(Person(n, OutcomeKind.NRM, 9 + n, product=evil, indication=evil))
              for n in range(30)]  # fmt: skip
    html = report_html(study_of(people, name=evil), KEY)
    assert evil not in html
    assert 1 == len(Page(html).all("script"))


def test_synthetic_data_are_said_to_be_synthetic() -> None:
    """The banner is there when the study says so, and only then."""
    banner = "This report shows synthetic data"
    assert banner in PAGE.text
    assert banner not in report_html(a_study(5, synthetic=False), KEY)


@pytest.mark.parametrize(
    ("due", "state", "said"),
    [
        (3, "complete", "parts of the source still due: 3; see Data quality ."),
        (0, "partial", "the latest run ended as partial; see Data quality ."),
        (0, "failed", "the latest run ended as failed; see Data quality ."),
        (0, "complete", ""),
    ],
)
def test_a_partial_data_basis_is_said_at_the_top(due: int, state: str, said: str) -> None:
    """Parts still due, or a latest run that did not end well, stand before the title."""
    study = a_study(5)
    runs = ({"run": 1, "kind": "sync", "started": "2025-06-30", "state": state},)
    quality = msgspec.structs.replace(study.quality, slices_due=due, runs=runs)
    text = Page(report_html(msgspec.structs.replace(study, quality=quality), KEY)).text
    top = text[: text.index("Non-relapse mortality after CAR T cell therapy")]
    assert said in top
    assert bool(said) is ("may be incomplete" in top)


def test_the_report_never_claims_clinical_validation() -> None:
    """The only sentence on validation says there is none."""
    assert "Not validated for clinical use" in PAGE.text
    assert "clinically validated" not in PAGE.text.lower()


def test_a_flow_that_does_not_add_up_is_not_drawn() -> None:
    """One patient gone missing between two boxes stops the report."""
    study = a_study(50)
    wrong = msgspec.structs.replace(study.attrition, patients=study.attrition.patients + 1)
    view = View(msgspec.structs.replace(study, attrition=wrong), KEY)
    with pytest.raises(Alarm, match="do not add up"):
        left_out(view)


def test_the_flow_says_the_reason_before_its_count() -> None:
    """A reason may be a sentence: a count before it would read as its subject, one or many."""
    reasons = ["death_without_date", "death_without_date", "no_contact_after_infusion"]
    lost = [judged_of(Person(n, OutcomeKind.NOT_EVALUABLE, 0)) for n in range(3)]
    judged = [
        msgspec.structs.replace(one, outcome=Outcome(one.outcome.kind, None, reason))
        for one, reason in zip(lost, reasons, strict=True)
    ]
    text = Page(report_html(study_of(judged), KEY)).text
    assert "Nobody saw the patient after the infusion: 1" in text
    assert "Death is known, its day is not, and nothing" in text
    assert "came first: 2" in text


def test_what_changed_names_patients_by_pseudonym() -> None:
    """The chapter appears with a previous report and hides the server's ids."""
    changes = Changes("2025-06-29", (Change("verdict moved", "synthetic-00007", "new culture"),))
    html = report_html(a_study(30), KEY, changes)
    text = Page(html).text
    assert "What changed since 2025-06-29" in text
    assert "verdict moved: 1." in text
    assert "synthetic-00007" not in html


def test_the_changed_rule_and_its_reason_are_printed() -> None:
    """A site that changes a window says why, and the reader sees it."""
    assert "changed: local guideline" in PAGE.text
    assert "Policies in force" in PAGE.text


def test_the_file_is_private_and_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    """Mode 0600; .docx is a usage error; a folder that is not there a store error."""
    path = write_report(SMALL["empty"], tmp_path / "r.html", KEY)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    with pytest.raises(UsageError, match=r"\.html or \.pdf"):
        write_report(SMALL["empty"], tmp_path / "r.docx", KEY)
    with pytest.raises(StoreError):
        write_report(SMALL["empty"], tmp_path / "no" / "r.html", KEY)


def test_a_pdf_without_chromium_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message offers the way through any browser."""
    monkeypatch.setattr("adapter.report.chromium.shutil.which", lambda _: None)
    with pytest.raises(UsageError, match="print it from a browser"):
        write_report(SMALL["empty"], tmp_path / "r.pdf", KEY)


def test_figures_as_files_stand_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every SVG file is well-formed XML with its own style."""
    monkeypatch.setattr("adapter.report.chromium.installed", lambda: None)
    written = write_figures(a_study(120), tmp_path / "figures", KEY)
    assert len(written) >= 10
    for path in written:
        root = ElementTree.parse(path).getroot()
        assert "{http://www.w3.org/2000/svg}svg" == root.tag
        assert "--c1" in path.read_text()
