"""A public synthetic hospital of 200 patients without CAR T, from its files to the counts."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from adapter.codes import load_codes
from adapter.config import Settings
from adapter.load import load
from adapter.store import Store
from adapter.study import run_study
from cli import main

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "haematology-200"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data set is not here")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set, loaded."""
    file = tmp_path_factory.mktemp("hospital") / "study.db"
    with Store(file) as opened:
        load(opened, [DATA])
    return file


def test_there_are_no_recipients(store: Path) -> None:
    """200 patients, and everybody is accounted for."""
    with Store(store) as opened:
        study = run_study(opened, Settings(store=store), load_codes())
    left_out = study.attrition.not_recipients
    assert (200, 0, 200) == (
        study.attrition.patients, study.attrition.recipients, sum(left_out.values())
    )  # fmt: skip


def test_coverage_names_the_ten_most_frequent_unmapped_codes(store: Path) -> None:
    """Each with how many patients carry it, the most first, and the row to fill in."""
    with Store(store) as opened:
        study = run_study(opened, Settings(store=store), load_codes())
    wanted = [(u.system, u.code) for u in study.unmapped[:10]]
    counts = [u.patients for u in study.unmapped[:10]]
    answer = CliRunner().invoke(main, ["mappings", "coverage", "--store", str(store)])
    assert 0 == answer.exit_code, answer.output
    assert 10 == len(wanted)
    assert sorted(counts, reverse=True) == counts
    places = [answer.output.find(code) for _, code in wanted]
    assert all(place >= 0 for place in places)
    assert "add,,," in answer.output
