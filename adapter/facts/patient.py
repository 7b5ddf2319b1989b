"""Patient: sex, date of birth, and whether the master data call the person dead."""

import msgspec

from adapter.codes import Meaning
from adapter.facts import shapes
from adapter.facts.reading import Match, Reading, Setting
from adapter.store import Stored

_decoder = msgspec.json.Decoder(shapes.Patient)
_SEXES = ("male", "female", "other", "unknown")
_DECEASED = Match(Meaning("death", "deceased_flag", "died", "deceased"), "")
_ALIVE = Match(Meaning("death", "alive", "alive", "not deceased"), "")


def read(stored: Stored, into: Reading) -> None:
    """Death, sex and birth of one Patient resource."""
    patient = into.decode(stored, _decoder)
    if patient is None:
        return
    source = f"Patient/{stored.id}"
    into.sex = patient.gender if patient.gender in _SEXES else ""
    into.born = into.date(patient.birthDate, source)
    into.synthetic = patient.meta is not None and any(
        tag.code == "synthetic" for tag in patient.meta.tag
    )
    _death(patient, source, into)
    if any(link.type == "replaced-by" for link in patient.link):
        into.note(
            "merged", source, "This Patient was replaced by another.",
            "Pull the surviving Patient; what is counted here may belong to it.",
        )  # fmt: skip


def _death(patient: shapes.Patient, source: str, into: Reading) -> None:
    when = into.date(patient.deceasedDateTime, source)
    if when is not None:
        into.add(_DECEASED, Setting(source, when))
    elif patient.deceasedDateTime or patient.deceasedBoolean:
        into.add(_DECEASED, Setting(source, traits=frozenset({"no_time"})))
    elif patient.deceasedBoolean is False:
        into.add(_ALIVE, Setting(source, traits=frozenset({"no_time"})))
