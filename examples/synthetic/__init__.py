"""A synthetic hospital with CAR T recipients: FHIR R4 and, apart from it, the truth."""

from .background import background
from .shape import StudyShape
from .study import Study, generate, retell
from .truth import TruthRow

__all__ = ["Study", "StudyShape", "TruthRow", "background", "generate", "retell"]
