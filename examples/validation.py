"""What the core says of synthetic patients, against the truth that only this module reads.

    python -m examples.validation --recipients 1000                     outcomes and causes
    python -m examples.validation --deaths 5000 --levels none,some,much  causes, evidence missing
    ... --write docs/validation.md

This measures whether the program finds what the generator wrote down. It is not clinical
validation: real charts are different, and the generator and the rules share one idea of them.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter.agreement import by_category
from adapter.codes import load_codes
from adapter.config import Settings
from adapter.load import load
from adapter.model import Judged
from adapter.store import Store
from adapter.study import Study, run_study
from examples.synthetic import StudyShape, TruthRow, generate
from examples.synthetic.writer import write

OUTCOMES = ("alive", "relapse", "nrm", "not_evaluable", "not found")


@dataclass
class Comparison:
    """Counts of truth against answer, and the disagreements in words."""

    shape: StudyShape
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)
    days_off: Counter[int] = field(default_factory=Counter)
    recipients: int = 0
    false_recipients: list[str] = field(default_factory=list)
    reviewed: int = 0
    wrong_and_reviewed: int = 0
    disagreements: list[tuple[str, str]] = field(default_factory=list)  # (kind, sentence)


def study_of(shape: StudyShape, folder: Path) -> tuple[Study, list[TruthRow]]:
    """Generate, load and classify a synthetic study."""
    synthetic = generate(shape)
    write(synthetic, folder)
    settings = Settings(store=folder / "study.db", study_name="Synthetic study")
    with Store(settings.store) as store:
        load(store, [folder / "fhir"])
        return run_study(store, settings, load_codes()), synthetic.truth


def compare(shape: StudyShape, study: Study, truth: Iterable[TruthRow]) -> Comparison:
    """Hold every episode of the study against the truth."""
    answers = {(one.episode.patient, one.episode.number): one for one in study.judged}
    result = Comparison(shape)
    for row in truth:
        if row.recipient == "yes":
            _compare_episode(result, row, answers.pop((row.patient, row.episode), None))
    result.false_recipients = sorted({patient for patient, _ in answers})
    return result


def _compare_episode(result: Comparison, row: TruthRow, answer: Judged | None) -> None:
    result.recipients += 1
    said = "not found" if answer is None else answer.outcome.kind.value
    result.outcomes[row.outcome, said] += 1
    who = f"{row.patient} episode {row.episode}"
    if said != row.outcome:
        told = answer.outcome.reason if answer is not None else ""
        why = row.reason or f"knowable from the record; the program says: {told or 'nothing'}"
        result.disagreements.append((f"{row.outcome} read as {said}", f"{who}: {why}"))
    elif answer is not None and answer.outcome.time is not None and row.time_days:
        result.days_off[answer.outcome.time.middle - int(row.time_days)] += 1
    if row.outcome == said == "nrm" and answer is not None and answer.verdict is not None:
        _compare_cause(result, row, answer, who)


def _compare_cause(result: Comparison, row: TruthRow, answer: Judged, who: str) -> None:
    if answer.verdict is None:
        return
    said = answer.verdict.cause.value
    result.causes[row.cause, said] += 1
    result.reviewed += answer.verdict.needs_review
    if said != row.cause:
        result.wrong_and_reviewed += answer.verdict.needs_review
        told = row.cause_reason or f"rule {answer.verdict.rule or 'none'}"
        flag = "sent to review" if answer.verdict.needs_review else "not sent to review"
        result.disagreements.append((f"{row.cause} read as {said}", f"{who}: {told}; {flag}"))


def in_words(result: Comparison, most: int = 5) -> Iterator[str]:
    """The comparison as Markdown lines, which also read well on a terminal."""
    shape = result.shape
    found = result.recipients - sum(
        n for (_, said), n in result.outcomes.items() if said == "not found"
    )
    yield f"{shape.patients:,} synthetic patients, seed {shape.seed}, evidence missing: "
    yield f"{shape.missing}. Episodes found: {found:,} of {result.recipients:,}; "
    yield f"false recipients: {len(result.false_recipients)}."
    yield ""
    yield from _matrix("outcome", OUTCOMES, result.outcomes)
    exact = result.days_off[0]
    yield ""
    yield f"Same outcome, same day: {exact:,} of {sum(result.days_off.values()):,}; the others "
    yield f"differ by {_differences(result.days_off)} (dates known by month or by entry only)."
    yield ""
    if result.causes:
        yield from _causes(result)
    if result.disagreements:
        yield from _listed(result, most)


def _differences(days_off: Counter[int]) -> str:
    others = sorted(day for day in days_off if day)
    return f"{others[0]} to {others[-1]} days" if others else "nothing"


def _matrix(what: str, names: Iterable[str], counts: Counter[tuple[str, str]]) -> Iterator[str]:
    columns = [name for name in names if any(said == name for _, said in counts)]
    yield f"| true {what} | " + " | ".join(columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for true in names:
        if any(t == true for t, _ in counts):
            cells = " | ".join(str(counts[true, said] or "·") for said in columns)
            yield f"| {true} | {cells} |"


def _causes(result: Comparison) -> Iterator[str]:
    true = [t for (t, _), n in result.causes.items() for _ in range(n)]
    said = [s for (_, s), n in result.causes.items() for _ in range(n)]
    right = sum(n for (t, s), n in result.causes.items() if t == s)
    names = sorted({*true, *said})
    yield f"Cause of death right in {right:,} of {len(true):,} non-relapse deaths "
    yield f"({100 * right / len(true):.1f} %); {100 * result.reviewed / len(true):.1f} % sent to "
    yield f"review, among them {result.wrong_and_reviewed:,} of the {len(true) - right:,} wrong."
    yield ""
    yield from _matrix("cause", names, result.causes)
    yield ""
    yield "| cause | deaths | sensitivity (95 % CI) | PPV (95 % CI) |"
    yield "|---|---:|---:|---:|"
    for row in by_category(said, true):
        yield (
            f"| {row['cause']} | {row['truth']} | {_share(row, 'sensitivity')} |"
            f" {_share(row, 'ppv')} |"
        )
    yield ""


def _share(row: dict[str, Any], what: str) -> str:
    if row[what] is None:
        return "–"
    estimate, low, high = row[what], row[f"{what}_lower"], row[f"{what}_upper"]
    return f"{100 * estimate:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def _listed(result: Comparison, most: int) -> Iterator[str]:
    yield "Disagreements:"
    yield ""
    for kind, count in Counter(kind for kind, _ in result.disagreements).most_common():
        yield f"- {kind}: {count}"
        sentences = [sentence for k, sentence in result.disagreements if k == kind]
        yield from (f"  - {sentence}" for sentence in sentences[:most])
        if len(sentences) > most:
            yield f"  - and {len(sentences) - most} more"


def main() -> None:
    """Print the comparison of one or several studies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--patients", type=int, default=0)
    parser.add_argument("--recipients", type=int, default=1000)
    parser.add_argument("--deaths", type=int)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--levels", default="some", help="none,some,much: evidence missing")
    parser.add_argument("--list", type=int, default=5, help="disagreements shown of each kind")
    parser.add_argument("--write", type=Path, help="also write this Markdown page")
    options = parser.parse_args()
    recipients = max(options.recipients, options.deaths or 0)
    patients = options.patients or recipients + recipients // 2
    labs = "daily" if recipients <= 2_000 else "weekly"
    lines: list[str] = []
    for level in options.levels.split(","):
        shape = StudyShape(
            patients, recipients, options.seed, deaths=options.deaths, missing=level, labs=labs
        )
        with tempfile.TemporaryDirectory() as folder:
            study, truth = study_of(shape, Path(folder))
        lines += [f"## Evidence missing: {level}", ""]
        lines += in_words(compare(shape, study, truth), options.list)
        lines.append("")
    page = "\n".join([_HEAD, *lines])
    print(page)
    if options.write:
        options.write.write_text(page.rstrip() + "\n", encoding="utf-8")


_HEAD = """# Against synthetic truth

**Synthetic data. This is not clinical validation.** The generator in `examples/synthetic` writes
the record of invented patients and, apart from it, what really happened to them. These tables say
how much of that the program finds again. Generator and rules share one idea of what a chart looks
like, so the figures bound mistakes of the program; they say nothing about the accuracy in real
charts, for which a centre needs its own two-reader review (`cart-nrm review`).
"""

if __name__ == "__main__":
    main()
