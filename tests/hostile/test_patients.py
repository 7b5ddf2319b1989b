"""Servers that misunderstand who is meant, patients who merge, and rows that vanish in a mass."""

import pytest
from werkzeug import Response

from tests.hostile.conftest import World
from tests.hostile.little import Asked, as_json, problem

CART = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/ICD10", "code": "XW033H7"}]}
OTHER = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/ICD10", "code": "XW033L7"}]}


@pytest.fixture
def recipients(world: World) -> World:
    """p1 and p2 had an infusion, p3 had another cell therapy."""
    world.connection |= {"find": "auto", "types": ("Patient", "Procedure", "Condition")}
    world.server.types = ("Patient", "Procedure", "Condition")
    world.server.rows = {k: row for k, row in world.server.rows.items() if k[0] != "Observation"}
    for patient, code in (("p1", CART), ("p2", CART), ("p3", OTHER)):
        world.server.put("Procedure", f"x{patient}", patient, code=code)
        world.server.put("Condition", f"d{patient}", patient, code={"coding": [{"code": "C83.3"}]})
    for row in world.server.rows.values():
        row.setdefault("code", {"coding": [{"code": "none"}]})
    return world


def held_patients(world: World) -> set[str]:
    """Patients of whom the store holds anything."""
    from adapter.store import Store

    with Store(world.store) as store:
        return {record.patient for record in store.records()}


def test_recipients_are_found_and_nobody_else_is_pulled(recipients: World) -> None:
    """Another cell therapy does not count, and its patient's rows stay where they are."""
    night = recipients.night()
    assert (0, {"p1", "p2"}) == (night.code, held_patients(recipients))


def test_a_new_recipient_is_pulled_with_the_whole_history(recipients: World) -> None:
    """The rows are older than the last sync; only the infusion is new."""
    recipients.night()
    recipients.server.put("Procedure", "new", "p3", code=CART)
    night = recipients.night()
    assert (0, {"p1", "p2", "p3"}) == (night.code, held_patients(recipients))
    assert {"Condition/c3-0", "Condition/dp3"} <= night.holds


def test_a_server_that_ignores_the_code_brings_no_stranger(recipients: World) -> None:
    """What comes back is looked at again, code by code."""
    recipients.server.ignored.add("code")
    assert (0, {"p1", "p2"}) == (recipients.night().code, held_patients(recipients))


def test_a_recipient_in_a_row_of_odd_shape_is_found(recipients: World) -> None:
    """An odd field hides nobody; who cannot be ruled out is pulled."""
    recipients.server.put("Procedure", "xp3", "p3", code=CART, medicationCodeableConcept="odd")
    assert (0, {"p1", "p2", "p3"}) == (recipients.night().code, held_patients(recipients))


def test_a_server_that_ignores_the_patient_brings_no_stranger(recipients: World) -> None:
    """Rows of patients that were not asked for are not stored."""
    recipients.server.ignored.add("patient")
    recipients.night()
    assert held_patients(recipients) <= {"p1", "p2"}


def test_a_server_that_reads_only_the_first_patient_loses_nothing(recipients: World) -> None:
    """`patient=a,b` gives the rows of a: noticed before anything rests on it."""

    def first_only(asked: Asked) -> Response | None:
        asked.params = [
            (name, value.split(",")[0] if name == "patient" else value)
            for name, value in asked.params
        ]
        return None

    recipients.server.trap("/", first_only)
    night = recipients.night()
    assert (0, {"p1", "p2"}) == (night.code, held_patients(recipients))
    assert {"Condition/dp1", "Condition/dp2"} <= night.holds


def test_a_server_that_wants_the_type_before_the_id(recipients: World) -> None:
    """`patient=p1` gives nothing at all, `patient=Patient/p1` gives the rows."""

    def typed_only(asked: Asked) -> Response | None:
        if asked.get("patient") and not asked.get("patient").startswith("Patient/"):
            return as_json({"resourceType": "Bundle", "total": 0})
        return None

    recipients.server.trap("/", typed_only)
    night = recipients.night()
    assert (0, {"p1", "p2"}) == (night.code, held_patients(recipients))
    assert {"Condition/dp1", "Condition/dp2"} <= night.holds


def test_a_server_that_shows_no_rows_by_patient_is_not_believed(recipients: World) -> None:
    """It found them by code: no rows at all cannot be true."""

    def nothing(asked: Asked) -> Response | None:
        if asked.get("patient"):
            return as_json({"resourceType": "Bundle", "total": 0})
        return None

    recipients.server.trap("/", nothing)
    night = recipients.night()
    assert (13, True) == (night.code, "shows no row" in night.says)
    recipients.server.heal()
    assert (0, {"p1", "p2"}) == (recipients.night().code, held_patients(recipients))


def test_a_list_of_ids_of_which_only_the_first_is_read(recipients: World) -> None:
    """Patient?_id=p1,p2 gives p1: the other is asked for alone, and lists are not used again."""

    def first_only(asked: Asked) -> Response | None:
        asked.params = [
            (name, value.split(",")[0] if name == "_id" else value) for name, value in asked.params
        ]
        return None

    recipients.server.trap("/", first_only)
    first, second = recipients.night(), recipients.night()
    assert {"Patient/p1", "Patient/p2"} <= first.holds
    assert (20, 0) == (first.code, second.code)


def test_a_question_about_many_patients_that_is_refused_is_asked_for_each(
    recipients: World,
) -> None:
    """Only one patient at a time is allowed for conditions."""

    def one_only(asked: Asked) -> Response | None:
        return problem(400, "too-costly") if "," in asked.get("patient") else None

    from adapter.store import Store

    with Store(recipients.store) as store:
        store.set_meta("patient_style", '{"typed":false,"batch":50}')
    recipients.server.trap("/Condition", one_only)
    night = recipients.night()
    assert {"Condition/dp1", "Condition/dp2"} <= night.holds


def test_a_merged_patient_brings_the_history_of_the_survivor(recipients: World) -> None:
    """p1 is replaced by p3, whose rows keep their old instants."""
    recipients.night()
    link = [{"type": "replaced-by", "other": {"reference": "Patient/p3"}}]
    recipients.server.put("Patient", "p1", link=link)
    for name in ("xp1", "dp1"):
        kind = "Procedure" if name[0] == "x" else "Condition"
        row = recipients.server.rows[kind, name]
        row["subject"] = {"reference": "Patient/p3"}
    night = recipients.night()
    assert "p3" in held_patients(recipients)
    assert {"Condition/c3-0", "Procedure/xp1"} <= night.holds
    assert "merged" in night.says


def test_a_patient_who_left_the_list_is_let_go(recipients: World) -> None:
    """Gone with the reason, kept in the versions."""
    names = recipients.folder / "patients.txt"
    recipients.connection |= {"find": "patients", "patients": names}
    names.write_text("\n".join(["p1", "p2", "p3"]))
    recipients.night()
    names.write_text("\n".join(["p1", "p2"]))
    night = recipients.night()
    assert (0, {"p1", "p2"}) == (night.code, held_patients(recipients))


def test_a_group_gives_the_patients(recipients: World) -> None:
    """Members marked inactive are left out."""
    recipients.connection |= {"find": "group", "group": "g"}
    member = [
        {"entity": {"reference": "Patient/p1"}},
        {"entity": {"reference": "Patient/p3"}, "inactive": True},
    ]
    recipients.server.put("Group", "g", member=member)
    assert (0, {"p1"}) == (recipients.night().code, held_patients(recipients))


def test_an_empty_group_is_not_believed(recipients: World) -> None:
    """A group without members would let everybody go."""
    recipients.connection |= {"find": "group", "group": "g"}
    recipients.server.put("Group", "g", member=[])
    assert 13 == recipients.night().code


def test_a_missing_patient_resource_is_said(recipients: World) -> None:
    """A row refers to a patient that the server does not show."""
    recipients.server.put("Procedure", "xp9", "p9", code=CART)
    night = recipients.night()
    assert (0, True) == (night.code, "no Patient resource" in night.says)


# -- vanishing -----------------------------------------------------------------------------------


def test_a_deleted_row_is_buried_with_its_reason(world: World) -> None:
    """Found by count, confirmed by id, kept as a version."""
    world.night()
    world.server.remove("Condition", "c1-0")
    night = world.night()
    assert night.report is not None
    assert (0, 1, world.server.ids()) == (night.code, night.report.deleted, night.holds)
    from adapter.store import Store

    with Store(world.store) as store:
        reasons = store.db.execute("SELECT gone FROM version WHERE gone IS NOT NULL").fetchall()
    assert [("deleted on the server",)] == reasons


def test_one_deleted_and_one_new_row_are_both_noticed(world: World) -> None:
    """The count stays the same on the server."""
    world.night()
    world.server.remove("Condition", "c1-0")
    world.server.put("Condition", "new")
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_a_type_that_went_to_zero_pulls_the_brake(world: World) -> None:
    """Nothing is buried, the alarm names the type, and a person may say that it is right."""
    before = world.night().holds
    for kind, id_ in list(world.server.rows):
        if kind == "Observation":
            world.server.remove(kind, id_)
    night = world.night()
    assert (21, before) == (night.code, night.holds)
    assert "Observation: 12 of 12 vanished" in night.says
    assert 21 == world.night().code
    accepted = world.night(accept_vanished=True)
    assert (0, world.server.ids()) == (accepted.code, accepted.holds)


def test_a_mass_deletion_pulls_the_brake(world: World) -> None:
    """Half of a type gone in one night."""
    world.server.people(patients=10)
    before = world.night().holds
    for number in range(1, 6):
        for i in range(4):
            world.server.remove("Condition", f"c{number}-{i}")
    night = world.night()
    assert (21, before) == (night.code, night.holds)
    assert [] == [one for one in world.due() if one[1] != "Condition"]


def test_a_list_that_leaves_out_rows_deletes_nothing(world: World) -> None:
    """The ids are asked for one by one before anything is buried."""
    world.night()

    def fewer(asked: Asked) -> Response | None:
        if asked.get("_id"):
            return None
        bundle = world.server.bundle("Condition", asked)
        bundle["total"] -= 2
        if "entry" in bundle:
            bundle["entry"] = [
                entry
                for entry in bundle["entry"]
                if entry["resource"]["id"] not in ("c1-0", "c1-1")
            ]
        return as_json(bundle)

    world.server.trap("/Condition", fewer)
    night = world.night()
    assert (20, world.server.ids()) == (night.code, night.holds)
    assert "leaves out rows" in night.says
    world.complete()


def test_equal_instants_with_other_content_are_stored(world: World) -> None:
    """A server with whole seconds changes a row twice in one of them."""
    world.night()
    row = world.server.put("Condition", "c1-0", note="first")
    world.night()
    instant = row["meta"]["lastUpdated"]
    world.server.put("Condition", "c1-0", note="second")["meta"]["lastUpdated"] = instant
    night = world.night()
    assert night.report is not None
    assert (0, 1) == (night.code, night.report.stored)


def test_instants_are_compared_as_moments(world: World) -> None:
    """The same moment written with another offset is no change."""
    world.night()
    for row in world.server.rows.values():
        row["meta"]["lastUpdated"] = row["meta"]["lastUpdated"].replace("Z", "+00:00")
    night = world.night()
    assert night.report is not None
    assert (0, 0) == (night.code, night.report.received)


def test_a_store_of_another_server_is_refused(world: World) -> None:
    """One patient id could mean two people."""
    world.night()
    from adapter.store import Store

    with Store(world.store) as store:
        store.set_meta("server", "https://other.example/fhir")
    assert 14 == world.night().code


def test_a_second_sync_transfers_nothing(world: World) -> None:
    """Not one whole resource, also right after everything changed."""
    from datetime import UTC, datetime, timedelta

    world.server.clock = datetime.now(UTC) - timedelta(minutes=2)
    world.server.people(patients=5)
    world.night()
    night = world.night()
    assert night.report is not None
    assert (0, 0, 0) == (night.report.received, night.report.stored, night.report.deleted)


def test_an_id_that_is_only_listed_is_not_called_complete(world: World) -> None:
    """The count and the list know a row that no question brings."""
    world.night()
    world.server.put("Condition", "ghost")

    def without_ghost(asked: Asked) -> Response | None:
        if asked.counting or asked.get("_elements"):
            return None
        return problem(500)

    world.server.trap("/Condition", without_ghost)
    night = world.night()
    assert (20, {("*", "Condition")}) == (night.code, world.due())
    world.complete()


def test_rows_that_could_not_be_asked_for_are_not_buried(world: World) -> None:
    """The list lacks a row, and the question for it fails: due, not deleted."""
    world.night()
    hidden = world.server.rows.pop(("Condition", "c1-0"))
    world.server.trap("/Condition", lambda a: problem(500) if a.get("_id") else None)
    night = world.night()
    assert (20, True) == (night.code, "Condition/c1-0" in night.holds)
    world.server.rows["Condition", "c1-0"] = hidden
    world.complete()


def test_a_type_that_is_no_longer_offered_is_due(world: World) -> None:
    """It vanished from the capability statement; we hold rows of it."""
    world.night()
    world.server.types = ("Patient", "Condition")
    night = world.night()
    assert (20, True) == (night.code, "no longer offers it" in night.says)
    assert {one for one in night.holds if one.startswith("Observation")}
    world.server.types = ("Patient", "Condition", "Observation")
    world.complete()


def test_a_changed_code_list_searches_the_whole_past(recipients: World) -> None:
    """Another product counts from today on: its old infusions are found."""
    recipients.night()
    from adapter.codes import load_codes

    site = recipients.folder / "site"
    site.mkdir()
    (site / "ours.csv").write_text(
        "action,concept,subconcept,system,code,match,display,signed,dated\n"
        "add,cart_infusion,cart_infusion_generic_FY2018_2021,urn:ours,LOCAL-1,exact,,us,2026-01-01\n"
    )
    local = {"coding": [{"system": "urn:ours", "code": "LOCAL-1"}]}
    old = recipients.server.put("Procedure", "xp3", "p3", code=local)
    old["meta"]["lastUpdated"] = "2020-01-01T00:00:00.000Z"
    recipients.codes = load_codes(site)
    recipients.night()
    assert {"p1", "p2", "p3"} == held_patients(recipients)


def test_rows_that_came_from_a_file_are_not_called_deleted(world: World) -> None:
    """A death register was loaded into the same store; the server never had it."""
    from adapter.envelope import Envelope
    from adapter.store import Store

    body = b'{"resourceType":"Observation","id":"register-1","subject":{"reference":"Patient/p1"}}'
    with Store(world.store) as store:
        run = store.begin("load", "files")
        with store.transaction():
            store.add(run, [Envelope("Observation", "register-1", "p1", "", body)])
        store.end(run, "complete", {})
    for _ in range(2):
        night = world.night()
        assert (0, world.server.ids() | {"Observation/register-1"}) == (night.code, night.holds)
    world.server.remove("Observation", "o1-1")
    night = world.night()
    assert (0, world.server.ids() | {"Observation/register-1"}) == (night.code, night.holds)


def test_the_plan_counts_the_patients_of_a_list(recipients: World) -> None:
    """Before anything is pulled, and without a row being sent."""
    from adapter.sync import plan

    names = recipients.folder / "patients.txt"
    names.write_text("p1\np2\n")
    recipients.connection |= {"find": "patients", "patients": names}
    lines = {line.what: line.expected for line in plan(recipients.settings(), recipients.codes)}
    assert {
        "Patient of patients": 2,
        "Procedure of patients": 2,
        "Condition of patients": 10,
    } == lines
