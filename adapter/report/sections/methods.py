"""How it was done, for the methods section and the RECORD checklist: policies, rules, versions."""

import platform
from typing import Any

import htpy as h
from htpy import Node

from adapter.causes import RULES, Rule
from adapter.codes.tables import catalog
from adapter.export import version_of
from adapter.report.view import View
from adapter.report.words import CAUSE_WORDS, say

_PACKAGES = ("cart-nrm", "numpy", "scipy", "msgspec", "fhir.resources")


def methods(view: View) -> Node:
    """Everything needed to repeat the analysis."""
    policy = view.study.plan.policy
    policies: list[list[Node]] = [
        [name.replace("_", " "), h.span[_said(value)]]
        for name, value in policy.model_dump(mode="json").items()
    ]
    codes: list[list[Node]] = [
        [h.code[name], entry.definition, entry.version, entry.reviewer, "; ".join(entry.sources)]
        for name, entry in catalog().items()
    ]
    packages = ", ".join(f"{name} {version_of(name)}" for name in _PACKAGES)
    versions = say("methods.versions", packages=packages, python=platform.python_version())
    return [
        [
            h.p[text]
            for text in say("methods.prose", rules=len(RULES), scheme=policy.scheme.upper())
        ],
        view.table("methods.policies", policies),
        view.table("methods.rules", [_rule(view, kind) for kind in RULES]),
        view.table("methods.codes", codes, digest=view.study.codes_digest or "none"),
        h.p(".note")[versions],
    ]


def _said(value: Any) -> str:
    """A setting as words: lists by commas, tables as name and value."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {_said(part)}" for name, part in value.items())
    return ", ".join(map(_said, value)) if isinstance(value, list) else str(value)


def _rule(view: View, kind: type[Rule]) -> list[Node]:
    """A rule as it is in force, with the reason of the site where it was changed."""
    change = view.study.plan.rules.get(kind.__name__)
    rule, state = kind(change), "changed" if change and change.enabled else "off"
    said = change and h.b[f" {state}: {change.reason}"]
    name, cause = h.code[kind.__name__], CAUSE_WORDS[rule.cause]
    return [name, rule.title, cause, f"{rule.window}", f"{rule.rank}", h.span[rule.source, said]]
