"""What two runs tell differently, and why."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapter.changes import diff
from adapter.codes import load_codes
from adapter.config import RuleChange, Settings
from adapter.envelope import Reject
from adapter.model import Cause, Certainty, Decision
from adapter.nightly import run_night
from adapter.report import Change
from adapter.store import Store
from cli import main
from tests.builders import SYSTEMS, condition, observation, patient
from tests.nightly.ward import Ward, about, recipient, relapse, sepsis

SICK = "synthetic-0002"  # died of sepsis


def told(chosen: Settings, first: int = 1, second: int = 2) -> list[Change]:
    codes = load_codes(chosen.site_mappings)
    with Store(chosen.store) as store:
        return list(diff(store, chosen, codes, first, second).changes)


def moved(chosen: Settings, first: int = 1, second: int = 2) -> str:
    """Why the verdict on the one who died moved."""
    found = [change for change in told(chosen, first, second) if "verdict" in change.kind]
    assert [SICK] == [change.patient for change in found]
    return found[0].text


def decide(chosen: Settings, cause: Cause, who: str = "Synthetic Reader") -> None:
    said = Decision(f"{SICK}#1", who, "2026-01-05", cause, "", Certainty.DEFINITE, role="consensus")
    with Store(chosen.store) as store:
        store.add_decisions([said])


def rejecting(chosen: Settings) -> Settings:
    """The rule that named sepsis is switched off."""
    change = RuleChange(reason="a test", enabled=False)
    return chosen.model_copy(update={"rules": {"Sepsis": change}})


def remapped(chosen: Settings, folder: Path) -> Settings:
    """A site overlay in which the code of sepsis means influenza."""
    folder.mkdir()
    head = "action,concept,subconcept,system,code,match,display,signed,dated"
    row = f"add,infection,influenza,{SYSTEMS['cm']},A41.9,exact,,Synthetic,2026-01-01"
    (folder / "site.csv").write_text(f"{head}\n{row}\n")
    return chosen.model_copy(update={"site_mappings": folder})


def test_new_evidence_moves_a_verdict(chosen: Settings, hospital: Ward) -> None:
    """The diagnosis of sepsis is withdrawn on the server; nothing else changed."""
    run_night(chosen)
    hospital.delete("Condition", f"{SICK}-cond3")
    run_night(chosen)
    assert moved(chosen).endswith(": new evidence.")


def test_a_changed_rule_moves_a_verdict(chosen: Settings) -> None:
    """The same data, the rule switched off."""
    run_night(chosen)
    run_night(rejecting(chosen))
    assert moved(rejecting(chosen)).endswith(": changed rule or policy.")


def test_a_changed_mapping_moves_a_verdict(chosen: Settings, tmp_path: Path) -> None:
    """The same data, the code given another meaning by the site."""
    run_night(chosen)
    other = remapped(chosen, tmp_path / "site")
    run_night(other)
    assert moved(other).endswith(": changed mapping.")


def test_a_decision_moves_a_verdict(chosen: Settings) -> None:
    """A reviewer overruled it."""
    run_night(chosen)
    decide(chosen, Cause.HEMORRHAGE)
    run_night(chosen)
    assert "to hemorrhage (definite): decision." in moved(chosen)


def test_evidence_and_rule_together_are_told_apart(chosen: Settings, hospital: Ward) -> None:
    """Both changed in one night: the old data, read with the new rule, already say it."""
    run_night(chosen)
    hospital.put(*about(SICK, condition("cm|I10", on="2025-01-02", id="irrelevant")))
    run_night(rejecting(chosen))
    assert moved(rejecting(chosen)).endswith(": changed rule or policy.")


def test_a_second_decision_of_one_day_is_a_decision(chosen: Settings) -> None:
    """Corrected on the day it was made: the day alone would not tell."""
    decide(chosen, Cause.HEMORRHAGE)
    run_night(chosen)
    decide(chosen, Cause.CRS)
    run_night(chosen)
    assert "to crs (definite): decision." in moved(chosen)


def test_no_decision_makes_a_relapse(chosen: Settings, hospital: Ward) -> None:
    """A decided death turns out to have come after a relapse: the evidence did that."""
    decide(chosen, Cause.HEMORRHAGE)
    run_night(chosen)
    hospital.put(*about(SICK, patient(died="2025-06-21"), relapse("2025-06-15"))[1:])
    run_night(chosen)
    assert ["nrm to relapse: new evidence.", "hemorrhage (definite): new evidence."] == [
        change.text for change in told(chosen)
    ]


def test_evidence_that_goes_to_another_patient_is_new_evidence(
    chosen: Settings, hospital: Ward
) -> None:
    """A diagnosis filed under the wrong patient is corrected; its loser is told why, both ways."""
    run_night(chosen)
    hospital.put(*about("synthetic-0001", {**sepsis(), "id": f"{SICK}-cond3"}))
    run_night(chosen)
    assert moved(chosen).endswith(": new evidence.")
    assert moved(chosen, 2, 1).endswith(": new evidence.")


def test_a_changed_time_zone_is_a_changed_policy(chosen: Settings, hospital: Ward) -> None:
    """Midnight lies elsewhere: death comes the day before the relapse, or on its day."""
    late = {**patient(died="2025-06-20T23:30:00Z"), "id": SICK}
    hospital.put(late, *about(SICK, {**relapse("2025-06-21"), "id": "synthetic-late"}))
    run_night(chosen)
    moved_east = chosen.model_copy(update={"timezone": "Asia/Tokyo"})
    run_night(moved_east)
    assert "nrm to relapse: changed rule or policy." in [one.text for one in told(moved_east)]


def test_every_kind_of_change_is_told(chosen: Settings, hospital: Ward) -> None:
    """Infusion, death, relapse and outcome, in order of episode."""
    run_night(chosen)
    hospital.put(*recipient("synthetic-0004", relapse(), died="2025-10-01"))
    hospital.put(*recipient("synthetic-0001", died="2025-12-01")[:1])
    run_night(chosen)
    kinds = [(change.patient, change.kind) for change in told(chosen)]
    assert [
        ("synthetic-0001", "new death"),
        ("synthetic-0001", "outcome moved"),
        ("synthetic-0001", "new verdict"),
        ("synthetic-0004", "new infusion"),
        ("synthetic-0004", "new death"),
        ("synthetic-0004", "new relapse"),
    ] == kinds


def test_runs_without_memory_are_replayed(chosen: Settings, hospital: Ward) -> None:
    """Plain syncs keep no memory: the append-only store gives back what it held then."""
    run_night(chosen)
    hospital.put(*recipient("synthetic-0004"))
    run_night(chosen)
    with Store(chosen.store) as store:
        store.db.execute("DELETE FROM night")
    assert ["new infusion"] == [change.kind for change in told(chosen)]
    assert ["infusion gone"] == [change.kind for change in told(chosen, 2, 1)]


def test_a_decision_made_later_is_not_in_an_earlier_run(chosen: Settings) -> None:
    """`--as-of` gives the verdict of that night, not of a reviewer who came later."""
    run_night(chosen)
    decide(chosen, Cause.HEMORRHAGE)
    run_night(chosen)
    for run, cause in ((1, "infection"), (2, "hemorrhage")):
        options = ["classify", "--store", str(chosen.store), "--as-of", str(run), "--json"]
        rows = json.loads(CliRunner().invoke(main, options).stdout)
        assert [cause] == [row["cause"] for row in rows if row["patient"] == SICK]


def of_the_first_run(chosen: Settings, folder: Path) -> dict[str, bytes]:
    """Everything that `--as-of` gives: files, and what is printed."""
    folder.mkdir()
    for command in ("export cohort.csv", "export cohort.summary.json", "report report.html",
                    "classify --json", f"explain {SICK}"):  # fmt: skip
        name, argument = command.split()
        file = folder / argument
        words = [name, str(file) if "." in argument else argument]
        result = CliRunner().invoke(main, [*words, "--store", str(chosen.store), "--as-of", "1"])
        assert 0 == result.exit_code, result.output
        if not file.exists():
            file.write_text(result.stdout)
    return {one.name: one.read_bytes() for one in folder.iterdir() if "manifest" not in one.name}


def test_an_earlier_run_is_given_again_to_the_byte(
    chosen: Settings, hospital: Ward, tmp_path: Path
) -> None:
    """Later come types never sent before, another patient, rejects, a decision and a bad night."""
    run_night(chosen)
    cohort = (chosen.nightly.folder / "latest" / "cohort.csv").read_bytes()
    before = of_the_first_run(chosen, tmp_path / "before")
    fever = observation("8310-5", on="2025-06-18", valueQuantity={"value": 39, "code": "Cel"})
    hospital.put(*recipient("synthetic-0004", fever), *about(SICK, patient(), fever)[1:])
    with Store(chosen.store) as store:
        store.reject(store.begin("load", "files"), [Reject("x.ndjson:1", "no id", b"{}")])
    decide(chosen, Cause.HEMORRHAGE)
    hospital.refused = {"Encounter"}
    run_night(chosen)
    assert before == of_the_first_run(chosen, tmp_path / "after")
    assert cohort == before["cohort.csv"]


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps_moves_no_decision(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Which run first sees a decision is counted in runs, not in hours."""
    run_night(chosen)
    with monkeypatch.context() as patch:
        wrong = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        patch.setattr("adapter.store.now", lambda: wrong)
        decide(chosen, Cause.HEMORRHAGE)
    run_night(chosen)
    with Store(chosen.store) as store:
        assert [0, 1, 1] == [len(store.decisions(run)) for run in (1, 2, None)]


def test_a_quiet_night_costs_a_few_bytes(chosen: Settings) -> None:
    """What a night said is kept once, however many nights say it."""
    for _ in range(4):
        run_night(chosen)
    with Store(chosen.store) as store:
        sizes = [row[0] for row in store.db.execute("SELECT length(rows) FROM night ORDER BY run")]
    assert [0, 0, 0] == sizes[1:]
    assert sizes[0] > 0


@pytest.mark.parametrize("runs", [("1", "7"), ("0", "1")])
def test_an_unknown_run_is_a_usage_error(chosen: Settings, runs: tuple[str, str]) -> None:
    """Exit 2, and where to find the runs."""
    run_night(chosen)
    result = CliRunner().invoke(main, ["diff", *runs, "--store", str(chosen.store)])
    assert 2 == result.exit_code
    assert "status" in result.stderr


def test_the_command_prints_the_changes(chosen: Settings, hospital: Ward) -> None:
    """One line a change, and JSON."""
    run_night(chosen)
    hospital.put(*recipient("synthetic-0004"))
    run_night(chosen)
    text = CliRunner().invoke(main, ["diff", "1", "2", "--store", str(chosen.store)]).stdout
    assert "synthetic-0004  new infusion: Product: axi-cel. New evidence." in text
    options = ["diff", "1", "2", "--store", str(chosen.store), "--json"]
    answer = json.loads(CliRunner().invoke(main, options).stdout)
    assert "new infusion" == answer["changes"][0]["kind"]


def test_a_report_by_hand_says_what_changed(
    chosen: Settings, hospital: Ward, tmp_path: Path
) -> None:
    """`report --since RUN`, by pseudonym."""
    run_night(chosen)
    hospital.put(*recipient("synthetic-0004"))
    run_night(chosen)
    page = tmp_path / "report.html"
    options = ["report", str(page), "--store", str(chosen.store), "--since", "1"]
    assert 0 == CliRunner().invoke(main, options).exit_code
    assert "What changed since run 1" in page.read_text()
    assert "new infusion: 1" in page.read_text()
    assert "synthetic-0004" not in page.read_text()
