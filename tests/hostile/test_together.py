"""What is done for speed must lose nothing: several pages a transaction, several connections."""

from adapter.store import Store
from adapter.sync import sync
from tests.hostile.conftest import World
from tests.hostile.little import problem


def test_what_came_before_a_refusal_is_kept(world: World) -> None:
    """The credentials end in mid-night: the pages that wait for their transaction are filed."""
    world.connection["parallel"] = 1
    world.server.trap("/Observation", lambda asked: problem(401))
    night = world.night()
    assert 12 == night.code
    assert world.server.ids("Patient") | world.server.ids("Condition") == night.holds
    world.complete()


def test_pages_share_a_transaction(world: World) -> None:
    """Sixty pages are written in a few transactions: each would write its index pages anew."""
    world.server.people(patients=10, each=15)
    began: list[str] = []
    with Store(world.store) as store:
        store.db.set_trace_callback(
            lambda text: began.append(text) if text.startswith("BEGIN") else None
        )
        report = sync(store, world.settings(), world.codes)
    assert "complete" == report.state
    assert 60 <= len(world.server.asked("/(Condition|Observation)"))
    assert len(began) <= 20


def test_whole_histories_are_shared_out_among_the_connections(world: World) -> None:
    """Eight new patients, four connections: two a question, not all eight in one long walk."""
    world.server.people(patients=8)
    listed = world.folder / "patients.txt"
    listed.write_text("".join(f"p{number}\n" for number in range(1, 9)))
    world.connection |= {"find": "patients", "patients": listed, "parallel": 4}
    assert world.server.ids() == world.night().holds
    asked = {one.get("patient") for one in world.server.asked("/Observation")}
    assert {"p1,p2", "p3,p4", "p5,p6", "p7,p8"} <= asked
    world.server.log.clear()
    assert 0 == world.night().code
    asked = {one.get("patient") for one in world.server.asked("/Observation")}
    assert {",".join(f"p{number}" for number in range(1, 9))} == asked


def test_a_row_that_speaks_of_an_outcome_is_a_row(world: World) -> None:
    """A resource of the type asked for is never taken for a message, whatever words it holds."""
    world.server.put("Condition", "c-odd", "p1", note=[{"text": '{"OperationOutcome"}'}])
    world.server.put("Condition", "c-tag", "p1", extension=[{"valueCode": "OperationOutcome"}])
    assert {"Condition/c-odd", "Condition/c-tag"} <= world.night().holds
