"""Resources are checked with the models of fhir.resources (R4B): every shape once, or all."""

from functools import cache
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from .dialects import Json


@cache
def _model(kind: str) -> Any:
    return get_fhir_model_class(kind)


def validate(resource: Json) -> None:
    """Raise pydantic's ValidationError when a resource is no valid FHIR."""
    _model(resource["resourceType"]).model_validate(resource)


class Shapes:
    """Validates one resource of every shape (same elements, same kinds of value)."""

    def __init__(self, every: bool = False) -> None:
        self.every = every
        self.seen: set[object] = set()

    def check(self, resource: Json) -> None:
        """Validate a resource, unless one of its shape was valid before."""
        if self.every:
            validate(resource)
            return
        shape = _shape(resource)
        if shape not in self.seen:
            validate(resource)
            self.seen.add(shape)


def _shape(value: Any) -> object:
    if isinstance(value, dict):
        return tuple((key, _shape(item)) for key, item in value.items() if key != "meta")
    if isinstance(value, list):
        return tuple(map(_shape, value))
    # The length tells partial dates from whole ones and dates from times.
    return len(value) if isinstance(value, str) and value[:2] in ("19", "20") else type(value)
