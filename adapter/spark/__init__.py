"""The same pure core on Apache Spark: for exports that one machine cannot read in time.

Two looks as in `load --recipients-only`: the first finds whose lines carry a trace of cell therapy,
the second takes the lines of those people. Only these are moved between machines, to stand together
by patient; then the classifier judges one patient after another, as beside the store.
"""

import os
import re
import sys
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec

from adapter.codes import Codes
from adapter.config import Settings
from adapter.errors import StoreError, UsageError
from adapter.export import COLUMNS
from adapter.patient import Classifier
from adapter.spark import work
from adapter.spark.folder import Results

Frame = Any  # pyspark is optional, and so are its types
Spark = Any

_OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
    "spark.hadoop.fs.permissions.umask-mode": "077",  # nobody else reads what is written
    "spark.sql.execution.arrow.maxRecordsPerBatch": "2000",  # lines of 1 to 2 kB
    "spark.executorEnv.PYTHONPATH": str(Path(__file__).parents[2]),
}
_LOOPBACK = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
_TYPES = {"text": "string", "date": "string", "integer": "bigint", "number": "double",
          "boolean": "boolean", "list": "array<string>"}  # fmt: skip
_EPISODE = ", ".join(f"{column.name} {_TYPES[column.kind]}" for column in COLUMNS)
_PATIENTS_A_TASK = 200  # some seconds of work


def classify_on_spark(
    settings: Settings, codes: Codes, source: str, output: str, master: str, form: str
) -> dict[str, Any]:
    """Classify the NDJSON that `source` names into the folder `output`, and give its summary.

    `source` (with wildcards) and `output` are paths or URLs of any Hadoop file system; `form` is
    parquet or ndjson. UsageError when there is nothing to read, `output` is not ours or Spark is
    missing, StoreError when Spark gives up; then `output` is as it was.
    """
    try:
        import pyarrow  # noqa: F401  (Spark would miss it only later)
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
    except ImportError as problem:
        how = "Run: pip install 'cart-nrm[spark]'."
        raise UsageError(f"What Spark needs is not here: {problem.name}.", how) from None
    try:
        spark = _session(master)
        try:
            with Results(spark, output, form) as results:
                summary = _run(spark, settings, codes, source, results)
                results.commit(msgspec.json.encode(summary, order="sorted"))
            return summary
        finally:
            spark.stop()
    except (PySparkException, Py4JError) as problem:
        if "PATH_NOT_FOUND" in str(problem):
            raise UsageError(f"{source} names no file.") from None
        raise StoreError("Spark gave up.", _cause(str(problem))) from None


def _session(master: str) -> Spark:
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("cart-nrm").master(master)
    for option in (_OPTIONS | (_LOOPBACK if master.startswith("local") else {})).items():
        builder = builder.config(*option)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")  # what matters comes as an exception
    return spark


def _cause(problem: str) -> str:
    """What went wrong at which file, without the stack; our own errors hold no patient data."""
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    causes = [line.lstrip(": ") for line in lines if line.startswith((": ", "Caused by:"))]
    file = re.search(r"while reading file (\S+)", problem)
    return " ".join([file[1] if file else "", (causes[-1:] or lines[:1] or [""])[0][:500]]).strip()


def _run(
    spark: Spark, settings: Settings, codes: Codes, source: str, results: Results
) -> dict[str, Any]:
    """Write every table, and give the summary: exact counts, as it stays beside the rows."""
    from pyspark import StorageLevel

    on_disk = StorageLevel.DISK_ONLY  # computed once, though asked for several times
    lines = _lines(spark, source)
    people, traced = _people(work.through(lines.select("value"), work.FirstLook(codes), work.SEEN))
    taken = work.through(lines, work.SecondLook(traced), work.TAKEN).persist(on_disk)
    counts: dict[str, dict[str, int]] = {"kept": {}, "reject": {}, "not_used": {}}
    for row in taken.groupBy("kind", "type").agg({"count": "sum"}).collect():
        counts[row[0]][row[1]] = row[2]
    classify = Classifier(settings, codes, frozenset(counts["kept"]))
    together = _by_patient(
        taken, spark.sparkContext.defaultParallelism + len(traced) // _PATIENTS_A_TASK
    )
    judged = work.through(together, work.Judge(classify), work.JUDGED).persist(on_disk)
    results.write("episodes", _table(judged, "episode", _EPISODE))
    results.write("verdicts", _table(judged, "verdict", work.VERDICT))
    rejects = taken.where("kind = 'reject'")
    results.write("rejects", rejects.selectExpr("id AS place", "type AS reason"))
    accounts = judged.where("kind = 'account'").collect()
    account = reduce(work.both, map(work.account_in, accounts), work.Account())
    account.attrition.check()
    return {
        "kind": "cart-nrm results of Spark",
        "study": settings.study_name,
        "input": source,
        "codes_digest": codes.digest,
        "basis": classify.basis,
        "read": sum(sum(found.values()) for found in counts.values()),
        **counts,
        "others": people - len(traced),
        **msgspec.to_builtins(account),
    }


def _lines(spark: Spark, source: str) -> Frame:
    """Lines as they stand, byte for byte: as text, what is no UTF-8 would be mended."""
    text = spark.read.text(source, lineSep="\n")
    place = ("_metadata.file_path", "_metadata.file_block_start")
    return text.select(text.value.cast("binary"), *place)


def _people(seen: Frame) -> tuple[int, frozenset[str]]:
    """How many there are, and who has a trace."""
    people = seen.groupBy("patient").agg({"traced": "max"}).toDF("patient", "traced")
    traced = "collect_list(CASE WHEN traced THEN patient END)"
    count, found = people.selectExpr("count(*)", traced).first()
    return count, frozenset(found)


def _by_patient(taken: Frame, tasks: int) -> Frame:
    """The newest version of each resource, of each patient together; of twins the later one."""
    newest = taken.where("kind = 'kept'").selectExpr(
        "*", "row_number() OVER (PARTITION BY type, id ORDER BY updated DESC NULLS LAST,"
        " path DESC, block DESC, number DESC) AS nth",
    ).where("nth = 1").select("patient", "type", "id", "body")  # fmt: skip
    return newest.repartition(tasks, "patient").sortWithinPartitions("patient", "type", "id")


def _table(judged: Frame, kind: str, columns: str) -> Frame:
    rows = judged.where(f"kind = '{kind}'")
    return rows.selectExpr(f"from_json(line, '{columns}') AS row").select("row.*")
