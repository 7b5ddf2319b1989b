"""Busy, ill and malicious answers: patience with a limit, and limits on what we swallow."""

import gzip
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from werkzeug import Response

from tests.hostile.conftest import NAME, World
from tests.hostile.little import Asked, as_json, problem


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_asked_again(world: World, status: int) -> None:
    """Two faults, then the answer."""
    world.server.trap("/Condition", lambda asked: problem(status), times=2)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)
    assert 2 <= len(world.slept)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_lasting_fault_keeps_the_slice_due(world: World, status: int) -> None:
    """The other types are complete, this one is asked for next night."""
    world.server.trap("/Condition", lambda asked: problem(status))
    night = world.night()
    assert (20, {("*", "Condition")}) == (night.code, world.due())
    assert f"answered {status}" in night.says
    world.complete()


@pytest.mark.parametrize(
    ("dialect", "low", "high"),
    [
        ("7", 7, 7),
        ("date", 15, 21),
        ("epoch", 15, 21),
        ("milliseconds", 15, 21),
        ("soon", 0.4, 1.6),
        ("-5", 0, 0),
    ],
)
def test_retry_after_in_its_dialects(world: World, dialect: str, low: float, high: float) -> None:
    """Seconds, an HTTP date, an epoch time, nonsense (our own pause), the past."""
    values = {
        "date": formatdate(time.time() + 20, usegmt=True),
        "epoch": str(int(time.time() + 20)),
        "milliseconds": str(int((time.time() + 20) * 1000)),
    }
    wait = values.get(dialect, dialect)
    world.server.trap("/Condition", lambda asked: problem(429, Retry_After=wait), times=1)
    assert 0 == world.night().code
    assert low <= world.slept[0] <= high


def test_retry_after_of_hours_is_capped_and_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The server wants us back in the evening; the night cannot wait that long."""
    world.connection["longest_wait_seconds"] = 30
    world.server.trap("/Condition", lambda asked: problem(429, Retry_After="14400"), times=1)
    assert (0, 30.0) == (world.night().code, world.slept[0])
    assert "the server asked for longer" in caplog.text


def test_a_busy_server_gets_fewer_questions_at_once(world: World) -> None:
    """429 halves what we ask at the same time."""
    from adapter.fhir.client import Throttle

    throttle = Throttle(8)
    throttle.slow_down()
    throttle.slow_down()
    assert 2 == throttle.limit
    for _ in range(40):
        throttle.went_well()
    assert 4 == throttle.limit


def test_a_run_past_its_deadline_stops_asking(world: World) -> None:
    """What was not asked stays due."""
    from adapter.store import Store
    from adapter.sync import sync

    world.connection["deadline_hours"] = 1.0
    hours = iter([0.0, *[i * 600.0 for i in range(500)]])
    start = time.time()
    with Store(world.store) as store:
        report = sync(
            store, world.settings(), world.codes, sleep=world.slept.append,
            now=lambda: start + next(hours),
        )  # fmt: skip
    assert 20 == report.exit_code
    assert any("time for this run" in due.reason for due in report.due)
    world.complete()


def test_a_server_that_is_away_ends_the_night(world: World) -> None:
    """Nothing was asked, nothing is called complete; the run says failed."""
    world.server.trap("/metadata", lambda asked: problem(503))
    night = world.night()
    assert (13, set()) == (night.code, night.holds)
    world.complete()


def test_no_server_at_all(world: World) -> None:
    """Connection refused."""
    from adapter.config import Settings
    from adapter.errors import ServerError
    from adapter.store import Store
    from adapter.sync import sync
    from tests.servers import free_port

    settings = Settings(server=f"http://127.0.0.1:{free_port()}/fhir")
    with Store(world.store) as store, pytest.raises(ServerError, match="cannot be reached"):
        sync(store, settings, world.codes, sleep=world.slept.append)
    with Store(world.store) as store:
        assert ["failed"] == [run["state"] for run in store.runs()]


def test_not_a_fhir_server(world: World) -> None:
    """The base URL of something else."""
    world.server.trap("/metadata", lambda asked: as_json({"hello": "world"}))
    assert 13 == world.night().code


def test_not_r4(world: World) -> None:
    """The DSTU2 end point of the same server."""
    statement = {"resourceType": "CapabilityStatement", "fhirVersion": "1.0.2"}
    world.server.trap("/metadata", lambda asked: as_json(statement))
    night = world.night()
    assert (13, True) == (night.code, "R4" in night.says)


def test_a_forbidden_type_does_not_stop_the_others(world: World) -> None:
    """403 for one type: it is due, with what to do about it."""
    world.server.trap("/Observation", lambda asked: problem(403, "forbidden"))
    night = world.night()
    assert (20, {("*", "Observation")}) == (night.code, world.due())
    assert "connection.types" in night.says
    world.complete()


def test_what_a_server_writes_into_an_error_is_not_repeated(world: World) -> None:
    """Diagnostics hold names and identifiers."""
    world.server.trap("/Condition", lambda asked: problem(400, "invalid", f"{NAME} not found"))
    night = world.night()
    assert (20, True) == (night.code, "(invalid)" in night.says)


def test_codes_that_are_names_are_not_repeated(world: World) -> None:
    """Also where a name stands in the place of a code."""
    world.server.trap("/Condition", lambda asked: problem(400, NAME))
    assert 20 == world.night().code


def test_a_compressed_bomb_is_refused(world: World) -> None:
    """A few kilobytes that unpack to hundreds of megabytes."""
    world.connection["longest_answer_mb"] = 2
    bomb = gzip.compress(b" " * 50_000_000)
    answer = Response(bomb, headers={"Content-Encoding": "gzip"})
    world.server.trap("/Condition", lambda asked: answer)
    night = world.night()
    assert (20, True) == (night.code, "larger than 2 MB" in night.says)
    world.complete()


def test_compression_that_is_none_is_asked_again(world: World) -> None:
    """Content-Encoding says gzip, the bytes do not."""
    answer = Response(b"{}", headers={"Content-Encoding": "gzip"})
    world.server.trap("/Condition", lambda asked: answer, times=1)
    assert (0, world.server.ids()) == (world.night().code, world.nights[-1].holds)


def test_an_answer_that_drips_is_given_up(world: World) -> None:
    """Each letter comes in time, the whole never does."""
    world.connection |= {"timeout_seconds": 0.1, "retries": 0}

    def drips() -> Iterator[bytes]:
        for _ in range(60):
            time.sleep(0.05)
            yield b" "

    world.server.trap("/Condition", lambda asked: Response(drips()))
    night = world.night()
    assert (20, True) == (night.code, "took more than 1 s" in night.says)


def test_a_resource_of_ten_megabytes_is_stored(world: World) -> None:
    """Large is not hostile."""
    world.server.put("Observation", "large", note=[{"text": "x" * 10_000_000}])
    night = world.night()
    assert (0, True) == (night.code, "Observation/large" in night.holds)


def test_letters_that_are_no_utf8_are_asked_again_then_due(world: World) -> None:
    """Latin-1 in a bundle."""
    row = '{"resourceType":"Bundle","entry":[],"x":"Müller"}'.encode("latin-1")
    world.server.trap("/Condition", lambda asked: Response(row))
    night = world.night()
    assert (20, {("*", "Condition")}) == (night.code, world.due())


def test_a_clock_two_hours_off_loses_nothing(world: World) -> None:
    """Our start is taken on the server's clock, learnt from its Date header."""
    from datetime import UTC, datetime, timedelta

    world.server.clock = datetime.now(UTC) - timedelta(hours=2, minutes=1)
    behind = formatdate(time.time() - 7200, usegmt=True)

    def late(asked: Asked) -> Response:
        answer = world.server.honest(asked)
        answer.headers["Date"] = behind
        return answer

    world.server.trap("/", late)
    world.night()
    world.server.put("Condition", "new", tick=90)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_post_search_refused_falls_back_to_get(world: World) -> None:
    """A server without _search."""
    world.connection |= {"find": "patients", "patients": world.folder / "patients.txt"}
    (world.folder / "patients.txt").write_text("p1\np2\np3\n")
    world.server.trap("/_search", lambda asked: problem(405))
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_patient_ids_travel_in_bodies_not_in_urls(world: World) -> None:
    """Proxies write URLs into their logs."""
    world.connection |= {"find": "patients", "patients": world.folder / "patients.txt"}
    (world.folder / "patients.txt").write_text("p1\np2\np3\n")
    world.connection["page_size"] = 1000
    world.night()
    assert not [asked.url for asked in world.server.log if "patient=" in asked.url]
