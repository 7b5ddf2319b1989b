"""How a night is told: metrics, heartbeat, webhook, mail, status; counts only, never fatal."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pytest_httpserver import HTTPServer

from adapter.config import Mail, Settings
from adapter.nightly import run_night
from adapter.tell import Night, metrics_of
from cli import main
from tests.nightly.ward import Ward, outcome, recipient, settings


class _Mailbox(socketserver.StreamRequestHandler):
    """As little SMTP as smtplib needs to hand over a message."""

    got: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 synthetic\r\n")
        while line := self.rfile.readline().decode().strip():
            if line.upper() == "DATA":
                self.wfile.write(b"354 go on\r\n")
                body = []
                while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    body.append(text)
                self.got.append("\n".join(body))
            self.wfile.write(b"221 bye\r\n" if line.upper() == "QUIT" else b"250 ok\r\n")


@contextmanager
def mailbox() -> Iterator[tuple[int, list[str]]]:
    """A mail server on loopback; gives its port and what it got."""
    got: list[str] = []
    handler = type("Mailbox", (_Mailbox,), {"got": got})
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1], got
        finally:
            server.shutdown()
            thread.join()


def test_metrics_are_open_metrics(chosen: Settings, tmp_path: Path) -> None:
    """One TYPE and HELP before the samples of each name, EOF at the end, readable by others."""
    run_night(chosen)
    file = tmp_path / "night.prom"
    assert 0o644 == file.stat().st_mode & 0o777
    lines = file.read_text().splitlines()
    assert "# EOF" == lines[-1]
    assert "cart_nrm_night_exit_code 0" in lines
    assert 'cart_nrm_outcomes{outcome="nrm"} 1' in lines
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(set(typed)) == len(typed)
    for line in lines:
        assert line.startswith("#") or line.split("{")[0].split()[0] in typed
        float(line.split()[-1]) if not line.startswith("#") else None


def test_metrics_of_a_night_that_never_began() -> None:
    """Nothing known yet: no sample is invented."""
    assert "last_complete_timestamp_seconds \n" not in metrics_of(Night())


def test_a_webhook_gets_counts(tmp_path: Path, hospital: Ward, httpserver: HTTPServer) -> None:
    """The URL is a secret in a file; the body holds text for people and counts for programs."""
    httpserver.expect_request("/hook").respond_with_data("ok")
    (tmp_path / "hook").write_text(httpserver.url_for("/hook"))
    run_night(settings(tmp_path, hospital.base, webhook_file=tmp_path / "hook", tell="always"))
    body = httpserver.log[0][0].get_json()
    assert "cart-nrm night 1: complete" in body["text"]
    assert 2 == body["recipients"]


def test_good_nights_are_quiet_unless_asked(
    tmp_path: Path, hospital: Ward, httpserver: HTTPServer
) -> None:
    """By default only problems are told."""
    httpserver.expect_request("/hook").respond_with_data("ok")
    (tmp_path / "hook").write_text(httpserver.url_for("/hook"))
    chosen = settings(tmp_path, hospital.base, webhook_file=tmp_path / "hook")
    run_night(chosen)
    assert [] == httpserver.log
    hospital.refused = {"Encounter"}
    run_night(chosen)
    assert "partial (exit 20)" in httpserver.log[0][0].get_json()["text"]


def test_mail_gets_counts(tmp_path: Path, hospital: Ward) -> None:
    """Subject and text say how the night was."""
    with mailbox() as (port, got):
        mail = Mail(to=("data@example.org",), server="127.0.0.1", port=port, security="none")
        run_night(settings(tmp_path, hospital.base, mail=mail, tell="always"))
    assert "Subject: cart-nrm night 1: complete" in got[0]
    assert "recipients 2" in got[0]


@pytest.mark.parametrize("way", ["webhook", "mail", "metrics"])
def test_what_cannot_be_told_is_journaled(tmp_path: Path, hospital: Ward, way: str) -> None:
    """A hook that fails never fails the night, and the others still work."""
    (tmp_path / "hook").write_text("http://127.0.0.1:9/secret-token")
    ways: dict[str, dict[str, Any]] = {
        "webhook": {"webhook_file": tmp_path / "hook"},
        "mail": {"mail": Mail(to=("a@example.org",), server="127.0.0.1", port=9)},
        "metrics": {"metrics": tmp_path / "no such folder" / "x.prom"},
    }
    chosen = settings(tmp_path, hospital.base, tell="always", **ways[way])
    assert ("complete", 0) == outcome(run_night(chosen))
    journal = (chosen.nightly.folder / "journal.jsonl").read_text()
    told = [json.loads(line) for line in journal.splitlines()]
    assert [way] == [event["way"] for event in told if event["event"] == "could_not_tell"]
    assert "secret-token" not in journal
    assert (tmp_path / "beat.json").exists()


def test_the_command_says_the_night_as_json(tmp_path: Path, hospital: Ward) -> None:
    """`nightly --json` on stdout, one JSON line an event on stderr, the exit code of the night."""
    config = tmp_path / "study.toml"
    config.write_text(f'store = "cart.db"\nserver = "{hospital.base}"\n[nightly]\nfree-mb = 0\n')
    result = CliRunner().invoke(main, ["nightly", "--config", str(config), "--json"])
    assert 0 == result.exit_code, result.output
    assert "complete" == json.loads(result.stdout)["state"]
    events = [json.loads(line)["event"] for line in result.stderr.splitlines()]
    assert ["started", "synced", "classified", "written", "published", "ended"] == events
    status = CliRunner().invoke(main, ["status", "--config", str(config), "--json"])
    answer = json.loads(status.stdout)
    assert 2 == answer["recipients"]
    assert "complete" == answer["last_night"]["state"]
    assert None not in answer["complete_by_type"].values()


def test_status_tells_alarm_night_and_completeness(
    chosen: Settings, hospital: Ward, tmp_path: Path
) -> None:
    """People read what programs read; a `load` after an alarm does not answer it."""
    run_night(chosen)
    for name in ("synthetic-0001", "synthetic-0002"):
        hospital.delete("Procedure", f"{name}-proc2")
    run_night(chosen)
    (tmp_path / "more.ndjson").write_text(json.dumps(recipient("synthetic-0009")[0]))
    for words in (["load", str(tmp_path / "more.ndjson")], ["status"]):
        result = CliRunner().invoke(main, [*words, "--store", str(chosen.store)])
        assert 0 == result.exit_code, result.output
    assert "ALARM: " in result.stdout
    assert "last night: 2, alarm (exit 21), 20" in result.stdout
    read = [line for line in result.stdout.splitlines() if line.startswith("  20")]
    assert "Procedure" in read[0]


def test_status_does_not_classify_again(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a night, `status` takes the counts that the night kept."""
    run_night(chosen)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("classified again")

    monkeypatch.setattr("adapter.status.run_study", never)
    result = CliRunner().invoke(main, ["status", "--store", str(chosen.store), "--json"])
    assert 2 == json.loads(result.stdout)["recipients"]
