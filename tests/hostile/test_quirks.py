"""Quirk files: what they say is explained, checked and obeyed."""

from pathlib import Path

import pytest
from werkzeug import Response

from adapter.errors import ConfigError
from adapter.fhir.quirks import Quirks, known, load_quirks, reasons
from tests.hostile.conftest import World
from tests.hostile.little import Asked, problem


@pytest.mark.parametrize("name", known())
def test_every_difference_has_a_reason_a_source_and_a_date(name: str) -> None:
    """The loader refuses anything else; here also that the words are there."""
    for why in reasons(name):
        assert why.reason.endswith(".")
        assert why.source
        assert why.seen.startswith("20")


def test_no_name_is_a_plain_server() -> None:
    """Nothing is assumed about a server that nobody described."""
    assert Quirks() == load_quirks("")


def test_a_site_adds_its_own_by_path(tmp_path: Path) -> None:
    """The name ends in .toml, so it is a path."""
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'about = "ours"\n[set]\nlargest_page = 7\n'
        '[[why]]\nkey = "largest_page"\nreason = "slow."\nsource = "we saw it"\nseen = "2026-01"\n'
    )
    assert (7, "mine") == (load_quirks(str(mine)).largest_page, load_quirks(str(mine)).name)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('about = "x"\n[set]\nlargest_page = 7\n', "gives no reason for largest_page"),
        ('about = "x"\n[set]\nlargest_pages = 7\n', "largest_pages"),
        ('about = "x"\n[set]\nlargest_page = "seven"\n', "int"),
        ("about = ", "is wrong"),
    ],
)
def test_a_wrong_quirk_file_says_what_is_wrong(tmp_path: Path, text: str, word: str) -> None:
    """Unknown keys, wrong types and unexplained differences are errors."""
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    with pytest.raises(ConfigError, match=word):
        load_quirks(str(mine))


def test_an_unknown_name_lists_the_known_ones() -> None:
    """And says that a path would do."""
    with pytest.raises(ConfigError, match="hapi, medplum, oracle, plain"):
        load_quirks("nobody")


def test_a_server_that_needs_categories_and_knows_no_instants(world: World) -> None:
    """400 for an Observation search without category, no _lastUpdated, no counts, one patient."""
    world.connection |= {
        "find": "patients", "patients": world.folder / "patients.txt", "quirks": "epic",
    }  # fmt: skip
    (world.folder / "patients.txt").write_text("p1\np2\n")
    world.auth = {"kind": "bearer", "secret_env": "CART_NRM_TEST_TOKEN", "client_id": "site-7"}

    def strict(asked: Asked) -> Response | None:
        names = {name for name, _ in asked.params}
        if "Observation" in asked.path and "category" not in names and "_id" not in names:
            return problem(400, "required")
        if names & {"_lastUpdated", "_sort", "_summary", "_elements"}:
            return problem(400, "not-supported")
        return None

    world.server.trap("/fhir/", strict)
    mine = {one for one in world.server.ids() if "p3" not in one and one[-3] != "3"}
    first = world.night()
    assert (0, mine) == (first.code, first.holds)
    assert {"site-7"} == {asked.headers.get("Epic-Client-Id") for asked in world.server.log}
    world.server.put("Condition", "new", "p1")
    world.server.put("Condition", "c1-1", "p1", note="changed")
    second = world.night()
    assert second.report is not None
    assert (0, 2, mine | {"Condition/new"}) == (second.code, second.report.stored, second.holds)


def test_what_is_gone_from_such_a_server_is_found_by_the_full_compare(world: World) -> None:
    """Without counts a deletion is seen when the whole is pulled, every so many days."""
    world.connection |= {
        "find": "patients", "patients": world.folder / "patients.txt", "quirks": "epic",
        "full_compare_days": 1,
    }  # fmt: skip
    (world.folder / "patients.txt").write_text("p1\np2\np3\n")
    world.night()
    world.server.remove("Condition", "c1-0")
    from adapter.store import Store

    with Store(world.store) as store, store.transaction():
        store.db.execute("UPDATE slice SET compared = compared - 200000")
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)
