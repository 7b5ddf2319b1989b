"""What leaves the site: keyed pseudonyms, days instead of dates, capped ages, no free text.

A pseudonym is HMAC-SHA256 of the patient id under a 256-bit key that is generated on first use and
kept beside the store. Without the key nobody can test a guess ("is this record 4711?"), which a
plain hash would allow; with it the site itself can re-link. There is never a default key. The file
has one key a line, the newest first: older ones re-link what was exported under them.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from adapter.atomic import write_atomically
from adapter.errors import ConfigError

DateMode = Literal["days", "shift", "year", "identified"]
DATE_MODES: tuple[DateMode, ...] = get_args(DateMode)

#: Ages above this are one class (HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i)(C)).
OLDEST_AGE = 89
#: Dates are moved back by 1 to this many days, one constant per patient (convention).
LONGEST_SHIFT_DAYS = 365
_KEY_BYTES = 32
_REFERENCE = re.compile(
    r"\b(Patient|Procedure|Observation|Condition|Medication\w*|Encounter|DiagnosticReport)"
    r"/[A-Za-z0-9\-.]{1,64}"
)
_DATE = re.compile(
    r"\b(?:1[89]|2[01])\d{2}-\d{2}(?:-\d{2}(?:[T ][\d:.]+(?:Z|[+-]\d{2}:?\d{2})?)?)?"
)


class Pseudonyms:
    """One site's keys, newest first, and what is derived from them."""

    def __init__(self, *keys: bytes) -> None:
        if {len(key) for key in keys} != {_KEY_BYTES}:
            raise ConfigError(
                f"A pseudonym key does not have {_KEY_BYTES} bytes.",
                "Restore the key file from its backup.",
            )
        self._keys = keys

    @property
    def key_id(self) -> str:
        """Names the key without giving it away: pseudonyms agree when their key ids agree."""
        return self.key_ids[0]

    @property
    def key_ids(self) -> list[str]:
        """The names of this key and of those before it."""
        named = (hashlib.sha256(b"cart-nrm key id\0" + key).hexdigest() for key in self._keys)
        return [name[:12] for name in named]

    def _digest(self, purpose: str, patient: str, which: int = 0) -> bytes:
        return hmac.digest(self._keys[which], f"{purpose}\0{patient}".encode(), "sha256")

    def of(self, patient: str, which: int = 0) -> str:
        """The pseudonym of a patient: 64 bits, so two of a million agree once in 40 million."""
        return f"P-{self._digest('patient', patient, which).hex()[:16].upper()}"

    def ever(self, patient: str) -> list[str]:
        """What this patient is and was called, under every key."""
        return [self.of(patient, which) for which in range(len(self._keys))]

    def erasure_mark(self, patient: str) -> str:
        """By which an erased patient is known again without the id being kept. Under the first key
        there ever was: under a new one nobody could make the marks again.
        """
        return self._digest("erased", patient, -1).hex()

    def short(self, patients: Iterable[str]) -> dict[str, str]:
        """Pseudonyms cut to the shortest length (at least 6 digits) that keeps these apart."""
        full = {patient: self.of(patient) for patient in patients}
        for digits in range(6, 17):
            cut = {patient: name[: 2 + digits] for patient, name in full.items()}
            if len(set(cut.values())) == len(cut):
                return cut
        return full

    def shift_days(self, patient: str) -> int:
        """How many days this patient's dates move back, always the same: intervals stay true."""
        number = int.from_bytes(self._digest("shift", patient)[:8], "big")
        return 1 + number % LONGEST_SHIFT_DAYS


class Release(NamedTuple):
    """What may leave, and in which form; without `identified` a key is required."""

    pseudonyms: Pseudonyms | None = None
    dates: DateMode = "days"
    identified: bool = False
    small_cells: int = 5  # counts below this are not shown in aggregates (convention)
    columns: tuple[str, ...] = ()  # allow-list; empty means all

    def keys(self) -> Pseudonyms | None:
        """The key to hide patients with, None when identified; ConfigError when it is missing."""
        if self.identified:
            return None
        if self.pseudonyms is None:
            raise ConfigError(
                "A pseudonymous export needs the key of this store.",
                "Export from the store that holds the cohort, or use --identified.",
            )
        return self.pseudonyms

    def date(self, patient: str, iso: str | None) -> str | None:
        """A date as it may leave; None in mode `days`, where only days from infusion leave."""
        if iso is None or self.identified or self.dates == "identified":
            return iso
        if self.dates == "year":
            return iso[:4]
        if self.dates != "shift" or self.pseudonyms is None or len(iso) != len("2021-05-03"):
            return None  # a month or a range cannot be shifted without inventing a day
        moved = date.fromisoformat(iso) - timedelta(days=self.pseudonyms.shift_days(patient))
        return moved.isoformat()


def scrubbed(text: str) -> str:
    """Text without references to resources of the server and without calendar dates."""
    return _DATE.sub("[date]", _REFERENCE.sub(r"\1", text))


def pseudonyms_beside(store: Path, expected_id: str = "") -> Pseudonyms:
    """The key beside a store (`<store>.key`); made and saved, readable by its owner only, if new.

    `expected_id` is the key id the store was stamped with: if that key is missing or another one
    lies there, nothing is generated, because new pseudonyms would not match those already given.
    """
    path = store.with_name(store.name + ".key")
    if not path.exists():
        if expected_id:
            raise ConfigError(
                f"The pseudonym key {path} (id {expected_id}) is missing.",
                "Restore it from its backup: a new key would give every patient a new pseudonym.",
            )
        _save_new_key(path)
    found = Pseudonyms(*_read_keys(path))
    if expected_id and expected_id not in found.key_ids:  # an older one: a store put back
        raise ConfigError(
            f"{path} holds key {found.key_id}, but this store was exported with {expected_id}.",
            "Put the right key file beside the store.",
        )
    return found


def rotate(store: Path, expected_id: str = "") -> Pseudonyms:
    """A new key before those there are; ConfigError, and nothing new, when they are not right."""
    pseudonyms_beside(store, expected_id)
    path = store.with_name(store.name + ".key")
    _save_new_key(path, path.read_bytes())
    return pseudonyms_beside(store)


def _read_keys(path: Path) -> list[bytes]:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(
                f"The pseudonym key {path} can be read by others.",
                f"Find out who read it, then: chmod 600 {path}",
            )
        return [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError) as problem:
        raise ConfigError(
            f"The pseudonym key {path} cannot be read: {type(problem).__name__}.",
            "Restore the key file from its backup.",
        ) from None


def _save_new_key(path: Path, older: bytes = b"") -> None:
    """Saved and on the disk before the first pseudonym is given out."""
    key = secrets.token_bytes(_KEY_BYTES).hex().encode()
    try:
        write_atomically(path, key + b"\n" + older, fresh=not older)
    except OSError as problem:
        raise ConfigError(
            f"The pseudonym key {path} cannot be saved: {os.strerror(problem.errno or 0)}.",
            "Make the folder of the store writable; nothing was exported.",
        ) from None
