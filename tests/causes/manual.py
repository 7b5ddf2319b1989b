"""docs/rules.md: every cause rule with title, sentence, window and source, and its day tables."""

from collections.abc import Iterator
from pathlib import Path

from adapter.cases import Case, read_cases
from adapter.causes import RULES, Rule
from adapter.model import Cause

CASES = Path(__file__).parents[1] / "cases"
_FAMILIES = {
    "certified": "Certificates",
    "toxicity": "Cytokine release syndrome and neurotoxicity",
    "hyperinflammation": "Hyperinflammation (IEC-HS)",
    "malignancy": "Second malignancy",
    "infection": "Infection",
    "hemorrhage": "Hemorrhage",
    "cardiorespiratory": "Heart, vessels and lungs",
    "organs": "Organ failure",
    "other": "Other causes, and what asks for a person",
}
_HEAD = """# The rules of causes

Generated from the rule classes and the day tables of `tests/cases` by `make docs`. Each rule says
yes, no or cannot tell of a death; [who wins](decisions/0020-who-wins.md) is written down apart. It
cannot tell when the source never sends that kind of resource, or when nobody saw the patient
shortly before death. Windows and ranks can be changed in study.toml, with a reason that the report
prints:

```toml
[rules.Sepsis]
window = 60
reason = "our protocol attributes sepsis for 60 days"
```

A lower rank weighs more. Kinds: *chart* rules name a cause from what was recorded at the bedside;
*certified* is the coded certificate; *terminal* rules name a mode of dying and give way to every
cause; *hints* name nothing and send the death to a person.
"""


def rules_page() -> str:
    """The manual page of all rules."""
    files = sorted(CASES.glob("causes-*.md"))
    cases = [(file, case) for file in files for case in read_cases(file)]
    lines, family = [_HEAD], ""
    for rule in RULES:
        module = rule.__module__.rpartition(".")[2]
        if module != family:
            family = module
            lines += [f"## {_FAMILIES[family]}", ""]
        lines += _rule(rule, cases)
    lines += ["## All day tables", ""]
    for file in files:
        lines += [f"[{file.stem}](../tests/cases/{file.name})", ""]
        lines += [f"- {_link(file, case)}" for place, case in cases if place == file]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _rule(rule: type[Rule], cases: list[tuple[Path, Case]]) -> Iterator[str]:
    shown = rule()
    yield f"### {rule.__name__}"
    yield ""
    yield f"{shown.title}."
    yield ""
    yield "> " + " ".join((rule.look.__doc__ or "").split())
    yield ""
    needs = " or ".join(sorted(rule.needs)) or "nothing"
    about = [rule.kind, f"window {shown.window} days", f"needs {needs}"]
    if rule.kind != "hint":
        about += [f"rank {shown.rank}", f"certainty {rule.certainty}"]
    if rule.cause is not Cause.UNKNOWN:
        about.insert(0, rule.cause.replace("_", " "))
    yield f"{' · '.join(about)}. Source: {rule.source}."
    yield ""
    answers = {"yes": ("yes", "because"), "no": ("no",), "cannot tell": ("cannot_tell",)}
    for answer, keys in answers.items():
        found = [(file, case) for file, case in cases if _expects(case, keys, rule.__name__)]
        if found:
            yield f"- {answer}: " + "; ".join(_link(file, case) for file, case in found)
    yield ""
    example = next((case for _, case in cases if _expects(case, ("because",), rule.__name__)), None)
    if example is not None:
        yield from _table(example)


def _expects(case: Case, keys: tuple[str, ...], rule: str) -> bool:
    return any(
        rule in {name.strip() for name in case.expect.get(key, "").split(",")} for key in keys
    )


def _link(file: Path, case: Case) -> str:
    kept = "".join(c for c in case.title.lower() if c.isalnum() or c in " -")
    return f"[{case.title}](../tests/cases/{file.name}#{kept.replace(' ', '-')})"


def _table(case: Case) -> Iterator[str]:
    yield "```"
    yield "day | what"
    yield from (f"{day:>4} | {what}" for _, day, what in case.rows)
    said = "; ".join(f"{key} {value}" for key, value in case.expect.items() if key in _SHOWN)
    yield f"     => {said}"
    yield "```"
    yield ""


_SHOWN = ("cause", "subcause", "certainty", "contributing")
