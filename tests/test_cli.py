"""The command line: every command helps with an example, and errors end with their code."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from adapter import errors
from adapter.store import Store
from cli import main


def commands(group: click.Group = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_has_help_with_an_example(name: str, command: click.Command) -> None:
    """What a command does, and one line to copy."""
    assert f"Example: cart-nrm {name}" in " ".join((command.help or "").split())


@pytest.mark.parametrize("group", [[], ["review"], ["mappings"]])
def test_every_group_has_help_with_an_example(group: list[str]) -> None:
    """Whoever does not know the commands yet gets one line to copy as well."""
    told = " ".join(CliRunner().invoke(main, [*group, "--help"]).output.split())
    assert f"Example: {' '.join(['cart-nrm', *group])} " in told


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_option_says_what_it_is(name: str, command: click.Command) -> None:
    """No option is left to be guessed, unless its choices or default say it all."""
    silent = [
        option.name
        for option in command.params
        if isinstance(option, click.Option)
        and not option.help
        and not isinstance(option.type, click.Choice)
    ]
    assert silent == []


def test_commands_of_the_contract_exist() -> None:
    """Other people's scripts rest on these names."""
    expected = {
        "demo", "check", "plan", "sync", "load", "classify", "explain", "incidence", "export",
        "report", "review", "pool", "nightly", "status", "diff", "cases", "mappings",
    }  # fmt: skip
    assert expected - set(main.commands) == set()
    group = main.commands["mappings"]
    assert isinstance(group, click.Group)
    assert {"lint", "coverage", "explain", "expand"} - set(group.commands) == set()


def test_each_branch_of_errors_has_its_exit_code() -> None:
    """The codes of the contract, one for each branch of the tree."""
    found = {
        errors.UsageError: 2, errors.ConfigError: 10, errors.MappingError: 11,
        errors.AuthorisationError: 12, errors.ServerError: 13, errors.StoreError: 14,
        errors.LockedError: 15, errors.Partial: 20, errors.Alarm: 21,
    }  # fmt: skip
    assert {branch: branch.exit_code for branch in found} == found


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, "No such command"),
        (["classify", "--store", "{folder}/none.db"], 14, "no store"),
        (["sync", "--store", "{folder}/s.db"], 10, "server"),
        (["incidence", "{folder}/none.csv"], 2, "none.csv"),
        (["pool"], 2, "Nothing to pool"),
        (["cases", "{folder}"], 2, "No day tables"),
        (["check", "--config", "{folder}/none.toml"], 10, "cannot be read"),
        (["incidence", "t.csv", "--at", "30,nan"], 2, "not a list of days"),
        (["incidence", "t.csv", "--at", "-5"], 2, "not a list of days"),
        (["incidence", "t.csv", "--rho", "nan"], 2, "not a finite number"),
        (["pool", "s.json", "--horizon", "inf"], 2, "not a finite number"),
        (["export", "x.csv", "--small-cells", "-3"], 2, "not in the range"),
        (["mappings", "expand", "--site-mappings", "site"], 2, "--terminology-server"),
        (["load", "{folder}/none", "--store", "{folder}/new.db"], 2, "does not exist"),
    ],
)
def test_a_mistake_ends_with_its_code_and_what_to_do(
    tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    """No traceback: a sentence and the exit code of its branch."""
    filled = [argument.format(folder=tmp_path) for argument in arguments]
    answer = CliRunner().invoke(main, filled)
    assert (answer.exit_code, says in answer.output) == (code, True), answer.output
    assert "Traceback" not in answer.output
    assert not (tmp_path / "new.db").exists()


def test_export_answers_a_machine_with_numbers(tmp_path: Path) -> None:
    """Counts are no text; columns may be listed with blanks, as people write lists."""
    Store(tmp_path / "s.db").__exit__()
    words = ["export", f"{tmp_path}/c.csv", "--store", f"{tmp_path}/s.db", "--json"]
    answer = CliRunner().invoke(main, [*words, "--columns", "patient, episode"])
    assert 0 == json.loads(answer.stdout)["rows"]
    assert ["patient,episode"] == (tmp_path / "c.csv").read_text("utf-8-sig").splitlines()


def test_mappings_explain_says_what_a_code_means() -> None:
    """The CRS grade 4 code is explained by its row."""
    answer = CliRunner().invoke(main, ["mappings", "explain", "ICD-10-CM|D89.834"])
    assert answer.exit_code == 0
    assert "toxicity" in answer.output
