"""Tables as FHIR ValueSet and ConceptMap, and such resources as overlay rows.

A ValueSet says which codes belong to one subconcept; a ConceptMap says it of many at once.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from adapter.codes.lookup import Codes
from adapter.codes.systems import system_of
from adapter.codes.tables import OVERLAY_HEADER, Row, catalog, overlay_row, wording_of
from adapter.errors import MappingError

#: The code system of our own names, `concept/subconcept`, in exported ConceptMaps.
OURS = "urn:cart-nrm:subconcepts"
#: Equivalences (of the target to the source) under which a source code means its target too.
_CARRIES_OVER = frozenset({"relatedto", "equivalent", "equal", "wider", "subsumes"})

Json = dict[str, Any]
Cells = dict[str, str]


class Imported(msgspec.Struct, frozen=True):
    """Overlay rows made from a FHIR resource, and what could not be taken over."""

    rows: tuple[Cells, ...]
    left_out: tuple[str, ...] = ()


def value_set(codes: Codes, concept: str, subconcept: str = "") -> Json:
    """One concept, or one of its subconcepts, as a FHIR R4 ValueSet."""
    rows = [r for r in codes.rows if r.concept == concept and subconcept in ("", r.subconcept)]
    name = " ".join(filter(None, (concept, subconcept)))
    if not rows:
        raise MappingError(f"There are no rows of {name}.")
    struck = [row for row in codes.rows if concept in catalog()[row.concept].excludes]
    compose = {"include": _includes(rows)} | ({"exclude": _includes(struck)} if struck else {})
    about = {"title": name, "description": catalog()[concept].definition}
    return _draft("ValueSet", name, codes, {**about, "compose": compose})


def _includes(rows: list[Row]) -> list[Json]:
    """Exact codes as lists; prefixes and descendants as one filter each, for filters are ANDed."""
    whole: dict[str, list[Cells]] = defaultdict(list)
    filtered: list[Json] = []
    for row in rows:
        if row.match == "exact":
            shown = {"display": row.display} if row.display else {}
            whole[row.system].append({"code": row.code, **shown})
        else:
            filtered.append({"system": row.system, "filter": [_filter(row.code, row.match)]})
    return [{"system": system, "concept": some} for system, some in whole.items()] + filtered


def _filter(code: str, match: str) -> Json:
    if match == "descendants":
        return {"property": "concept", "op": "is-a", "value": code}
    return {"property": "code", "op": "regex", "value": re.escape(code) + ".*"}


def concept_map(codes: Codes, concept: str) -> Json:
    """One concept as a FHIR R4 ConceptMap from codes to `concept/subconcept`."""
    groups: dict[str, list[Json]] = defaultdict(list)
    for row in codes.rows:
        if row.concept == concept:
            target = {
                "code": f"{concept}/{row.subconcept}",
                "display": wording_of(concept, row.subconcept, row.code).label,
                "equivalence": "wider",
                "comment": row.match,
            }
            groups[row.system].append({"code": row.code, "target": [target]})
    if not groups:
        raise MappingError(f"There are no rows of {concept}.")
    group = [{"source": s, "target": OURS, "element": every} for s, every in groups.items()]
    return _draft("ConceptMap", concept, codes, {"group": group})


def _draft(kind: str, name: str, codes: Codes, content: Json) -> Json:
    concept, *_ = name.split()
    head = {
        "resourceType": kind,
        "url": f"urn:cart-nrm:{kind.lower()}:{name.replace(' ', ':')}",
        "version": f"{catalog()[concept].version}+{codes.digest}",
        "status": "draft",
    }
    return _checked({**head, **content})


def overlay_from(
    resource: Json, codes: Codes, *, signed: str, dated: str,
    concept: str = "", subconcept: str = "",
) -> Imported:  # fmt: skip
    """Overlay rows that say what a ValueSet (of one subconcept) or a ConceptMap says.

    A ConceptMap may map to `concept/subconcept` of ours, or to a standard code: then the local
    code gets whatever the standard one means here.
    """
    body, left_out = _checked(resource), list[str]()
    stamp = {"action": "add", "signed": signed, "dated": dated}
    if body["resourceType"] == "ConceptMap":
        said = _mapped(body, codes, left_out)
    elif concept and subconcept:
        stamp |= {"concept": concept, "subconcept": subconcept}
        said = _members(body)
    else:
        raise MappingError("A ValueSet needs the concept and subconcept it stands for.")
    try:
        return Imported(tuple(stamp | cells for cells in said), tuple(left_out))
    except (AttributeError, KeyError, TypeError):  # optional or null in FHIR, needed here
        what = f"The {body['resourceType']} lacks what a list of codes needs."
        raise MappingError(what, "Each code must come with its system.") from None


def _members(body: Json) -> Iterator[Cells]:
    compose = body.get("compose", {})
    if body.get("expansion"):
        yield from _expanded(body["expansion"].get("contains", []))
        return
    if compose.get("exclude"):
        raise MappingError("The ValueSet excludes codes.", "Expand it, then import the expansion.")
    for include in compose.get("include", []):
        system, rules = include.get("system", ""), include.get("filter", [])
        listed = include.get("concept") or len(rules) == 1
        if not system or include.get("valueSet") or not listed:
            raise MappingError("The ValueSet refers to others.", "Import its expansion instead.")
        yield from (_exact(system, one) for one in include.get("concept", []))
        yield from ({"system": system, **_filtered(rule)} for rule in rules)


def _expanded(contains: list[Json]) -> Iterator[Cells]:
    for one in contains:
        if one.get("code") and not one.get("abstract"):
            yield _exact(one["system"], one)
        yield from _expanded(one.get("contains", []))


def _exact(system: str, one: Json) -> Cells:
    display = one.get("display", "")
    return {"system": system, "code": one["code"], "match": "exact", "display": display}


def _filtered(rule: Json) -> Cells:
    code = str(rule["value"])
    bare = re.sub(r"\\(.)", r"\1", code.removesuffix(".*"))
    for cells in ({"code": code, "match": "descendants"}, {"code": bare, "match": "prefix"}):
        if _filter(**cells).items() <= rule.items():
            return cells
    raise MappingError(f"The filter {rule['property']} {rule['op']} cannot be taken over.")


def _mapped(body: Json, codes: Codes, left_out: list[str]) -> Iterator[Cells]:
    for group in body.get("group", []):
        source, goal = group.get("source", ""), group.get("target", "")
        for element in group["element"]:
            for target in element.get("target", []):
                names = _names(goal, target, codes)
                if target["equivalence"] not in _CARRIES_OVER or not names:
                    left_out.append(f"{source}|{element.get('code')}: {target['equivalence']}")
                    continue
                match = target.get("comment", "") if goal == OURS else ""
                cells = {"system": source, "code": element["code"], "match": match or "exact"}
                yield from (cells | {"concept": c, "subconcept": s} for c, s in names)


def _names(goal: str, target: Json, codes: Codes) -> list[tuple[str, str]]:
    code = str(target.get("code", ""))
    if goal == OURS:
        concept, _, subconcept = code.partition("/")
        return [(concept, subconcept)]
    return [(m.concept, m.subconcept) for m in codes.lookup(system_of(goal), code)]


def _checked(body: Json) -> Json:
    """The same body once fhir.resources finds it a valid R4 ValueSet or ConceptMap."""
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    kind = body.get("resourceType") if isinstance(body, dict) else None
    if kind not in ("ValueSet", "ConceptMap"):
        raise MappingError(f"A {kind!r} cannot be used.", "Give a ValueSet or a ConceptMap.")
    try:
        get_fhir_model_class(kind).model_validate(body)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise MappingError(f"The {kind} is not valid FHIR: {place}: {first['msg']}.") from None
    return body


def overlay_csv(rows: tuple[Cells, ...]) -> str:
    """Overlay rows as the text of a CSV file that a site's folder may hold."""
    return "\n".join([",".join(OVERLAY_HEADER), *(overlay_row(**row) for row in rows), ""])
