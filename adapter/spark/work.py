"""What happens to one partition: two looks at its lines, and the judgement of its patients."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec.structs import astuple

from adapter.account import Attrition, Tally
from adapter.codes import Codes
from adapter.dates import seconds_of
from adapter.envelope import TYPES, Envelope, Reject
from adapter.export import row_of
from adapter.export.summary import causes_of
from adapter.files import filed
from adapter.load import PASSED_OVER, is_fhir_type, unknown_type
from adapter.model import Judged
from adapter.patient import Classifier
from adapter.sieve import First, Second
from adapter.store import PatientRecord, Stored

Rows = Iterator[tuple[Any, ...]]
_TOGETHER = 200  # rows handed to Spark at once
_LOOKED_AT = 2_000  # lines; the sets of people in them stay small, for a gzip file is one partition

#: Columns of what each step gives, as Spark says them.
SEEN = "patient string, traced boolean"
TAKEN = (
    "kind string, type string, id string, patient string, updated double, body binary,"
    " path string, block bigint, number bigint, count bigint"
)
JUDGED = "kind string, line string"
VERDICT = (
    "patient string, episode string, after_relapse boolean, cause string, subcause string,"
    " certainty string, rule string, sentence string, contributing array<string>,"
    " review_reasons array<string>, findings array<struct<rule: string, answer: string,"
    " sentence: string, facts: array<string>>>"
)


def through(frame: Any, work: Callable[[Rows], Rows], columns: str) -> Any:
    """The rows of a frame, partition by partition, through `work`; `columns` is what it gives."""
    return frame.mapInArrow(partial(_batches, work, columns), columns)


def _batches(work: Callable[[Rows], Rows], columns: str, batches: Iterable[Any]) -> Iterator[Any]:
    import pyarrow as pa

    kinds = {"string": pa.string(), "boolean": pa.bool_(), "double": pa.float64(),
             "bigint": pa.int64(), "binary": pa.binary()}  # fmt: skip
    fields = [tuple(column.split()) for column in columns.split(",")]
    schema = pa.schema([(name, kinds[kind]) for name, kind in fields])
    given = (zip(*(c.to_pylist() for c in batch.columns), strict=True) for batch in batches)
    rows = work(row for some in given for row in some)
    while some := list(islice(rows, _TOGETHER)):
        arrays = map(pa.array, zip(*some, strict=True), schema.types)
        yield pa.RecordBatch.from_arrays(list(arrays), schema=schema)


class FirstLook:
    """Everybody in these lines, and who has a trace of cell therapy; each now and then."""

    def __init__(self, codes: Codes) -> None:
        self.look = First(codes).look

    def __call__(self, lines: Rows) -> Rows:
        """Rows of SEEN."""
        while some := [line for line, *_ in islice(lines, _LOOKED_AT)]:
            everybody, traced = set[str](), set[str]()
            self.look(some, everybody, traced, array("I"))
            yield from ((patient, patient in traced) for patient in everybody)


class SecondLook:
    """What these lines hold of some patients, what cannot be filed, and how much is passed over."""

    def __init__(self, kept: frozenset[str]) -> None:
        self.kept, self.wanted = kept, Second(kept).wanted

    def __call__(self, lines: Rows) -> Rows:
        """Rows of TAKEN: kept ones; rejects (`type`: why, `id`: where); counts of what is not used.

        (path, block, number) is the order in which one machine would have read them.
        """
        not_used = Counter[str]()

        def mine(run: Rows) -> Iterator[tuple[int, bytes]]:
            for number, (line, *_) in enumerate(run, 1):
                if self.wanted(line):
                    yield number, line
                else:
                    not_used[PASSED_OVER] += 1

        for (path, block), run in groupby(lines, itemgetter(1, 2)):
            name = unquote(path.rpartition("/")[2])
            place = f"{name}@{block}" if block else name  # lines are counted from that byte on
            for number, one in enumerate(filed(mine(run), place)):
                if isinstance(one, Envelope) and one.patient not in self.kept:
                    not_used[PASSED_OVER] += 1
                elif isinstance(one, Envelope) and one.type in TYPES:
                    about = (one.type, one.id, one.patient, seconds_of(one.last_updated), one.body)
                    yield "kept", *about, path, block, number, 1
                elif isinstance(one, Envelope) and is_fhir_type(one.type):
                    not_used[one.type] += 1
                else:
                    bad = one if isinstance(one, Reject) else unknown_type(one)
                    yield "reject", bad.reason, bad.where, "", None, b"", path, block, number, 1
        for what, count in not_used.items():
            yield "not_used", what, "", "", None, b"", "", 0, 0, count


class Judge:
    """Judges patients whose resources stand together, in order of type and id."""

    def __init__(self, classify: Classifier) -> None:
        self.classify, self.basis = classify, classify.basis

    def __call__(self, resources: Rows) -> Rows:
        """Rows of JUDGED: episodes and verdicts, and one account of all; each line is JSON."""
        if self.classify.basis != self.basis:
            raise RuntimeError("The machines of the cluster have different versions of cart-nrm.")
        account = Account()
        for patient, mine in groupby(resources, itemgetter(0)):
            tally = Tally()
            tally.take(self.classify(PatientRecord(patient, [Stored(*one[1:]) for one in mine])))
            causes = causes_of(tally.judged)
            account = both(account, Account(tally.attrition(), causes, tally.synthetic))
            for judged in tally.judged:
                yield "episode", _line(row_of(judged))
                if judged.verdict or judged.would_be:
                    yield "verdict", _line(verdict_of(judged))
        yield "account", _line(account)


def _line(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def verdict_of(judged: Judged) -> dict[str, Any]:
    """One death: what decided, and what every rule said, with the resources it rests on."""
    episode, findings = judged.episode, list[dict[str, Any]]()
    for one in judged.findings:
        sources = list(dict.fromkeys(fact.source for fact in one.facts))
        said = {"rule": one.rule, "answer": one.answer, "sentence": one.sentence}
        findings.append({**said, "facts": sources})
    about = {"patient": episode.patient, "episode": episode.name, "findings": findings}
    verdict = msgspec.to_builtins(judged.verdict or judged.would_be)
    return {**about, "after_relapse": judged.verdict is None, **verdict}


class Account(msgspec.Struct, frozen=True):
    """What some patients add to the summary."""

    attrition: Attrition = Attrition()
    causes: dict[str, int] = {}
    synthetic: bool = False


def account_in(row: Any) -> Account:
    """The account that a row of JUDGED holds."""
    return msgspec.json.decode(row.line, type=Account)


def both(one: Any, other: Any) -> Any:
    """Two accounts as one: counts are added, by their names where they have any."""
    if isinstance(one, msgspec.Struct):
        return type(one)(*map(both, astuple(one), astuple(other)))
    if isinstance(one, dict):
        return dict(sorted((Counter(one) + Counter(other)).items()))
    return one or other if isinstance(one, bool) else one + other
