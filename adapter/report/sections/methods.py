"""How it was done, for the methods section and the RECORD checklist: policies, rules, versions."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import htpy as h
from htpy import Node

from adapter.causes import RULES
from adapter.codes.tables import catalog
from adapter.report.view import CAUSE_WORDS, Section, View

_PACKAGES = ("cart-nrm", "numpy", "scipy", "msgspec", "fhir.resources")


def methods(view: View) -> Section:
    """Everything needed to repeat the analysis."""
    parts = (_prose, _policy, _rules, _codes, _versions)
    return Section("methods", "Methods and code lists", [part(view) for part in parts])


def _prose(view: View) -> Node:
    p = view.study.plan.policy
    return [
        h.p["Day 0 is the first infusion of a course. The first event decides: relapse or "
            "progression, or death without it (non-relapse mortality, NRM); who had neither is "
            "censored at the last finished contact. Relapse on the day of death is relapse."],
        h.p["Cumulative incidences are Aalen-Johansen estimates with Greenwood variance "
            "(Allignol 2010) and log-log limits; groups are compared by Gray's test (Gray 1988). "
            "Proportions carry Wilson limits, rates exact Poisson limits. A time known only "
            "within bounds enters with its midpoint; the sensitivity table shows both bounds."],
        h.p[f"The cause of a non-relapse death is proposed by the {len(RULES)} rules below, each "
            "answering yes, no or cannot tell on coded facts; free text is never counted. The "
            "cause is what started the chain to death; unknown is a valid answer. A reviewer's "
            f"decision outranks the rules. Causes are read as {p.scheme.upper()} reads them."],
    ]  # fmt: skip


def _policy(view: View) -> Node:
    rows = [
        [name.replace("_", " "), h.span[_said(value)]]
        for name, value in view.study.plan.policy.model_dump(mode="json").items()
    ]
    return view.table("Policies in force", ["Setting", "Value"], rows)


def _said(value: Any) -> str:
    """A setting as words: lists by commas, tables as name and value."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {_said(part)}" for name, part in value.items())
    return ", ".join(map(_said, value)) if isinstance(value, list) else str(value)


def _rules(view: View) -> Node:
    changes = view.study.plan.rules
    rows: list[list[Node]] = []
    for kind in RULES:
        change = changes.get(kind.__name__)
        rule = kind(change)
        state = "changed" if change and change.enabled else "off"
        said = change and h.b[f" {state}: {change.reason}"]
        rows.append([h.code[kind.__name__], rule.title, CAUSE_WORDS[rule.cause],
                     str(rule.window), str(rule.rank), h.span[kind.source, said]])  # fmt: skip
    head = ["Rule", "Title", "Cause", "Window, days", "Rank", "Source; change"]
    return view.table("Rules for the cause of death", head, rows)


def _codes(view: View) -> Node:
    rows: list[list[Node]] = [
        [h.code[name], entry.definition, entry.version, entry.reviewer, "; ".join(entry.sources)]
        for name, entry in catalog().items()
    ]
    note = h.span["Digest of all code lists in force, site overlay included: ",
                  h.code[view.study.codes_digest or "none"]]  # fmt: skip
    head = ["Code list", "Definition", "Version", "Reviewer", "Sources"]
    return view.table("Code lists", head, rows, note)


def _versions(view: View) -> Node:
    found = [f"{name} {_version(name)}" for name in _PACKAGES]
    return h.p(".note")[f"Versions: {', '.join(found)}, Python {platform.python_version()}."]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "from source"
