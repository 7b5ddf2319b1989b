"""Full FHIR validation of what counts, in report mode: a failure is a note, never a lost night."""

from functools import cache
from typing import Any

from pydantic import ValidationError

_MOST = 5  # a resource that is wrong throughout needs no longer list


@cache
def _model(type_: str) -> Any:
    from fhir.resources.R4B import get_fhir_model_class

    return get_fhir_model_class(type_)


def problems_of(type_: str, body: bytes) -> list[str]:
    """What is wrong with a resource by the FHIR R4 model: places and kinds, never values."""
    try:
        _model(type_).model_validate_json(body)
    except ValidationError as found:
        return [
            f"{type_}.{'.'.join(str(part) for part in error['loc'])}: {error['type']}"
            for error in found.errors(include_url=False, include_input=False, include_context=False)
        ][:_MOST]
    except (KeyError, LookupError, ValueError) as problem:
        return [f"{type_}: {type(problem).__name__}"]
    return []
