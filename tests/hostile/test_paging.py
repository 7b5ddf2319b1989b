"""Pages that fail, end too early, go in circles or move: never taken for the end."""

from datetime import timedelta

from werkzeug import Response

from tests.hostile.conftest import NAME, World
from tests.hostile.little import Asked, as_json, problem


def second_page(asked: Asked) -> bool:
    """Is this the page behind the first?"""
    return bool(asked.get("_offset")) and not asked.counting


def test_an_error_500_on_page_two_keeps_the_slice_due(world: World) -> None:
    """The first page is kept, the type is not called done."""
    world.server.trap("/Condition", lambda a: problem(500) if second_page(a) else None)
    night = world.night()
    assert (20, {("*", "Condition")}) == (night.code, world.due())
    assert "Condition search: The server answered 500" in night.says
    assert 5 == len({one for one in night.holds if one.startswith("Condition")})
    world.complete()


def test_an_error_500_that_passes_is_asked_again(world: World) -> None:
    """Once is nothing."""
    world.server.trap("/Condition", lambda a: problem(500) if second_page(a) else None, times=2)
    assert (0, world.server.ids()) == (world.night().code, world.nights[-1].holds)
    assert 2 <= len(world.slept)


def test_an_expired_search_is_begun_again_from_the_last_instant(world: World) -> None:
    """410 on a next link: the server has forgotten the search."""
    world.server.trap("/Condition", lambda a: problem(410) if second_page(a) else None, times=1)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_a_next_link_answered_404_is_begun_again(world: World) -> None:
    """Some servers answer their own long links with 404."""
    world.server.trap("/Condition", lambda a: problem(404) if second_page(a) else None)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_a_next_link_answered_400_is_begun_again(world: World) -> None:
    """Some servers do not understand their own links."""
    world.server.trap("/Condition", lambda a: problem(400) if second_page(a) else None)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_a_cut_off_page_is_not_the_end(world: World) -> None:
    """Half a bundle, with a length that fits."""

    def half(asked: Asked) -> Response | None:
        if not second_page(asked):
            return None
        whole = world.server.honest(asked).get_data()
        return Response(whole[: len(whole) // 2], content_type="application/fhir+json")

    world.server.trap("/Condition", half)
    night = world.night()
    assert (20, {("*", "Condition")}) == (night.code, world.due())
    assert "cut off" in night.says
    world.complete()


def test_a_connection_that_ends_early_is_asked_again(world: World) -> None:
    """Content-Length promises more than comes."""

    def short(asked: Asked) -> Response | None:
        if not second_page(asked):
            return None
        whole = world.server.honest(asked).get_data()
        return Response(whole[:50], headers={"Content-Length": str(len(whole))})

    world.server.trap("/Condition", short, times=1)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_a_self_looping_next_link_stops_loudly(world: World) -> None:
    """The next page is this page."""

    def loop(asked: Asked) -> Response | None:
        if asked.counting:
            return None
        bundle = world.server.bundle("Condition", asked)
        bundle["link"] = [{"relation": "next", "url": f"{world.server.base}/Condition?x=1"}]
        return as_json(bundle)

    world.server.trap("/Condition", loop)
    night = world.night()
    assert (20, True) == (night.code, "go in circles" in night.says)
    world.complete()


def test_no_next_link_though_the_total_is_larger(world: World) -> None:
    """A server that stops at a limit without saying so: asked on from the last instant."""
    world.server.links = False
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_no_next_link_and_no_total(world: World) -> None:
    """A full page without link and total is not believed to be all."""
    world.server.links = world.server.total = False
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_one_instant_with_more_rows_than_a_page_and_no_links(world: World) -> None:
    """A bulk load gives all rows one instant: the page is made larger."""
    for number in range(23):
        world.server.put("Condition", f"tie{number}", tick=0)
    world.server.links = False
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_no_way_past_one_instant_is_said(world: World) -> None:
    """Larger pages are refused too: the slice is due, nothing is called complete."""
    for number in range(23):
        world.server.put("Condition", f"tie{number}", tick=0)
    world.server.links, world.server.page_limit = False, 5
    night = world.night()
    assert (20, {("*", "Condition")}) == (night.code, world.due())
    assert "there must be more" in night.says
    world.server.page_limit = 1000
    world.complete()


def test_a_total_that_no_walk_reaches_is_said(world: World) -> None:
    """The server counts rows that it does not give."""

    def more(asked: Asked) -> Response:
        bundle = world.server.bundle("Condition", asked)
        bundle["total"] = 99
        return as_json(bundle)

    world.server.trap("/Condition", more)
    night = world.night()
    assert (20, {("*", "Condition")}) == (night.code, world.due())
    world.complete()


def test_a_row_hidden_from_the_list_is_noticed_by_the_count(world: World) -> None:
    """A page leaves out a row without a word; the count tells, and the row is fetched."""

    def hide(asked: Asked) -> Response | None:
        if asked.counting or asked.get("_elements") or asked.get("_id"):
            return None
        bundle = world.server.bundle("Condition", asked)
        bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["id"] != "c1-0"]
        bundle.pop("total")
        return as_json(bundle)

    world.server.trap("/Condition", hide)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_rows_sent_twice_are_one(world: World) -> None:
    """Every row comes twice on its page."""

    def twice(asked: Asked) -> Response | None:
        if asked.counting:
            return None
        bundle = world.server.bundle("Condition", asked)
        bundle["entry"] += bundle["entry"]
        return as_json(bundle)

    world.server.trap("/Condition", twice)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_a_server_that_does_not_sort(world: World) -> None:
    """Newest first, whatever we asked: next links are followed, nothing is restarted."""

    def reversed_(asked: Asked) -> Response | None:
        if asked.counting:
            return None
        bundle = world.server.bundle("Condition", asked)
        bundle["entry"].reverse()
        return as_json(bundle)

    world.server.trap("/Condition", reversed_)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_a_next_link_longer_than_2_kb_is_posted(world: World) -> None:
    """Long links give 404 behind many proxies."""

    def long_(asked: Asked) -> Response | None:
        if len(asked.url) > 2000:
            return problem(404)
        if asked.counting or asked.get("_offset"):
            return None
        bundle = world.server.bundle("Condition", asked)
        query = f"_offset=5&_count=5&_sort=_lastUpdated&filler={'x' * 3000}"
        bundle["link"] = [{"relation": "next", "url": f"{world.server.base}/Condition?{query}"}]
        return as_json(bundle)

    world.server.trap("/Condition", long_)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)
    assert any(a.method == "POST" and a.get("filler") for a in world.server.log)


def test_a_deleted_row_does_not_hide_another_behind_the_offset(world: World) -> None:
    """A row vanishes between two pages: all later rows shift by one, and one is stepped over."""
    world.connection["parallel"] = 1

    def vanish(asked: Asked) -> None:
        if second_page(asked) and ("Condition", "c1-0") in world.server.rows:
            world.server.remove("Condition", "c1-0")

    world.server.trap("/Condition", vanish)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_an_updated_row_does_not_hide_another_behind_the_offset(world: World) -> None:
    """A row changes between two pages and goes to the end; the others move up."""
    world.connection["parallel"] = 1
    changed: list[object] = []

    def change(asked: Asked) -> None:
        if second_page(asked) and not changed:
            changed.append(world.server.put("Condition", "c1-0", note="new"))

    world.server.trap("/Condition", change)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)
    assert 0 == world.night().code


def test_an_operation_outcome_inside_a_bundle_is_a_message(world: World) -> None:
    """It is neither a resource nor a reason to stop, and its text is not repeated."""

    def with_message(asked: Asked) -> Response:
        bundle = world.server.bundle("Condition", asked)
        outcome = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "warning", "code": "processing", "diagnostics": NAME}],
        }
        bundle.setdefault("entry", []).append({"resource": outcome, "search": {"mode": "outcome"}})
        return as_json(bundle)

    world.server.trap("/Condition", with_message)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)
    assert "the server says processing" in night.says


def test_zero_rows_for_a_search_that_was_not_understood_is_a_failure(world: World) -> None:
    """An unknown parameter answered with an empty bundle once passed as "no labs"."""

    def empty(asked: Asked) -> Response:
        issue = [{"severity": "warning", "code": "not-supported"}]
        outcome = {"resourceType": "OperationOutcome", "issue": issue}
        entry = [{"resource": outcome, "search": {"mode": "outcome"}}]
        return as_json({"resourceType": "Bundle", "total": 0, "entry": entry})

    world.server.trap("/Observation", empty)
    night = world.night()
    assert (20, {("*", "Observation")}) == (night.code, world.due())
    assert "did not understand" in night.says
    world.complete()


def test_an_answer_that_is_no_bundle_is_not_an_empty_one(world: World) -> None:
    """A log-in page with status 200."""
    page = Response("<html>please log in</html>", content_type="text/html")
    world.server.trap("/Condition", lambda asked: page)
    night = world.night()
    assert (20, {("*", "Condition")}) == (night.code, world.due())
    world.complete()


def test_entries_without_id_are_rejected_and_counted(world: World) -> None:
    """The neighbours are stored; the reject is kept with its place."""
    nameless = {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}}

    def with_nameless(asked: Asked) -> Response | None:
        if asked.counting or asked.get("_offset"):
            return None
        bundle = world.server.bundle("Condition", asked)
        bundle["entry"].append({"resource": nameless})
        return as_json(bundle)

    world.server.trap("/Condition", with_nameless)
    night = world.night()
    assert night.report is not None
    assert (0, 1) == (night.code, night.report.rejected)
    assert world.server.ids() == night.holds


def test_a_row_that_is_only_a_part_is_not_stored(world: World) -> None:
    """A server that always shortens marks its rows SUBSETTED: stored they would lose data."""

    def shortened(asked: Asked) -> Response | None:
        if asked.counting:
            return None
        bundle = world.server.bundle("Condition", asked)
        for entry in bundle["entry"]:
            tag = [{"code": "SUBSETTED"}]
            entry["resource"] = {**entry["resource"], "meta": {"tag": tag}}
        return as_json(bundle)

    world.server.trap("/Condition", shortened)
    night = world.night()
    assert night.report is not None
    assert not {one for one in night.holds if one.startswith("Condition")}
    assert 20 == night.code
    world.complete()


def test_a_server_that_stops_early_and_does_not_sort_is_asked_by_period(world: World) -> None:
    """Twelve rows, at most five ever, newest first: halves of time until each is small enough."""
    hours = timedelta(hours=20)
    for number in range(12):
        world.server.clock -= hours
        world.server.put("Condition", f"old{number}")

    def capped(asked: Asked) -> Response | None:
        if asked.counting:
            return None
        bundle = world.server.bundle("Condition", asked)
        bundle["entry"] = [{"resource": r} for r in world.server.matching("Condition", asked)[::-1]]
        bundle["entry"] = bundle["entry"][:5]
        if asked.get("_elements"):
            return as_json(bundle)
        bundle.pop("link", None)
        return as_json(bundle)

    world.server.links = False
    world.server.trap("/Condition", capped)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_rows_that_name_no_patient_are_counted(world: World) -> None:
    """A reference by identifier only: stored, said, and nobody's."""
    by_name = {"identifier": {"value": "planted-number"}}
    world.server.put("Condition", "whose", subject=by_name)
    night = world.night()
    assert (0, True) == (night.code, "1 rows name no patient" in night.says)


def test_a_server_that_does_not_say_what_it_searches_by(world: World) -> None:
    """No search parameters in the statement, and 400 to _lastUpdated: asked for in full."""
    resource = [{"type": kind} for kind in world.server.types]
    statement = {
        "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1",
        "rest": [{"resource": resource}],
    }  # fmt: skip
    world.server.trap("/metadata", lambda asked: as_json(statement))

    def strict(asked: Asked) -> Response | None:
        names = {name for name, _ in asked.params}
        return problem(400, "not-supported") if names & {"_lastUpdated", "_sort"} else None

    world.server.trap("/fhir/", strict)
    first = world.night()
    world.server.put("Condition", "new")
    second = world.night()
    assert (0, 0, world.server.ids()) == (first.code, second.code, second.holds)
    assert "not searched by _lastUpdated" in second.says
