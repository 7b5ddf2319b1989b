"""Is a resource valid FHIR R4? Asked in report mode: a failure is a note, never a lost night.

Validation costs a hundred times what reading does, so only the resources that carry a row of the
cohort pass here, or all of them when somebody asks (`check --validate`).
"""

from collections.abc import Iterator
from typing import Any

from adapter.store import Store

_WORDS = {
    "missing": "is missing",
    "model_field_validation.missing": "is missing",
    "extra_forbidden": "is no element of FHIR R4",
    "value_error": "has a value that FHIR R4 does not allow",
}


def problems_of(type_: str, body: bytes) -> list[str]:
    """What is wrong with a resource by the R4B models of fhir.resources; [] when it is valid.

    Names of elements and nothing else: no value of the resource is repeated, because it may name
    a person.
    """
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    try:
        get_fhir_model_class(type_).model_validate_json(body)
    except ValidationError as invalid:
        errors = invalid.errors(include_input=False, include_url=False, include_context=False)
        return sorted({_sentence(type_, error) for error in errors})
    except LookupError:
        return [f"{type_[:64]} is no resource type of FHIR R4."]
    except (ValueError, TypeError, AssertionError, RecursionError) as problem:
        # a validator of the library itself gave up: its message may quote the value
        return [f"{type_} cannot be validated ({type(problem).__name__})."]
    return []


def _sentence(type_: str, error: Any) -> str:
    """Observation.component[0].code is missing; a field unknown to the standard is not named."""
    where = list(error["loc"])
    if error["type"] == "extra_forbidden":
        where[-1:] = ["(unknown field)"]
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in where]
    place = type_ + "".join(step for step in steps if step not in (".root", ".__root__"))
    return f"{place} {_WORDS.get(error['type'], 'is not of the type FHIR R4 says')}."


def validity_of(store: Store) -> Iterator[tuple[str, str]]:
    """(resource, problem) of everything in the store that is not valid FHIR R4."""
    for record in store.records():
        for found in record.resources:
            for problem in problems_of(found.type, found.body):
                yield f"{found.type}/{found.id}", problem
