"""Exports that are old, foreign, short, late or cut off."""

import gzip
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from werkzeug import Response

from adapter.fhir.bulk import File
from adapter.store import Store
from tests.hostile.conftest import World
from tests.hostile.little import Asked, Row, as_json, problem

Change = Callable[[Row], Any]


@pytest.fixture
def bulk(world: World) -> World:
    """A world that syncs by system export."""
    world.connection |= {"mode": "bulk", "export": "system"}
    return world


def manifest_is(world: World, change: Change) -> None:
    """The manifest, changed."""

    def answer(asked: Asked) -> Response | None:
        name = asked.path.rsplit("/", 1)[-1]
        if asked.method == "DELETE" or name not in world.server.jobs:
            return None
        manifest = world.server.manifest(name)
        change(manifest)
        return as_json(manifest)

    world.server.trap("/job/", answer)


def file_is(world: World, kind: str, change: Callable[[bytes], Response], times: int = 99) -> None:
    """One type's file, changed."""

    def answer(asked: Asked) -> Response:
        return change(world.server.honest(asked).get_data())

    world.server.trap(f"/files/.*{kind}", answer, times)


def test_an_export_brings_everything(bulk: World) -> None:
    """Kick-off, status, files, and our job is deleted."""
    night = bulk.night()
    assert (0, bulk.server.ids()) == (night.code, night.holds)
    assert {} == bulk.server.jobs
    kick = bulk.server.asked("export")[0]
    assert ("respond-async", "no-cache") == (kick.headers["Prefer"], kick.headers["Cache-Control"])
    assert "Patient,Condition,Observation" == kick.get("_type")


def test_the_second_export_asks_for_changes_only(bulk: World) -> None:
    """_since is the watermark less the overlap; a deletion is found by count."""
    bulk.night()
    bulk.server.put("Condition", "new", tick=1000)
    bulk.server.remove("Condition", "c1-0")
    night = bulk.night()
    assert (0, bulk.server.ids()) == (night.code, night.holds)
    assert bulk.server.asked("export")[-1].get("_since")


def test_an_export_older_than_our_question_is_not_taken(bulk: World) -> None:
    """A server hands out a finished job of last week for the same request."""
    old = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    manifest_is(bulk, lambda m: m.update(transactionTime=old))
    night = bulk.night()
    assert (20, set()) == (night.code, night.holds)
    assert "older than our question" in night.says
    bulk.complete()


def test_a_manifest_without_time_is_not_taken(bulk: World) -> None:
    """It could be anybody's."""
    manifest_is(bulk, lambda m: m.pop("transactionTime"))
    assert (20, set()) == (bulk.night().code, bulk.nights[-1].holds)
    bulk.complete()


@pytest.mark.parametrize("kind", ["../../etc/cron.d/x", "Practitioner", "", "Condition\x00"])
def test_a_type_that_was_not_asked_for_is_left_alone(bulk: World, kind: str) -> None:
    """Nothing the server writes becomes a path; the file is not even fetched."""
    url = f"{bulk.server.base}/files/1/Other.ndjson"
    manifest_is(bulk, lambda m: m["output"].append({"type": kind, "url": url}))
    night = bulk.night()
    assert (0, bulk.server.ids()) == (night.code, night.holds)
    assert [] == bulk.server.asked("Other")
    assert "not asked for" in night.says
    assert {"store.db"} == {p.name.split("-")[0] for p in bulk.folder.iterdir()}


def test_a_wrong_count_is_read_again_and_then_due(bulk: World) -> None:
    """The manifest promises more lines than the file has."""
    manifest_is(bulk, lambda m: m["output"][1].update(count=99))
    night = bulk.night()
    assert (20, {("*", "Condition")}) == (night.code, bulk.due())
    assert "12 lines, the server said 99" in night.says
    bulk.complete()


def test_a_lost_last_type_is_noticed(bulk: World) -> None:
    """The manifest ends before Observation, which we hold and the server has."""
    bulk.night()
    manifest_is(bulk, lambda m: m["output"].pop())
    bulk.server.put("Observation", "new", tick=1000)
    night = bulk.night()
    assert ("*", "Observation") in bulk.due() or bulk.server.ids() == night.holds
    bulk.complete()


def test_a_lost_last_type_on_the_first_night_is_noticed(bulk: World) -> None:
    """Nothing is held yet: the server is asked how many there are."""
    manifest_is(bulk, lambda m: m["output"].pop())
    night = bulk.night()
    assert (20, {("*", "Observation")}) == (night.code, bulk.due())
    assert "leaves out a type" in night.says
    bulk.complete()


def test_a_file_that_breaks_off_is_read_again(bulk: World) -> None:
    """Half a file, and a length that says so."""

    def short(body: bytes) -> Response:
        return Response(body[:100], headers={"Content-Length": str(len(body))})

    file_is(bulk, "Condition", short, times=1)
    assert (0, bulk.server.ids()) == (bulk.night().code, bulk.nights[-1].holds)


def test_a_file_cut_off_at_a_line_is_noticed_by_its_count(bulk: World) -> None:
    """Every line is whole, and some are missing."""
    file_is(bulk, "Condition", lambda body: Response(b"\n".join(body.split(b"\n")[:5])))
    night = bulk.night()
    assert (20, {("*", "Condition")}) == (night.code, bulk.due())
    bulk.complete()


def test_lines_and_letters_split_between_chunks(bulk: World) -> None:
    """Two-byte letters and lines end anywhere in the stream."""
    bulk.server.put("Condition", "umlaut", note=[{"text": "Übelkeit " * 20_000}])
    whole = b""

    def dribble(body: bytes) -> Response:
        pieces = [body[i : i + 777] for i in range(0, len(body), 777)]
        return Response(iter(pieces), content_type="application/fhir+ndjson")

    file_is(bulk, "Condition", dribble)
    assert (0, bulk.server.ids()) == (bulk.night().code, bulk.nights[-1].holds)
    with Store(bulk.store) as store:
        for record in store.records():
            whole += b"".join(r.body for r in record.resources if r.id == "umlaut")
    assert "Übelkeit " * 20_000 == json.loads(whole)["note"][0]["text"]


def test_a_line_without_a_line_break_at_the_end(bulk: World) -> None:
    """The last line counts, too; blank lines and carriage returns do not."""
    file_is(bulk, "Condition", lambda b: Response(b.strip().replace(b"\n", b"\r\n\r\n")))
    assert (0, bulk.server.ids()) == (bulk.night().code, bulk.nights[-1].holds)


def test_a_line_of_ten_megabytes_is_stored(bulk: World) -> None:
    """Large is not hostile."""
    bulk.server.put("Observation", "large", note=[{"text": "x" * 10_000_000}])
    assert (0, bulk.server.ids()) == (bulk.night().code, bulk.nights[-1].holds)


def test_an_endless_line_is_rejected_and_asked_for_by_its_id(bulk: World) -> None:
    """No line break for megabytes: its beginning is kept as a reject, and it is missed."""
    bulk.connection["longest_line_mb"] = 1
    bulk.server.put("Observation", "endless", note=[{"text": "x" * 3_000_000}])
    night = bulk.night()
    assert night.report is not None
    assert 1 == night.report.rejected
    assert (0, bulk.server.ids()) == (night.code, night.holds)  # the count told; it was searched


def test_malformed_lines_are_rejected_and_their_neighbours_stored(bulk: World) -> None:
    """Not JSON, no id, wrong type, Latin-1: each with its reason."""
    bad = [
        b"{broken",
        b'{"resourceType":"Condition"}',
        b'{"resourceType":"Patient","id":"x"}',
        '{"resourceType":"Condition","id":"ü","text":"Müller"}'.encode("latin-1"),
    ]
    file_is(bulk, "Condition", lambda body: Response(body + b"\n".join(bad)))
    manifest_is(bulk, lambda m: m["output"][1].update(count=16))
    night = bulk.night()
    assert night.report is not None
    assert 4 == night.report.rejected
    assert bulk.server.ids() == night.holds


def test_lines_sent_twice_are_one_row(bulk: World) -> None:
    """Some exports repeat rows, in the same file and in another; the newer wins."""
    file_is(bulk, "Condition", lambda body: Response(body + body))
    manifest_is(bulk, lambda m: m["output"][1].update(count=24))
    night = bulk.night()
    assert night.report is not None
    assert (0, 12, bulk.server.ids()) == (night.code, night.report.unchanged, night.holds)


@pytest.mark.parametrize("named", [True, False])
def test_a_packed_file_is_unpacked(bulk: World, named: bool) -> None:
    """With Content-Encoding, and as a bare .gz that says nothing."""
    headers = {"Content-Encoding": "gzip"} if named else {}
    file_is(bulk, "Condition", lambda body: Response(gzip.compress(body), headers=headers))
    assert (0, bulk.server.ids()) == (bulk.night().code, bulk.nights[-1].holds)


def test_a_packed_file_that_is_cut_off_is_due(bulk: World) -> None:
    """Half of the compressed bytes."""
    file_is(bulk, "Condition", lambda body: Response(gzip.compress(body)[:-20]))
    assert (20, {("*", "Condition")}) == (bulk.night().code, bulk.due())
    bulk.complete()


def test_the_status_page_tells_when_to_come_back(bulk: World) -> None:
    """202 with Retry-After, then the manifest."""
    again = Response(status=202, headers={"Retry-After": "17"})
    bulk.server.trap("/job/", lambda asked: again, times=3)
    assert (0, [17.0, 17.0, 17.0]) == (bulk.night().code, bulk.slept[:3])


def test_an_export_that_is_not_ready_in_time_is_asked_for_again(bulk: World) -> None:
    """The next night goes on polling the same job instead of starting another."""
    bulk.connection["deadline_hours"] = 1.0
    slept = bulk.slept
    from adapter.sync import sync

    bulk.server.trap("/job/", lambda asked: Response(status=202, headers={"Retry-After": "299"}))
    start = datetime.now(UTC).timestamp()
    with Store(bulk.store) as store:
        report = sync(
            store, bulk.settings(), bulk.codes, sleep=slept.append, now=lambda: start + sum(slept)
        )
    assert (20, 1) == (report.exit_code, len(bulk.server.asked("export")))
    bulk.complete()
    assert 1 == len(bulk.server.asked("export"))


def test_a_forgotten_export_is_started_again(bulk: World) -> None:
    """404 on the status page of a saved job."""
    bulk.server.trap("/job/", lambda asked: problem(404), times=1)
    assert (0, 2) == (bulk.night().code, len(bulk.server.asked("export")))


def test_a_status_page_that_flakes_is_asked_again(bulk: World) -> None:
    """500, 429, then the manifest."""
    bulk.server.trap("/job/", lambda asked: problem(500), times=1)
    bulk.server.trap("/job/", lambda asked: problem(429, Retry_After="3"), times=1)
    assert 0 == bulk.night().code


def test_a_refused_get_is_asked_as_post(bulk: World) -> None:
    """Some servers take the kick-off only as POST with Parameters."""
    bulk.server.trap("export", lambda a: problem(405) if a.method == "GET" else None)
    bulk.server.trap("export", _posted(bulk))
    assert (0, bulk.server.ids()) == (bulk.night().code, bulk.nights[-1].holds)


def _posted(world: World) -> Callable[[Asked], Response]:
    def answer(asked: Asked) -> Response:
        body = json.loads(asked.body)
        asked.params = [(p["name"], str(list(p.values())[-1])) for p in body["parameter"]]
        return world.server.honest(asked)

    return answer


def test_a_kick_off_without_a_place_is_said(bulk: World) -> None:
    """202 without Content-Location."""
    bulk.server.trap("export", lambda asked: Response(status=202))
    night = bulk.night()
    assert (20, True) == (night.code, "where the export will be" in night.says)


def test_a_status_page_on_another_host_is_not_asked(bulk: World) -> None:
    """Content-Location passes the gate like every other URL."""
    there = f"http://localhost:{bulk.stranger.port}/elsewhere/job"
    bulk.server.trap("export", lambda a: Response(status=202, headers={"Content-Location": there}))
    assert (20, []) == (bulk.night().code, bulk.stranger.log)
    bulk.complete()


def test_files_on_another_host_are_not_fetched(bulk: World) -> None:
    """Not with a token, and without https and permission not without one either."""
    there = f"http://localhost:{bulk.stranger.port}/files/Condition.ndjson"
    manifest_is(bulk, lambda m: m["output"][1].update(url=there))
    night = bulk.night()
    assert (20, []) == (night.code, bulk.stranger.log)
    assert "connection.bulk-hosts" in night.says
    manifest_is(bulk, lambda m: m.update(requiresAccessToken=False))
    assert (20, []) == (bulk.night().code, bulk.stranger.log)
    bulk.complete()


def test_an_allowed_host_without_https_is_not_asked(bulk: World) -> None:
    """The allow-list does not lift the demand for encryption."""
    bulk.connection["bulk_hosts"] = ("localhost", f"localhost:{bulk.stranger.port}")
    there = f"http://localhost:{bulk.stranger.port}/files/Condition.ndjson"

    def change(manifest: Row) -> None:
        manifest["requiresAccessToken"] = False
        manifest["output"][1]["url"] = there

    manifest_is(bulk, change)
    assert (20, []) == (bulk.night().code, bulk.stranger.log)


def test_a_file_that_redirects_to_a_stranger_is_not_followed(bulk: World) -> None:
    """307 to a file store that nobody allowed."""
    there = {"Location": f"http://localhost:{bulk.stranger.port}/store/x"}
    file_is(bulk, "Condition", lambda body: Response(status=307, headers=there))
    assert (20, []) == (bulk.night().code, bulk.stranger.log)
    bulk.complete()


def test_open_files_are_fetched_without_the_token(bulk: World) -> None:
    """requiresAccessToken false: the token stays at home, also towards our own host."""
    manifest_is(bulk, lambda m: m.update(requiresAccessToken=False))
    bulk.night()
    assert {None} == {a.headers.get("Authorization") for a in bulk.server.asked("/files/")}


def test_errors_of_the_export_keep_everything_due(bulk: World) -> None:
    """The server says that something could not be exported; the text is not repeated."""
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "exception", "diagnostics": "Planted-Family-Name"}],
    }
    url = f"{bulk.server.base}/files/1/errors.ndjson"
    manifest_is(bulk, lambda m: m.update(error=[{"type": "OperationOutcome", "url": url}]))
    bulk.server.trap("errors", lambda asked: Response(json.dumps(outcome)))
    night = bulk.night()
    assert (20, True) == (night.code, "reports 1 errors (exception)" in night.says)
    assert bulk.server.ids() == night.holds
    bulk.complete()


def test_warnings_of_the_export_do_not(bulk: World) -> None:
    """Informational outcomes stand in the error files, too."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "information"}]}
    url = f"{bulk.server.base}/files/1/errors.ndjson"
    manifest_is(bulk, lambda m: m.update(error=[{"type": "OperationOutcome", "url": url}]))
    bulk.server.trap("errors", lambda asked: Response(json.dumps(outcome)))
    assert 0 == bulk.night().code


def test_deleted_files_are_applied(bulk: World) -> None:
    """A transaction Bundle of DELETEs; one of them has come back and stays."""
    bulk.night()
    bulk.server.remove("Condition", "c1-0")
    bulk.server.put("Condition", "c1-1", tick=1000)
    entry = [{"request": {"method": "DELETE", "url": f"Condition/c1-{i}"}} for i in (0, 1)]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
    url = f"{bulk.server.base}/files/1/deleted.ndjson"
    manifest_is(bulk, lambda m: m.update(deleted=[{"type": "Bundle", "url": url, "count": 1}]))
    bulk.server.trap("deleted", lambda asked: Response(json.dumps(bundle)))
    night = bulk.night()
    assert (0, bulk.server.ids()) == (night.code, night.holds)


def test_a_manifest_in_pages_is_read_to_its_end(bulk: World) -> None:
    """link.next of Bulk Data 3; a page that leads to itself is noticed."""

    def paged(asked: Asked) -> Response | None:
        if asked.method == "DELETE":
            return None
        manifest = bulk.server.manifest("1")
        page = int(asked.get("page") or 0)
        manifest["output"] = manifest["output"][page : page + 1]
        if page < 2:
            url = f"{bulk.server.base}/job/1?page={page + 1}"
            manifest["link"] = [{"relation": "next", "url": url}]
        return as_json(manifest)

    bulk.server.trap("/job/", paged)
    assert (0, bulk.server.ids()) == (bulk.night().code, bulk.nights[-1].holds)


def test_manifest_pages_in_circles_are_noticed(bulk: World) -> None:
    """The next page is the first."""
    here = f"{bulk.server.base}/job/1"
    manifest_is(bulk, lambda m: m.update(link=[{"relation": "next", "url": here}]))
    night = bulk.night()
    assert (20, True) == (night.code, "in circles" in night.says)


def test_a_job_that_cannot_be_deleted_is_no_failure(bulk: World) -> None:
    """HAPI answers 404 to the DELETE of a finished job."""
    bulk.server.trap("/job/", lambda a: problem(404) if a.method == "DELETE" else None)
    assert 0 == bulk.night().code


def test_rows_missing_from_a_full_export_are_looked_for_before_burial(bulk: World) -> None:
    """An export that leaves out rows the server has deletes nothing."""
    bulk.night()
    with Store(bulk.store) as store, store.transaction():
        store.db.execute("UPDATE slice SET compared = 0")

    def fewer(body: bytes) -> Response:
        return Response(re.sub(rb'.*"c1-[01]".*\n', b"", body))

    file_is(bulk, "Condition", fewer)
    manifest_is(bulk, lambda m: m["output"][1].pop("count"))
    night = bulk.night()
    assert (20, bulk.server.ids()) == (night.code, night.holds)
    bulk.complete()


def test_a_new_patients_history_comes_by_search(bulk: World) -> None:
    """An export of changes does not hold it, and a full export for one patient is too much."""
    names = bulk.folder / "patients.txt"
    bulk.connection |= {"find": "patients", "patients": names}
    names.write_text("p1\np2\n")
    bulk.night()
    names.write_text("p1\np2\np3\n")
    night = bulk.night()
    assert (0, bulk.server.ids()) == (night.code, night.holds)
    assert bulk.server.asked("export")[-1].get("_since")


def test_a_merged_patients_history_comes_by_search(bulk: World) -> None:
    """The survivor is new to us."""
    names = bulk.folder / "patients.txt"
    bulk.connection |= {"find": "patients", "patients": names}
    names.write_text("p1\np2\n")
    bulk.night()
    link = [{"type": "replaced-by", "other": {"reference": "Patient/p3"}}]
    bulk.server.put("Patient", "p1", tick=1000, link=link)
    night = bulk.night()
    assert {"Condition/c3-0", "Observation/o3-3"} <= night.holds
    assert (0, True) == (night.code, "merged" in night.says)


def test_an_export_for_nobody_asks_for_nothing(bulk: World) -> None:
    """An empty list of patients."""
    names = bulk.folder / "patients.txt"
    bulk.connection |= {"find": "patients", "patients": names}
    names.write_text("")
    assert (0, []) == (bulk.night().code, bulk.server.asked("export"))


def test_a_file_that_names_no_url_has_a_key_all_the_same() -> None:
    """What cannot be a URL is refused by the gate, with a message, and not before."""
    assert "Observation http://[" == File("Observation", "http://[").key
