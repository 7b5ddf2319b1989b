"""Reading other people's tables: what works, and what the refusals say."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter.errors import TableError
from adapter.incidence import Options
from adapter.tables import Columns, incidence_of_file, pool_files, read_sites, read_table
from adapter.words import incidence_in_words

Write = Callable[..., Path]
PATIENTS = "time,event,arm\n10,2,A\n20,0,B\n30,1,A\n"


@pytest.fixture
def table(tmp_path: Path) -> Write:
    """Write a text to a file and give its path."""

    def write(text: str, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


def test_a_table_of_patients(table: Write) -> None:
    """Columns are named, groups kept as written."""
    data, notes = read_table(table(PATIENTS), Columns(group="arm"))
    assert ([10.0, 20.0, 30.0], [2, 0, 1]) == (data.time.tolist(), data.event.tolist())
    assert data.group is not None
    assert (["A", "B", "A"], []) == (data.group.tolist(), notes)


def test_semicolons_byte_order_mark_and_decimals_in_events(table: Write) -> None:
    """As a German spreadsheet or R writes it."""
    data, _ = read_table(table("\ufefftime;event\n 10 ;2.0\n\n20;0\n"), Columns())
    assert ([10.0, 20.0], [2, 0]) == (data.time.tolist(), data.event.tolist())


def test_rows_that_are_not_evaluable_are_left_out_and_counted(table: Write) -> None:
    """The cohort file has empty time and event where an episode is not evaluable."""
    text = "time,event,arm\n10,2,A\n,,\nNA,NA,B\n20,0,B\n"
    answer = incidence_of_file(table(text), Columns(group="arm"), Options())
    assert 2 == answer["n"]
    assert "2 rows have neither time nor event" in answer["warnings"][0]


def test_models_are_told_in_words_too(table: Write) -> None:
    """What was asked for with --models is printed: ratios, or why there are none."""
    rows = "".join(f"{day},{day % 3},{'AB'[day % 2]}\n" for day in range(1, 40))
    columns, options = Columns(group="arm"), Options(models=True)
    told = incidence_in_words(incidence_of_file(table("time,event,arm\n" + rows), columns, options))
    assert re.search(r"Fine-Gray, cause 1 +group B +\d.* p = ", told)
    assert "Log-rank, cause 2: " in told
    lone = incidence_of_file(table(PATIENTS), Columns(), options)
    assert "cause-specific Cox, cause 1: There is nothing to regress on." in (
        incidence_in_words(lone)
    )


def test_entry_strata_and_covariates(table: Write) -> None:
    """An empty entry means observed from the origin."""
    text = "time,event,since,site,age\n10,2,,x,61\n20,0,5,y,70\n"
    columns = Columns(entry="since", strata="site", covariates=("age",))
    data, _ = read_table(table(text), columns)
    assert data.entry is not None
    assert [float("-inf"), 5.0] == data.entry.tolist()
    assert [61.0, 70.0] == data.covariates["age"].tolist()


@pytest.mark.parametrize(
    ("text", "columns", "what"),
    [
        ("", Columns(), "no header"),
        ("time,time\n1,2\n", Columns(), "no header of unique names"),
        ("time,event\n", Columns(), "has no patient"),
        ("day,event\n1,2\n", Columns(), "no column 'time'. It has: day, event"),
        ("time,event\n1,2\n3\n", Columns(), "data row 2 has 1 cells, not 2"),
        ("time,event\n1,nrm\n", Columns(), "data row 1: that is not a number. Write 0 = cens"),
        ('time,event\n"1,5",2\n', Columns(), "data row 1: that is not a number.* decimal point"),
        ("time,event\n5,1\n-3,2\n", Columns(), "negative time in data row 2"),
        ("time,event\n,1\n", Columns(), "No time in data row 1"),
        ("time,event\n4,\n", Columns(), "no whole number in data row 1"),
        ("time,event\n4,0.5\n", Columns(), "no whole number in data row 1"),
        ("time,event,e\n9,1,0\n4,1,4\n", Columns(entry="e"), "Entry at or after .* data row 2"),
        ("time,event,a\n4,1,\n", Columns(covariates=("a",)), "Column 'a', data row 1: no number"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(
    table: Write, text: str, columns: Columns, what: str
) -> None:
    """Column, row, and what to do."""
    with pytest.raises(TableError, match=what):
        read_table(table(text), columns)


def test_rows_are_counted_as_in_the_file_although_some_are_left_out(table: Write) -> None:
    """A row that is left out still has its number."""
    with pytest.raises(TableError, match="data row 3"):
        read_table(table("time,event\n1,1\n,\n-5,2\n"), Columns())


def test_a_missing_or_binary_file_is_a_table_error(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(TableError, match=r"cannot be read|does not exist"):
        read_table(tmp_path / "nowhere.csv", Columns())
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TableError, match=r"cannot be read|does not exist"):
        read_table(tmp_path / "binary.csv", Columns())


def summary(study: str, n: int, events: int, estimate: float | None) -> str:
    point = {"time": 365.0, "estimate": estimate, "se": 0.02}
    curves = [{"group": None, "cause": 2, "at": [point]}, {"group": None, "cause": 1, "at": []}]
    return json.dumps({"study": study, "n": n, "events": events, "curves": curves})


def test_summaries_of_sites_are_pooled(table: Write) -> None:
    """Centres share aggregates: proportions, and incidences at a horizon."""
    paths = [
        table(summary(f"site {i}", 100 + i, 6 + i, 0.06 + i / 100), f"{i}.json") for i in (1, 2)
    ]
    answer = pool_files(paths, horizon=365)
    assert (2, 203, 15) == (answer["k"], answer["n"], answer["events"])
    assert 0.07 < answer["horizon"]["reml_hk"]["estimate"] < 0.08


def test_a_table_of_sites_and_a_summary_together(table: Write) -> None:
    """Published studies as CSV beside a centre's own summary."""
    studies = table("study,n,events,subgroup,estimate,se\na,50,4,x,.08,.03\nb,70,3,y,,\n")
    answer = pool_files([studies, table(summary("own", 30, 2, None), "own.json")])
    assert 3 == answer["k"]
    site = read_sites(studies)[0]
    assert ("a", 50, 4, "x", 0.08) == (
        site.study, site.n, site.events, site.subgroup, site.estimate
    )  # fmt: skip


def test_a_site_given_twice_is_refused(table: Write) -> None:
    """Counting a centre twice narrows every interval."""
    one = table(summary("own", 30, 2, None), "own.json")
    with pytest.raises(TableError, match="'own' is given twice"):
        pool_files([one, one])


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"study": "a", "n": null, "events": 1}'])
def test_what_is_no_summary_is_refused(table: Write, text: str) -> None:
    """The message names the command that writes one."""
    with pytest.raises(TableError, match=r"export summary\.json"):
        read_sites(table(text, "x.json"))


def test_a_share_of_a_patient_is_refused(table: Write) -> None:
    """Counts are whole."""
    with pytest.raises(TableError, match="Column 'events', data row 1"):
        read_sites(table("study,n,events\na,10,1.5\n"))


def test_a_table_of_sites_without_events_says_what_it_has(table: Write) -> None:
    """Only columns that the file really has are listed."""
    with pytest.raises(TableError) as refused:
        read_sites(table("study,n\na,10\n"))
    assert "It has: study, n." == refused.value.hint


def test_a_patient_without_a_group_is_in_the_group_not_recorded(tmp_path: Path) -> None:
    """An infusion whose product nobody wrote down is ordinary; the curve of the others stands."""
    file = tmp_path / "cohort.csv"
    file.write_text("time,event,product\n5,1,axi-cel\n9,0,\n")
    data, _ = read_table(file, Columns(group="product"))
    assert list(data.groups) == ["axi-cel", "not recorded"]


def test_who_has_no_group_is_in_no_test(tmp_path: Path) -> None:
    """Gray's test of eight products and "not recorded" had another p than the report, and R."""
    rows = [f"{5 * n},{n % 3},{'axi-cel' if n % 2 else 'tisa-cel'}" for n in range(1, 40)]
    names, answers = ("with.csv", "without.csv"), []
    for name, extra in zip(names, (["3,1,", "4,2,NA"], []), strict=True):
        (tmp_path / name).write_text("\n".join(["time,event,product", *rows, *extra]))
        answers.append(incidence_of_file(tmp_path / name, Columns(group="product"), Options()))
    assert answers[0]["gray"] == answers[1]["gray"]
    assert "2 without a recorded group" in answers[0]["warnings"][0]
    assert "not recorded" in {curve["group"] for curve in answers[0]["curves"]}
