"""Planted identities and secrets appear in nothing that is not theirs to appear in.

Names, record numbers, addresses, phones, dates of birth, ids, tokens and URLs with secrets are put
into resources, error texts, URLs and headers. Every command then runs with all logging switched on,
in good nights and bad ones, and every artefact found afterwards is searched, packed ones unpacked.
"""

import base64
import io
import json
import logging
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer

from cli import main
from examples.synthetic import StudyShape, generate
from tests.builders import condition, encounter, observation, patient, procedure, report
from tests.nightly.test_tell import mailbox
from tests.nightly.ward import AXI, Resource, Ward, about, relapse

TOKEN, HOOK, PASSWORD = "tok-Canary-5be1c0de", "hook-Canary-77aa01", "pw-Canary-90210"
SECRETS = (TOKEN, HOOK, PASSWORD)
BIRTHS = ("1951-07-13", "1949-02-27")
PEOPLE = ("Canaryfamily", "Canarygiven", "MRN-7781-4455", "Canarystrasse", "+49-555-7781", *BIRTHS,
          "canary@example.org", "Canarydiagnostics", "Canarynarrative")  # fmt: skip
IDS = ("canary-4711-id", "canary-4712-id")
DAYS = ("2025-06-01", "2025-06-21", "2025-06-18", "2025-08-30")  # infusion, death, sepsis, relapse
#: Local commands for the people of the site; their answer may name ids and days.
LOCAL = {"classify", "explain", "diff", "purge"}


def person(born: str, **more: str) -> Resource:
    """Somebody whose every identifier is a canary."""
    return patient(
        birthDate=born,
        name=[{"family": "Canaryfamily", "given": ["Canarygiven"], "text": "Canarygiven C."}],
        identifier=[{"system": "urn:mrn", "value": "MRN-7781-4455"}],
        address=[{"line": ["12 Canarystrasse"]}],
        telecom=[{"value": "+49-555-7781"}, {"value": "canary@example.org"}],
        text={"status": "generated", "div": "<div>Canarynarrative</div>"},
        **more,
    )


def said(words: str) -> dict[str, Any]:
    """A note in free text."""
    return {"note": [{"text": words}]}


def plant(hospital: Ward) -> None:
    """Two recipients, one dead, with canaries in free text, displays, notes and odd resources."""
    note = said("Canaryfamily asked for Canarynarrative")
    lymphoma = condition("cm|C83.38", on="2025-01-15", text="Canaryfamily's lymphoma", **note)
    course = procedure(AXI, on="2025-06-01", **note)
    odd = observation("loinc|not-a-code", on="Canarydiagnostics", valueString="Canaryfamily")
    local = condition("local|7", on="2025-06-10", text="Canaryfamily 1951-07-13")
    local["code"]["coding"][0]["display"] = "Canaryfamily MRN-7781-4455"
    sick = [condition("cm|A41.9", on="2025-06-18", text="Canaryfamily"), report("11502-2")]
    alive = [person(BIRTHS[0]), lymphoma, course, relapse(), odd, local, encounter("2025-09-09")]
    dead = [person(BIRTHS[1], died="2025-06-21"), lymphoma, course, *sick]
    hospital.put(*about(IDS[0], *alive), *about(IDS[1], *dead))


class Witness(logging.Handler):
    """Hears every log record of every library."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "werkzeug":  # the webhook's own server, which is part of the test
            self.heard.append(self.format(record))


@pytest.fixture
def witness() -> Iterator[Witness]:
    """All logging at its lowest level."""
    root, found = logging.getLogger(), Witness()
    before = root.level
    root.addHandler(found)
    root.setLevel(logging.NOTSET)
    yield found
    root.removeHandler(found)
    root.setLevel(before)


class Site:
    """One site's folder and everything that was ever run or said there."""

    def __init__(self, folder: Path, base: str, hook: str, mail: int) -> None:
        self.folder, self.config = folder, folder / "study.toml"
        self.said: list[tuple[str, str, str]] = []  # command, where, text
        self.ran: set[str] = set()
        (folder / "secrets").mkdir()
        (folder / "secrets" / "hook").write_text(hook)
        (folder / "secrets" / "password").write_text(PASSWORD)
        (folder / "secrets" / "token").write_text(TOKEN)
        self.configure(base, mail)

    def configure(self, base: str, mail: int) -> None:
        self.config.write_text(f"""
store = "cart.db"
server = "{base}"
[auth]
kind = "bearer"
secret-file = "secrets/token"
[connection]
retries = 0
longest-wait-seconds = 0.1
[nightly]
free-mb = 0
formats = ["csv", "xlsx", "fhir.json", "ndjson", "summary.json", "redcap.csv"]
heartbeat = "beat.json"
metrics = "night.prom"
webhook-file = "secrets/hook"
tell = "always"
[nightly.mail]
to = ["data@example.org"]
server = "127.0.0.1"
port = {mail}
security = "none"
""")

    def run(self, *command: str, settings: bool = True) -> Result:
        options = [*command, "--config", str(self.config)] if settings else [*command]
        result = CliRunner().invoke(main, options)
        depth = 2 if isinstance(main.commands.get(command[0]), click.Group) else 1
        self.ran.add(" ".join(command[:depth]))
        self.said += [(command[0], "stdout", result.stdout), (command[0], "stderr", result.stderr)]
        assert not isinstance(result.exception, Exception), result.exception
        return result


def forms(canary: str) -> set[bytes]:
    """As it stands, quoted for a URL, and in base64 whatever its position."""
    raw = canary.encode()
    packed = {base64.b64encode(b"x" * n + raw)[4:-4] for n in range(3)}
    return {raw, quote(canary, safe="").encode(), *(one for one in packed if len(one) > 8)}


def unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file, and what is inside where it is an archive."""
    content = path.read_bytes()
    yield str(path), content
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from ((f"{path}!{name}", archive.read(name)) for name in archive.namelist())


def every_command(site: Site, folder: Path) -> None:
    """All commands, in the order of a day's work."""
    out = folder / "out"
    out.mkdir()
    site.run("plan")
    site.run("check", "--validate")
    assert 0 == site.run("sync").exit_code
    assert 0 == site.run("nightly").exit_code
    site.run("classify", "--json")
    site.run("classify")
    for name in IDS:
        site.run("explain", name)
    site.run("explain", "nobody-Canaryfamily")
    for ending in ("csv", "json", "ndjson", "xlsx", "fhir.json", "redcap.csv", "summary.json"):
        assert 0 == site.run("export", str(out / f"cohort.{ending}")).exit_code
    site.run("report", str(out / "report.html"), "--figures", str(out / "figures"))
    site.run("review", "export", str(out / "review"), "--which", "all")
    worklists = sorted(str(path) for path in (out / "review").glob("*.csv"))
    assert 0 == site.run("review", "import", *worklists[:1]).exit_code
    site.run("review", "agreement")
    site.run("status", "--json")
    for_codes(site, out)
    site.run("diff", "1", "2")
    assert 0 == site.run("rotate-key").exit_code
    site.run("incidence", str(out / "cohort.csv"), "--time", "time_days", settings=False)
    site.run("pool", str(out / "cohort.summary.json"), settings=False)
    site.run("cases", str(out))


def for_codes(site: Site, out: Path) -> None:
    """The commands about what codes mean; a terminology server is a stranger to our login."""
    site.run("mappings", "coverage")
    assert 0 == site.run("mappings", "lint").exit_code
    assert 0 == site.run("mappings", "explain", "http://loinc.org|97509-4").exit_code
    exported = site.run("mappings", "export", "cart_product")
    assert 0 == exported.exit_code
    (out / "set.json").write_text(exported.stdout)
    site.run("mappings", "import", str(out / "set.json"), "--signed", "A", "--dated", "2026-01-01",
             "--concept", "cart_product")  # fmt: skip
    site.run("mappings", "expand", "--terminology-server", "http://127.0.0.1:9/r4",
             "--site-mappings", str(out))  # fmt: skip


def all_commands(group: click.Group, before: str = "") -> Iterator[str]:
    """Every command of the command line, with the group it stands in."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{before}{name} ")
        else:
            yield before + name


def bad_days(site: Site, hospital: Ward, folder: Path, mail: int) -> None:
    """Refused types, broken files, a wrong server, a fault, a damaged store: errors talk most."""
    hospital.refused, hospital.says = {"Encounter"}, "Canarydiagnostics of Canaryfamily"
    assert 20 == site.run("nightly").exit_code
    hospital.refused = {"Patient", "Procedure", "MedicationAdministration"}
    site.run("sync")
    site.run("check")
    hospital.refused = set()
    broken = folder / "secrets" / "MRN-7781-4455.ndjson"
    broken.write_text('{"resourceType": "Patient", "id": "Canaryfamily/x"}\n{"Canarygiven": \n'
                      '{"resourceType": "Canarydiagnostics", "id": "1"}\n')  # fmt: skip
    with broken.open("a") as file:
        file.write(json.dumps({"resourceType": "Condition", "id": "c9", "code": "Canaryfamily"}))
    site.run("load", str(folder / "secrets"))
    for name in (*IDS, "synthetic-0001", "synthetic-0002"):
        hospital.delete("Procedure", f"{name}-proc2")
    alarm = site.run("nightly")
    assert 21 == alarm.exit_code, alarm.output
    assert 20 == site.run("purge", IDS[1], "--yes").exit_code
    site.configure("http://127.0.0.1:9/fhir", mail)
    assert 14 == site.run("nightly").exit_code
    assert 13 == site.run("sync", "--store", str(folder / "other.db")).exit_code
    with (folder / "other.db").open("r+b") as store:
        store.write(b"\xff" * 9_000)
    site.run("status", "--store", str(folder / "other.db"))


def test_no_canary_sings(
    tmp_path: Path,
    hospital: Ward,
    httpserver: HTTPServer,
    witness: Witness,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not one byte in logs, stderr, journal, metrics, mail, hooks, reports or exports."""
    httpserver.expect_request(f"/{HOOK}").respond_with_data("ok")
    monkeypatch.setattr("adapter.report.chromium.installed", lambda: None)  # slow; draws the same
    plant(hospital)
    with mailbox() as (mail, letters):
        site = Site(tmp_path, hospital.base, httpserver.url_for(f"/{HOOK}"), mail)
        every_command(site, tmp_path)
        bad_days(site, hospital, tmp_path, mail)
    assert {*all_commands(main)} - {"demo"} == site.ran  # a new command must be run here too
    posted = [request.get_data() for request, _ in httpserver.log]
    assert letters
    assert posted
    heard = [(f"log line {n}", line.encode()) for n, line in enumerate(witness.heard)]
    heard += [(f"mail {n}", letter.encode()) for n, letter in enumerate(letters)]
    heard += [(f"webhook {n}", body) for n, body in enumerate(posted)]
    heard += [(f"{command} {where}", text.encode()) for command, where, text in site.said
              if where == "stderr" or command not in LOCAL]  # fmt: skip
    identified = [(f"{c} {w}", t.encode()) for c, w, t in site.said if c in LOCAL and w == "stdout"]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and _may_be_read(path)]
    assert len(files) > 40
    heard += [piece for path in files for piece in unpacked(path)]
    secrets = (*SECRETS, *(tmp_path / "cart.db.key").read_text().split())
    found = _found(heard, (*secrets, *PEOPLE, *IDS, *DAYS))
    found += _found(identified, (*secrets, *PEOPLE))
    assert "" == "\n".join(f"{canary} in {place}" for place, canary in found)


def test_the_demo_names_none_of_its_synthetic_people(tmp_path: Path, witness: Witness) -> None:
    """The one command that takes no data of ours: its own identities stay in its store."""
    shape, folder = StudyShape(patients=24, recipients=16, seed=5), tmp_path / "demo"
    options = ["--patients", "24", "--recipients", "16", "--seed", "5"]
    result = CliRunner().invoke(main, ["demo", str(folder), *options])
    assert 0 == result.exit_code, result.output
    key = (folder / "cart-nrm.db.key").read_text().strip()
    people = (key, *identities(resource for _, resource in generate(shape)))
    assert len(people) > 4 * 16
    files = [path for path in folder.rglob("*") if not path.name.startswith("cart-nrm.db")]
    assert {"DEMO.txt", "cohort.csv", "cohort.csv.manifest.json", "report.html"} == {
        path.name for path in files
    }
    heard = [(f"log line {n}", line.encode()) for n, line in enumerate(witness.heard)]
    heard += [("stdout", result.stdout.encode()), ("stderr", result.stderr.encode())]
    found = _found([*heard, *(piece for path in files for piece in unpacked(path))], people)
    assert "" == "\n".join(f"{canary} in {place}" for place, canary in found)


def identities(resources: Iterable[Resource]) -> set[str]:
    """Ids, names, record numbers, birth dates, addresses and phones of everybody."""
    found = set[str]()
    for one in resources:
        if one["resourceType"] == "Patient":
            found |= {one["id"], one["birthDate"]}
            parts = [one.get("name", []), one.get("address", []), one.get("telecom", [])]
            found |= {str(name["family"]) for name in parts[0]}
            found |= {line for address in parts[1] for line in address.get("line", [])}
            found |= {str(way["value"]) for way in (*parts[2], *one.get("identifier", []))}
    return found


def _may_be_read(path: Path) -> bool:
    """The store, its key and the secrets are the places where canaries belong."""
    return not (path.name.startswith(("cart.db", "other.db")) or "secrets" in path.parts)


def _found(places: list[tuple[str, bytes]], canaries: tuple[str, ...]) -> list[tuple[str, str]]:
    return sorted({
        (place, canary)
        for canary in canaries for form in forms(canary)
        for place, content in places if form in content
    })  # fmt: skip


def test_the_search_would_find_one(tmp_path: Path) -> None:
    """A canary in a packed file, in a URL or in base64 is found; the search is no formality."""
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", "<c>Canaryfamily</c>")
    packed = base64.b64encode(b'{"n": "canary@example.org"}')
    places = [*unpacked(tmp_path / "book.xlsx"), ("log", b"GET /?t=%2B49-555-7781"), ("b", packed)]
    assert [
        ("b", "canary@example.org"),
        (f"{tmp_path}/book.xlsx!sheet.xml", "Canaryfamily"),
        ("log", "+49-555-7781"),
    ] == sorted(_found(places, PEOPLE), key=lambda one: one[0].split("/")[-1])
