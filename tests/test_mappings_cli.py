"""The mappings commands as a person types them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from adapter.codes import load_codes
from adapter.codes.systems import SNOMED
from adapter.words import coverage_in_words
from cli import main


def run(*words: str) -> Result:
    """One call of the command line."""
    return CliRunner().invoke(main, ["mappings", *words])


def test_lint_says_that_all_is_well() -> None:
    """Nothing wrong: exit code 0."""
    answer = run("lint")
    assert (0, "0 faults in the mappings\n") == (answer.exit_code, answer.output)


HEADER = "action,concept,subconcept,system,code,match,display,signed,dated\n"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("add,infection,sepsis,urn:x,1,exact,,,", "not signed. Put who decided"),
        ("add,infektion,sepsis,urn:x,1,exact,,A,2025-03-01",
         "unknown concept 'infektion'. Did you mean 'infection'?"),
        ("add,infection,sepsis,urn:x,1,exact,A,2025-03-01", "8 cells instead of 9. Quote"),
        ("add,infection,sepsis,urn:x,1,exact,a,b,A,2025-03-01", "10 cells instead of 9. Quote"),
        ("add,infection,sepsis,urn:x,1,exact,,A,2999-01-01",
         "dated in the future (2999-01-01). Put the day"),
    ],
)  # fmt: skip
def test_lint_says_fault_and_remedy_and_ends_with_11(tmp_path: Path, row: str, told: str) -> None:
    """File and line, what is wrong, and what to do: two sentences."""
    (tmp_path / "a.csv").write_text(HEADER + row + "\n")
    answer = run("lint", "--site-mappings", str(tmp_path))
    assert 11 == answer.exit_code
    assert f"a.csv:2: {told}" in answer.output
    assert answer.output.endswith("\n1 fault in the mappings\n")


def test_lint_knows_a_file_from_a_folder(tmp_path: Path) -> None:
    """A file that is there is not called missing."""
    (tmp_path / "a.csv").write_text(HEADER)
    answer = run("lint", "--site-mappings", str(tmp_path / "a.csv"))
    assert "is a file: name its folder." in answer.output


def test_coverage_says_when_nothing_is_left() -> None:
    """A sentence, not two heads without rows."""
    assert "Every code of the source has a meaning." == coverage_in_words([])


def test_explain_speaks_json_too() -> None:
    """Machines read the same explanation."""
    answer = json.loads(run("explain", "ICD-10-CM|R65.1", "--json").output)
    assert ["infection_EXCLUDE"] == [m["concept"] for m in answer["meanings"]]


@pytest.mark.parametrize("kind", ["valueset", "conceptmap"])
def test_export_and_import_are_a_round(tmp_path: Path, kind: str) -> None:
    """What was exported comes back as overlay rows that load."""
    out = run("export", "leukapheresis", "--as", kind, "--subconcept", "t_cell_collection_car_t")
    (tmp_path / "set.json").write_text(out.output)
    (tmp_path / "site").mkdir()
    named = ("--concept", "leukapheresis", "--subconcept", "t_cell_collection_car_t")
    back = run(
        "import", str(tmp_path / "set.json"), "--signed", "A", "--dated", "2025-03-01", *named
    )
    (tmp_path / "site" / "back.csv").write_text(back.stdout)
    assert "5-410.30" in {row.code for row in load_codes(tmp_path / "site").rows if row.site}


def test_import_of_something_else_says_so(tmp_path: Path) -> None:
    """A text file is a usage error, not a crash."""
    (tmp_path / "a.json").write_text("not json")
    answer = run("import", str(tmp_path / "a.json"), "--signed", "A", "--dated", "2025-03-01")
    assert 2 == answer.exit_code
    assert "is not JSON" in answer.output


def test_expand_asks_the_terminology_server_without_our_login(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    """The hospital's token must not travel to a public terminology server."""
    seen: list[str | None] = []

    def answer(request: Request) -> Response:
        seen.append(request.headers.get("Authorization"))
        parent = request.args["url"].rpartition("<<")[2]
        if parent != "40733004":
            return Response(json.dumps({"resourceType": "OperationOutcome"}), 404)
        one = {"system": SNOMED, "code": "987654321"}
        return Response(json.dumps({"expansion": {"total": 1, "contains": [one]}}))

    httpserver.expect_request("/fhir/ValueSet/$expand").respond_with_handler(answer)
    (tmp_path / "token").write_text("hospital-token")
    (tmp_path / "study.toml").write_text(
        'server = "http://127.0.0.1:9/fhir"\nsite_mappings = "site"\n'
        '[auth]\nkind = "bearer"\nsecret_file = "token"\n[connection]\nretries = 0\n'
    )
    (tmp_path / "site").mkdir()
    words = ("expand", "--config", str(tmp_path / "study.toml"))
    done = run(*words, "--terminology-server", httpserver.url_for("/fhir"))
    assert 0 == done.exit_code, done.output
    assert {None} == set(seen)
    assert load_codes(tmp_path / "site").lookup(SNOMED, "987654321")


def test_expand_needs_a_place(tmp_path: Path) -> None:
    """SNOMED CT content goes into the site's folder, nowhere else."""
    answer = run("expand", "--terminology-server", "http://127.0.0.1:9/fhir")
    assert 2 == answer.exit_code
    assert "--site-mappings" in answer.output


def test_a_german_site_says_where_its_codes_are(tmp_path: Path) -> None:
    """With who-is-gm the WHO URI holds ICD-10-GM codes."""
    (tmp_path / "study.toml").write_text("who-is-gm = true\n")
    words = ("explain", "ICD-10|D76.4")
    assert "means nothing" in run(*words).output
    assert "cytokine release" in run(*words, "--config", str(tmp_path / "study.toml")).output
