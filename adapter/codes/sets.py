"""Tables as FHIR ValueSet and ConceptMap, and such resources as overlay rows.

A ValueSet says which codes belong to one subconcept; a ConceptMap says it of many at once.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from adapter.codes.lookup import Codes
from adapter.codes.systems import system_of
from adapter.codes.tables import OVERLAY_HEADER, Row, catalog, wording_of
from adapter.errors import MappingError

#: The code system of our own names, `concept/subconcept`, in exported ConceptMaps.
OURS = "urn:cart-nrm:subconcepts"
#: Equivalences (of the target to the source) under which a source code means its target too.
_CARRIES_OVER = frozenset({"relatedto", "equivalent", "equal", "wider", "subsumes"})

Cells = dict[str, str]


class Imported(msgspec.Struct, frozen=True):
    """Overlay rows made from a FHIR resource, and what could not be taken over."""

    rows: tuple[Cells, ...]
    left_out: tuple[str, ...] = ()


def value_set(codes: Codes, concept: str, subconcept: str = "") -> dict[str, Any]:
    """One concept, or one of its subconcepts, as a FHIR R4 ValueSet."""
    rows = [r for r in codes.rows if r.concept == concept and subconcept in ("", r.subconcept)]
    if not rows:
        raise MappingError(f"There are no rows of {concept} {subconcept}".rstrip() + ".")
    struck = [row for row in codes.rows if concept in catalog()[row.concept].excludes]
    body: dict[str, Any] = {
        "resourceType": "ValueSet",
        "url": f"urn:cart-nrm:valueset:{concept}" + (f":{subconcept}" if subconcept else ""),
        "version": f"{catalog()[concept].version}+{codes.digest}",
        "title": " ".join(filter(None, (concept, subconcept))),
        "status": "draft",
        "description": catalog()[concept].definition,
        "compose": {"include": _includes(rows)},
    }
    if struck:
        body["compose"]["exclude"] = _includes(struck)
    return _checked(body)


def _includes(rows: list[Row]) -> list[dict[str, Any]]:
    """Exact codes as lists; prefixes and descendants as one filter each, for filters are ANDed."""
    whole: dict[str, list[Cells]] = defaultdict(list)
    filtered: list[dict[str, Any]] = []
    for row in rows:
        if row.match == "exact":
            shown = {"display": row.display} if row.display else {}
            whole[row.system].append({"code": row.code, **shown})
        elif row.match == "prefix":
            start = re.escape(row.code) + ".*"
            rule = {"property": "code", "op": "regex", "value": start}
            filtered.append({"system": row.system, "filter": [rule]})
        else:
            rule = {"property": "concept", "op": "is-a", "value": row.code}
            filtered.append({"system": row.system, "filter": [rule]})
    return [{"system": system, "concept": some} for system, some in whole.items()] + filtered


def concept_map(codes: Codes, concept: str) -> dict[str, Any]:
    """One concept as a FHIR R4 ConceptMap from codes to `concept/subconcept`."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
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
    return _checked(
        {
            "resourceType": "ConceptMap",
            "url": f"urn:cart-nrm:conceptmap:{concept}",
            "version": f"{catalog()[concept].version}+{codes.digest}",
            "status": "draft",
            "group": [
                {"source": system, "target": OURS, "element": elements}
                for system, elements in groups.items()
            ],
        }
    )


def overlay_from(
    resource: dict[str, Any], codes: Codes, *, signed: str, dated: str,
    concept: str = "", subconcept: str = "",
) -> Imported:  # fmt: skip
    """Overlay rows that say what a ValueSet (of one subconcept) or a ConceptMap says.

    A ConceptMap may map to `concept/subconcept` of ours, or to a standard code: then the local
    code gets whatever the standard one means here.
    """
    body = _checked(resource)
    left_out: list[str] = []
    if body["resourceType"] == "ValueSet":
        if not (concept and subconcept):
            raise MappingError("A ValueSet needs the concept and subconcept it stands for.")
        named = {"concept": concept, "subconcept": subconcept}
        said = [named | cells for cells in _members(body)]
    else:
        said = list(_mapped(body, codes, left_out))
    stamp = {"action": "add", "signed": signed, "dated": dated}
    return Imported(tuple(stamp | cells for cells in said), tuple(left_out))


def _members(body: dict[str, Any]) -> Iterator[Cells]:
    compose = body.get("compose", {})
    if compose.get("exclude") and not body.get("expansion"):
        raise MappingError("The ValueSet excludes codes.", "Expand it, then import the expansion.")
    if body.get("expansion"):
        yield from _expanded(body["expansion"].get("contains", []))
        return
    for include in compose.get("include", []):
        system = include.get("system", "")
        if not system or include.get("valueSet") or not _listed(include):
            raise MappingError("The ValueSet refers to others.", "Import its expansion instead.")
        for one in include.get("concept", []):
            shown = {"display": one.get("display", "")}
            yield {"system": system, "code": one["code"], "match": "exact", **shown}
        for rule in include.get("filter", []):
            code, match = _filtered(rule)
            yield {"system": system, "code": code, "match": match}


def _listed(include: dict[str, Any]) -> bool:
    return bool(include.get("concept")) or len(include.get("filter", [])) == 1


def _expanded(contains: list[dict[str, Any]]) -> Iterator[Cells]:
    for one in contains:
        if one.get("code") and not one.get("abstract"):
            shown = {"display": one.get("display", "")}
            yield {"system": one["system"], "code": one["code"], "match": "exact", **shown}
        yield from _expanded(one.get("contains", []))


def _filtered(rule: dict[str, Any]) -> tuple[str, str]:
    value = str(rule["value"])
    if rule["op"] == "is-a" and rule["property"] == "concept":
        return value, "descendants"
    code = re.sub(r"\\(.)", r"\1", value.removesuffix(".*"))
    if rule["op"] == "regex" and value == re.escape(code) + ".*":
        return code, "prefix"
    raise MappingError(f"The filter {rule['property']} {rule['op']} cannot be taken over.")


def _mapped(body: dict[str, Any], codes: Codes, left_out: list[str]) -> Iterator[Cells]:
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


def _names(goal: str, target: dict[str, Any], codes: Codes) -> list[tuple[str, str]]:
    code = str(target.get("code", ""))
    if goal == OURS:
        concept, _, subconcept = code.partition("/")
        return [(concept, subconcept)]
    return [(m.concept, m.subconcept) for m in codes.lookup(system_of(goal), code)]


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    """The same body once fhir.resources finds it a valid R4 ValueSet or ConceptMap."""
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    kind = body.get("resourceType")
    if kind not in ("ValueSet", "ConceptMap"):
        raise MappingError(f"A {kind} cannot be used.", "Give a ValueSet or a ConceptMap.")
    try:
        get_fhir_model_class(kind).model_validate(body)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise MappingError(f"The {kind} is not valid FHIR: {place}: {first['msg']}.") from None
    return body


def overlay_csv(rows: tuple[Cells, ...]) -> str:
    """Overlay rows as the text of a CSV file that a site's folder may hold."""
    text = io.StringIO()
    writer = csv.DictWriter(text, OVERLAY_HEADER, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
