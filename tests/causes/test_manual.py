"""The manual of rules is what the code and the tables say."""

from pathlib import Path

from adapter.causes import RULES
from tests.causes.manual import rules_page

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"


def test_the_manual_is_current() -> None:
    """`make docs` writes it again."""
    assert rules_page() == PAGE.read_text(encoding="utf-8")


def test_every_rule_is_in_the_manual() -> None:
    """With the sentence a reader of a report sees."""
    page = rules_page()
    for rule in RULES:
        assert f"### {rule.__name__}\n" in page
