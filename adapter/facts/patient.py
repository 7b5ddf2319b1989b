"""Patient: sex, date of birth, and whether the master data call the person dead."""

from adapter.codes import Meaning
from adapter.facts.reading import Reading, Setting
from adapter.facts.shapes import Patient

_SEXES = ("male", "female", "other", "unknown")
_DECEASED = Meaning("death", "deceased_flag", "died", "deceased")
_ALIVE = Meaning("death", "alive", "alive", "not deceased")


def read(patient: Patient, into: Reading) -> None:
    """Death, sex and birth of one Patient resource."""
    into.sex = patient.gender if patient.gender in _SEXES else ""
    into.born = into.date(patient.birthDate)
    into.synthetic = patient.meta is not None and any(
        tag.code == "synthetic" for tag in patient.meta.tag
    )
    when = into.date(patient.deceasedDateTime)
    if patient.deceasedDateTime or patient.deceasedBoolean is not None:
        dead = patient.deceasedDateTime or patient.deceasedBoolean
        into.add(_DECEASED if dead else _ALIVE, Setting().on(when))
    if any(link.type == "replaced-by" for link in patient.link):
        into.note("merged", "This Patient was replaced by another.",
                  "Pull the surviving Patient; what is counted here may belong to it.")  # fmt: skip
