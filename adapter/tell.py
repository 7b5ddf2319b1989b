"""Telling people how a night went: metrics, heartbeat, webhook and mail, with counts only.

None of it can make a night fail: what cannot be told is written into the journal.
"""

import json
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import msgspec
import requests

from adapter.atomic import write_atomically
from adapter.config import Mail, Nightly, secret
from adapter.dates import seconds_of
from adapter.errors import CartNrmError, LockedError

_WAIT_SECONDS = 20.0
_STATES = ("complete", "partial", "alarm", "failed")


class Night(msgspec.Struct):
    """One night: how it ended and its counts; nothing in it is about one patient.

    `last_complete` is when the source was last read to its end, by a night or by a `sync`;
    `last_good` is the folder of the complete night before this one, "" when there was none.
    """

    number: int = 0
    run: int = 0
    state: str = "failed"
    exit_code: int = 1
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    folder: str = ""
    problem: str = ""
    todo: str = ""
    last_complete: str | None = None
    last_good: str = ""
    slices_due: int = 0
    due: list[str] = []
    sync: dict[str, int] = {}
    recipients: int = 0
    episodes: int = 0
    outcomes: dict[str, int] = {}
    deaths_to_review: int = 0
    resources: dict[str, int] = {}
    changes: dict[str, int] = {}
    store_bytes: int = 0

    @property
    def last_good_night(self) -> str:
        """The folder of the newest complete night, this one or one before it; "" for none."""
        return self.folder if self.state == "complete" else self.last_good

    @property
    def sentence(self) -> str:
        """The subject of a message."""
        if not self.number:
            return f"cart-nrm night did not begin (exit {self.exit_code})"
        return f"cart-nrm night {self.number}: {self.state}" + (
            f" (exit {self.exit_code})" if self.exit_code else ""
        )


def tell(night: Night, settings: Nightly, journal: Callable[..., object]) -> None:
    """All the ways that are set; each failure is journaled and the next way is tried."""
    ways: list[tuple[str, Callable[[], object]]] = []
    mine = night.exit_code != LockedError.exit_code  # that files grow old is the alarm then
    if mine and (metrics := settings.metrics):
        page = metrics_of(night).encode()
        # Read by another account, that of node_exporter; counts only.
        ways.append(("metrics", lambda: write_atomically(metrics, page, mode=0o644)))
    if mine and (heartbeat := settings.heartbeat):
        beat = {"ended": night.ended, "state": night.state, "exit_code": night.exit_code}
        ways.append(("heartbeat", lambda: write_atomically(heartbeat, json.dumps(beat).encode())))
    if night.exit_code or settings.tell == "always":
        if settings.webhook_file or settings.webhook_env:
            ways.append(("webhook", lambda: _post(night, settings)))
        if settings.mail.to:
            ways.append(("mail", lambda: _send(night, settings.mail)))
    for name, way in ways:
        try:
            way()
        except (OSError, CartNrmError, smtplib.SMTPException, requests.RequestException,
                ValueError) as problem:  # fmt: skip
            journal("could_not_tell", way=name, why=type(problem).__name__)


def _post(night: Night, settings: Nightly) -> None:
    """`text` is what chat rooms show; the rest is for programs."""
    url = secret(settings.webhook_file, settings.webhook_env)
    with requests.Session() as session:
        session.trust_env = False
        body = {"text": in_words(night), **msgspec.to_builtins(night)}
        answer = session.post(url, json=body, timeout=_WAIT_SECONDS, allow_redirects=False)
        if answer.status_code >= 300:
            raise ValueError("refused")


def _send(night: Night, mail: Mail) -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = night.sentence, mail.sender
    message["To"] = ", ".join(mail.to)
    message.set_content(in_words(night))
    context = ssl.create_default_context()
    kind = smtplib.SMTP_SSL if mail.security == "tls" else smtplib.SMTP
    extra: dict[str, Any] = {"context": context} if mail.security == "tls" else {}
    with kind(mail.server, mail.port, timeout=_WAIT_SECONDS, **extra) as server:
        if mail.security == "starttls":
            server.starttls(context=context)
        if mail.user:
            server.login(mail.user, secret(mail.password_file, mail.password_env))
        server.send_message(message)


def in_words(night: Night) -> str:
    """The night for people: what happened, what to do, the counts; only the first two if locked."""
    if night.exit_code == LockedError.exit_code:
        return "\n".join((night.sentence, night.problem, night.todo))
    run = f", run {night.run}" * bool(night.run)
    rows = [f"{night.sentence}{run}, {night.seconds:.0f} s"]
    rows += [text for text in (night.problem, night.todo) if text]
    rows += [f"due: {due}" for due in night.due]
    known = "" if night.folder else "as last known: "
    rows.append(f"{known}recipients {night.recipients:,}, episodes {night.episodes:,}, "
                f"deaths to review {night.deaths_to_review:,}")  # fmt: skip
    rows += [f"{kind}: {count:,}" for kind, count in sorted(night.changes.items())]
    rows.append(f"last complete night: {night.last_good_night or 'none yet'}")
    if night.folder:
        rows.append(f"outputs: {night.folder}")
    return "\n".join(rows)


#: Name, meaning, label ("" for a single sample), and the value or the values by label.
GAUGES: tuple[tuple[str, str, str, Callable[[Night], Any]], ...] = (
    ("night_end_timestamp_seconds", "When the last night ended.", "",
     lambda n: seconds_of(n.ended)),
    ("last_complete_timestamp_seconds", "When the source was last read to its end.", "",
     lambda n: seconds_of(n.last_complete or "")),
    ("night_duration_seconds", "How long the last night took.", "", lambda n: n.seconds),
    ("night_exit_code", "0 complete, 20 partial, 21 alarm, else failed.", "",
     lambda n: n.exit_code),
    ("night_state", "1 for the state the last night ended in.", "state",
     lambda n: {state: int(state == n.state) for state in _STATES}),
    ("slices_due", "Parts of the source still to be read.", "", lambda n: n.slices_due),
    ("recipients", "CAR T recipients.", "", lambda n: n.recipients),
    ("episodes", "CAR T episodes.", "", lambda n: n.episodes),
    ("outcomes", "Episodes by first event.", "outcome", lambda n: n.outcomes),
    ("deaths_to_review", "Deaths that wait for a person.", "", lambda n: n.deaths_to_review),
    ("resources", "Resources held.", "type", lambda n: n.resources),
    ("changes", "Changes since the night before.", "kind", lambda n: n.changes),
    ("store_bytes", "Size of the store.", "", lambda n: n.store_bytes),
)  # fmt: skip


def metrics_of(night: Night) -> str:
    """The night as OpenMetrics text, which node_exporter's textfile collector reads too."""
    lines = []
    for name, about, label, of in GAUGES:
        lines += [f"# TYPE cart_nrm_{name} gauge", f"# HELP cart_nrm_{name} {about}"]
        found = of(night)
        for key, value in sorted(found.items() if label else [("", found)]):
            if value is not None:
                where = f'{{{label}="{key}"}}' if label else ""
                lines.append(f"cart_nrm_{name}{where} {value}")
    return "\n".join([*lines, "# EOF\n"])
