"""The core against a small synthetic study whose truth is known."""

import pytest

from adapter.study import Study
from examples.synthetic import StudyShape, TruthRow
from examples.validation import compare, in_words, study_of

SHAPE = StudyShape(patients=240, recipients=160, seed=5, missing="none")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[TruthRow]]:
    return study_of(SHAPE, tmp_path_factory.mktemp("truth"))


def test_every_recipient_is_found_and_nobody_else(made: tuple[Study, list[TruthRow]]) -> None:
    """Look-alikes, orders and history codes make no recipient; every real one is there."""
    result = compare(SHAPE, *made)
    missed = sum(n for (_, said), n in result.outcomes.items() if said == "not found")
    assert (missed, result.false_recipients) == (0, [])


def test_every_outcome_is_right_where_it_can_be_known(
    made: tuple[Study, list[TruthRow]],
) -> None:
    """Only relapses that stand nowhere but in free text or without a date may be missed."""
    study, truth = made
    knowable = [row for row in truth if row.knowable == "true"]
    unknowable = {(row.patient, row.episode) for row in truth if row.knowable == "false"}
    judged = tuple(
        one for one in study.judged
        if (one.episode.patient, one.episode.number) not in unknowable
    )  # fmt: skip
    result = compare(SHAPE, Study(study.name, study.plan, judged, study.attrition,
                                  study.quality), knowable)  # fmt: skip
    assert {pair for pair in result.outcomes if pair[0] != pair[1]} == set()


def test_with_all_evidence_nearly_every_cause_is_right(
    made: tuple[Study, list[TruthRow]],
) -> None:
    """A wrong cause may happen, but it does not pass without a person."""
    result = compare(SHAPE, *made)
    wrong = sum(n for (true, said), n in result.causes.items() if true != said)
    assert wrong <= 1
    assert result.wrong_and_reviewed == wrong


def test_the_account_of_patients_adds_up(made: tuple[Study, list[TruthRow]]) -> None:
    """Found = kept + excluded, by reason."""
    account = made[0].attrition
    account.check()
    assert account.patients == account.recipients + sum(account.not_recipients.values())


def test_the_comparison_says_that_it_is_no_clinical_validation(
    made: tuple[Study, list[TruthRow]],
) -> None:
    """The printed comparison is labelled synthetic."""
    assert "synthetic" in "\n".join(in_words(compare(SHAPE, *made)))
