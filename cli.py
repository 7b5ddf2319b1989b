"""The command line: one group, commands in flow order, each a few lines calling one function."""

import json
import math
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from adapter import __version__
from adapter.config import Settings, read_settings
from adapter.errors import (
    UNREADABLE,
    CartNrmError,
    MappingError,
    Partial,
    StoreError,
    UsageError,
)

if TYPE_CHECKING:
    from adapter.codes import Codes
    from adapter.pseudonyms import Pseudonyms
    from adapter.report import Changes
    from adapter.store import Store
    from adapter.study import Study


class _InOrder(click.Group):
    """Commands are listed in the order of the flow, and our errors end with their exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except sqlite3.Error as problem:
            from adapter.store import store_hint, store_reason

            reason = f"The store cannot be used: {store_reason(problem)}."
            self._end(StoreError(reason, store_hint(problem)))
        except CartNrmError as problem:
            self._end(problem)

    def _end(self, problem: CartNrmError) -> NoReturn:
        label = {20: "Partial", 21: "Alarm"}.get(problem.exit_code, "Error")
        click.echo(f"{label}: {problem.message}", err=True)
        if problem.hint:
            click.echo(f"  → {problem.hint}", err=True)
        sys.exit(problem.exit_code)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cart-nrm")
def main() -> None:
    """Non-relapse mortality after CAR T cell therapy, from FHIR to a cohort file and a report.

    Each night: `nightly`. By hand: `sync` (or `load`), `classify`, `export`, `report`.

    Example: cart-nrm demo demo
    """
    os.umask(0o077)  # whatever is written, nobody else may read it


def common(command: Callable[..., None]) -> Callable[..., None]:
    """The options every command has; the command receives them as one `settings`."""

    @click.option("--config", type=click.Path(path_type=Path), help="study.toml with settings")
    @click.option("--store", type=click.Path(path_type=Path), help="the store (one SQLite file)")
    @click.option("--site-mappings", type=click.Path(path_type=Path), help="site overlay folder")
    @wraps(command)
    def with_settings(
        config: Path | None, store: Path | None, site_mappings: Path | None, **others: Any
    ) -> None:
        elsewhere = {name: others.pop(name, None) for name in ("server", "workers")}
        overrides = {"store": store, "site_mappings": site_mappings, **elsewhere}
        command(settings=read_settings(config, overrides), **others)

    return with_settings


def as_json(command: Callable[..., None]) -> Callable[..., None]:
    """A --json switch for commands whose answer a machine may read."""
    return click.option("--json", "json_", is_flag=True, help="print JSON")(command)


def _answer(value: Any, json_: bool, in_words: Callable[[Any], str]) -> None:
    """The answer of a command, for a machine or for a person."""
    click.echo(_as_json(value) if json_ else in_words(value))


def _as_json(value: Any) -> str:
    import msgspec

    plain = msgspec.to_builtins(value)
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _open(settings: Settings, *, create: bool = False) -> "Store":
    from adapter.atomic import need_room
    from adapter.store import Store

    if create:
        # by hand somebody watches, so less is enough than for a night
        need_room(settings.store.parent, min(settings.nightly.free_mb, 100))
    return Store(settings.store, create=create)


def _codes(settings: Settings) -> "Codes":
    from adapter.codes import load_codes

    return load_codes(
        settings.site_mappings,
        include_unverified=settings.include_unverified,
        who_is_gm=settings.who_is_gm,
    )


def _study(
    settings: Settings, as_of: int | None = None, *, validate: bool = False, facts: bool = True
) -> "Study":
    from adapter.pool import early_pool
    from adapter.progress import Progress
    from adapter.status import remember_counts
    from adapter.study import run_study

    codes, progress = _codes(settings), Progress()
    with early_pool(settings.workers) or nullcontext() as pool, _open(settings) as store:
        study = run_study(
            store, settings, codes, as_of=as_of, validate=validate, facts=facts,
            tell=progress, pool=pool,
        )  # fmt: skip
        if as_of is None:
            remember_counts(store, study)
    progress.clear()
    return study


workers_option = click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="processes; default: all processors"
)
as_of_option = click.option(
    "--as-of", type=int, metavar="RUN", help="as the store stood at the end of this run"
)


def _finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.")
    return value


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), default="demo")
@click.option("--patients", default=1_600, show_default=True, help="synthetic patients")
@click.option("--recipients", default=1_050, show_default=True, help="of whom got CAR T")
@click.option("--seed", default=7, show_default=True, help="the same seed, the same study")
def demo(folder: Path, patients: int, recipients: int, seed: int) -> None:
    """Run the whole job on synthetic data: server on loopback, sync, classify, export, report.

    Example: cart-nrm demo demo
    """
    try:
        from examples.demo import run_demo
    except ImportError:
        raise UsageError(
            "The demo needs the examples folder.", "Run it from a source checkout: `make demo`."
        ) from None
    run_demo(folder, patients=patients, recipients=recipients, seed=seed, say=click.echo)


@main.command()
@click.option("--server", help="base URL of the FHIR server")
@common
@click.option("--validate", is_flag=True, help="validate every resource of the store, with FHIR R4")
@as_json
def check(settings: Settings, validate: bool, json_: bool) -> None:
    """Say whether settings, code lists, store and server are ready for a sync.

    Example: cart-nrm check --config study.toml
    """
    from adapter.causes import check_rules
    from adapter.sync import check as check_all
    from adapter.words import checked_in_words

    lines = check_all(settings, settings.store, check_rules)
    _answer(lines, json_, checked_in_words)
    if validate:
        _validate_store(settings)
    sys.exit(next((line.exit_code for line in lines if line.colour == "red"), 0))


def _validate_store(settings: Settings) -> None:
    from adapter.validate import validity_of

    with _open(settings) as store:
        problems = list(validity_of(store))
    for place, problem in problems:
        click.echo(f"{place}  {problem}")
    click.echo(f"{len(problems):,} places in the store are not valid FHIR R4")


@main.command()
@click.option("--server", help="base URL of the FHIR server")
@common
@as_json
def plan(settings: Settings, json_: bool) -> None:
    """Print what a sync would ask for, why, and how many rows to expect. Pulls nothing.

    Example: cart-nrm plan --server https://fhir.example.org/r4
    """
    from adapter.sync import plan as plan_sync
    from adapter.words import planned_in_words

    rows = plan_sync(settings, _codes(settings))
    _answer(rows, json_, planned_in_words)


@main.command()
@click.option("--server", help="base URL of the FHIR server")
@common
@click.option("--accept-vanished", is_flag=True, help="after alarm 21: yes, they are really gone")
@as_json
def sync(settings: Settings, accept_vanished: bool, json_: bool) -> None:
    """Pull what changed since last time into the store.

    Example: cart-nrm sync --config study.toml
    """
    from adapter.lock import held
    from adapter.progress import Progress
    from adapter.sync import sync as pull
    from adapter.words import synced_in_words

    progress = Progress()
    with held(settings.store, "sync"), _open(settings, create=True) as store:
        report = pull(
            store, settings, _codes(settings), progress=progress, accept_vanished=accept_vanished
        )
    progress.clear()
    _answer(report, json_, synced_in_words)
    report.raise_if_incomplete()


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--recipients-only",
    is_flag=True,
    help="keep only patients with a trace of cell therapy: for whole-hospital exports",
)
@common
@workers_option
@as_json
def load(settings: Settings, paths: tuple[Path, ...], recipients_only: bool, json_: bool) -> None:
    """Take in an export on disk: NDJSON, Bundles, folders, gzip.

    Example: cart-nrm load export/ extra.ndjson.gz --store cart.db
    """
    from adapter.files import find_files
    from adapter.load import load as load_files
    from adapter.lock import held
    from adapter.pool import Pool, early_pool
    from adapter.progress import Progress
    from adapter.words import loaded_in_words

    paths, progress = tuple(find_files(paths)), Progress()  # before a store is made
    wanted = _codes(settings) if recipients_only else None
    workers = settings.workers if recipients_only else 1
    with (
        early_pool(workers) or Pool(workers) as pool,
        held(settings.store, "load"),
        _open(settings, create=True) as store,
    ):
        report = load_files(store, paths, progress, recipients=wanted, pool=pool)
        reasons = store.reject_reasons(report.run)
    progress.clear()
    _answer(report, json_, lambda report: loaded_in_words(report, reasons))
    if not report.complete:
        raise Partial(
            f"{report.rejected:,} of {report.read:,} entries could not be used.",
            "The store keeps these as received, with the reason.",
        )


@main.command()
@common
@workers_option
@as_of_option
@click.option("--engine", type=click.Choice(["local", "spark"]), default="local", show_default=True)
@click.option("--input", "source", metavar="GLOB", help="spark: the NDJSON to read, plain or gzip")
@click.option("--output", metavar="DIR", help="spark: the folder to put tables and summary into")
@click.option("--format", "form", type=click.Choice(["parquet", "ndjson"]), help="spark: of tables")
@click.option("--master", metavar="URL", help="spark: its master; default: this machine alone")
@as_json
def classify(
    settings: Settings, as_of: int | None, json_: bool, engine: str, **cluster: str | None
) -> None:
    """Decide for each infusion what came first, and name the cause of each NRM.

    Example: cart-nrm classify --store cart.db --json > cohort.json
    """
    if engine == "spark":
        _classify_on_spark(settings, as_of, json_, cluster)
        return
    if any(cluster.values()):
        raise UsageError("--input, --output, --format and --master need --engine spark.")
    study = _study(settings, as_of, facts=False)
    if json_:
        from adapter.export import rows_of

        click.echo(_as_json(rows_of(study)))
    else:
        from adapter.terminal import study_in_words

        click.echo(study_in_words(study))


def _classify_on_spark(
    settings: Settings, as_of: int | None, json_: bool, chosen: dict[str, str | None]
) -> None:
    from adapter.spark import classify_on_spark
    from adapter.words import summed_up_in_words

    source, output = chosen["source"], chosen["output"]
    if not source or not output or as_of is not None:
        raise UsageError("--engine spark needs --input and --output, and knows no runs of a store.")
    master = chosen["master"] or f"local[{settings.workers}]"
    form = chosen["form"] or "parquet"
    summary = classify_on_spark(settings, _codes(settings), source, output, master, form)
    _answer(summary, json_, summed_up_in_words)
    if rejected := sum(summary["reject"].values()):
        raise Partial(
            f"{rejected:,} of {summary['read']:,} entries could not be used.",
            "The table `rejects` names each with its place and the reason.",
        )


@main.command()
@click.argument("patient")
@common
@as_of_option
def explain(settings: Settings, patient: str, as_of: int | None) -> None:
    """Print one patient: day line, findings and verdict, with the resources behind them.

    Example: cart-nrm explain 4711 --store cart.db
    """
    from adapter.explain import explain as page_of
    from adapter.study import run_study

    with _open(settings) as store:
        patient = _patient_named(settings, store, patient)
        study = run_study(store, settings, _codes(settings), as_of=as_of, only=[patient])
    if not study.judged:
        reason = next(iter(study.attrition.not_recipients), "not_in_the_store")
        raise UsageError(f"That is not a CAR T recipient: {reason.replace('_', ' ')}.")
    click.echo("\n\n".join(page_of(one, study.plan) for one in study.judged))


def _patient_named(settings: Settings, store: "Store", name: str, *, whole: bool = False) -> str:
    """A logical id, however it is printed (`Patient/7`, `7#1`), or a pseudonym of a report.

    A pseudonym shortened for print must still mean one patient only; `whole` wants all of it.
    """
    held = store.ids("Patient")
    plain = name.removeprefix("Patient/").split("#")[0]
    if plain in held or not plain.upper().startswith("P-"):
        return plain
    if len(plain) < len("P-123456"):
        raise UsageError("That pseudonym is too short to mean one patient.", "Give all of it.")
    names, said = store.pseudonyms(), plain.upper()
    meant = [one for one in held if any(name.startswith(said) for name in names.ever(one))]
    if len(meant) == 1 and (not whole or said in names.ever(meant[0])):
        return meant[0]
    raise UsageError(
        "That pseudonym does not stand for exactly one patient of this store.",
        "Give the server's logical id, or the whole P-… name from the cohort file.",
    )


@main.command()
@click.argument("table", metavar="CSV", type=click.Path(path_type=Path))
@click.option("--time", "time_", default="time", show_default=True, help="column of times")
@click.option("--event", default="event", show_default=True, help="column of events 0/1/2/..")
@click.option("--group", help="column of groups to compare")
@click.option("--entry", help="column of entry times (left truncation)")
@click.option("--strata", help="column of strata for Gray's test")
@click.option("--covariate", multiple=True, help="column for the regressions (repeatable)")
@click.option("--at", default="30,100,365", show_default=True, help="times to read the curves at")
@click.option("--variance", type=click.Choice(["greenwood", "aalen"]), default="greenwood")
@click.option(
    "--conf", type=click.Choice(["log-log", "log", "plain", "cloglog"]), default="log-log"
)
@click.option("--rho", default=0.0, callback=_finite, help="weight (1 - F)^rho of Gray's test")
@click.option("--models", is_flag=True, help="Fine-Gray, cause-specific Cox, log-rank")
@as_json
def incidence(table: Path, json_: bool, **chosen: Any) -> None:
    """Competing-risk statistics of anyone's table.

    Example: cart-nrm incidence cohort.csv --time time_days --event event --group product --json
    """
    from adapter.incidence import Options
    from adapter.tables import Columns, incidence_of_file
    from adapter.words import incidence_in_words

    columns = Columns(
        chosen["time_"], chosen["event"], chosen["group"], chosen["entry"], chosen["strata"],
        chosen["covariate"],
    )  # fmt: skip
    options = Options(
        at=_numbers(chosen["at"]),
        variance=chosen["variance"],
        conf=chosen["conf"],
        rho=chosen["rho"],
        models=chosen["models"],
    )
    answer = incidence_of_file(table, columns, options)
    _answer(answer, json_, incidence_in_words)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        days = tuple(map(float, text.split(",")))
    except ValueError:
        days = (math.nan,)
    if not all(0 <= day < math.inf for day in days):
        raise UsageError(f"--at {text!r} is not a list of days.", "Write 30,100,365.")
    return days


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@common
@as_of_option
@click.option("--identified", is_flag=True, help="real ids and dates (allowed by a setting; noted)")
@click.option(
    "--dates", type=click.Choice(["days", "shift", "year"]), show_default="days",
    help="what becomes of dates",
)  # fmt: skip
@click.option(
    "--small-cells", type=click.IntRange(0), default=5, show_default=True,
    help="hide smaller counts",
)  # fmt: skip
@click.option("--columns", default="", metavar="A,B", help="only these columns")
@as_json
def export(settings: Settings, file: Path, as_of: int | None, json_: bool, **chosen: Any) -> None:
    """Write the cohort; the format follows the suffix. Pseudonymous unless --identified.

    Example: cart-nrm export cohort.csv --store cart.db
    """
    from adapter.export import ending_of, export_cohort
    from adapter.journal import note_identified
    from adapter.pseudonyms import Release

    ending, identified, dates = ending_of(file), chosen["identified"], chosen["dates"]
    if identified and dates:
        raise UsageError("--identified gives real dates: leave out --dates, or --identified.")
    if identified and not settings.identified_exports:
        what = "Identified exports are not allowed here."
        raise UsageError(what, "Whoever answers for it sets identified-exports = true.")
    names = None if identified else _pseudonyms(settings)
    columns = tuple(filter(None, map(str.strip, chosen["columns"].split(","))))
    release = Release(names, dates or "days", identified, chosen["small_cells"], columns)
    study = _study(settings, as_of, facts=False)
    if identified:
        note_identified(settings.nightly.folder, len(study.judged), ending)
    receipt = export_cohort(study, file, release)
    if json_:
        click.echo(_as_json({**receipt._asdict(), "path": str(receipt.path)}))
    else:
        click.echo(f"{receipt.rows:,} rows in {receipt.path} ({receipt.format})")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@common
@as_of_option
@click.option("--since", type=int, metavar="RUN", help="say what changed since this run")
@click.option("--figures", type=click.Path(path_type=Path), help="also write figures here")
def report(
    settings: Settings, file: Path, as_of: int | None, since: int | None, figures: Path | None
) -> None:
    """Write the report as one self-contained page (.html, or .pdf where Chromium is found).

    Example: cart-nrm report report.html --store cart.db
    """
    from adapter.report import write_figures, write_report

    study, names = _study(settings, as_of, validate=True), _pseudonyms(settings)
    changes = _changes(settings, since, as_of) if since is not None else None
    click.echo(write_report(study, file, names, changes))
    for figure in write_figures(study, figures, names) if figures else []:
        click.echo(figure)


def _changes(settings: Settings, first: int, second: int | None) -> "Changes":
    """What changed between two runs; without a second one, until the last."""
    from adapter.changes import diff as changes_of

    with _open(settings) as store:
        last = second or max((int(run["run"]) for run in store.runs()), default=0)
        return changes_of(store, settings, _codes(settings), first, last)


def _pseudonyms(settings: Settings) -> "Pseudonyms":
    with _open(settings) as store:
        return store.pseudonyms()


@main.group()
def review() -> None:
    """Let two blinded readers judge the deaths: export, import, agreement.

    Example: cart-nrm review export review-2026-11/ --store cart.db
    """


@review.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@common
@click.option("--which", type=click.Choice(["due", "all", "disputed"]), default="due")
@click.option(
    "--role", type=click.Choice(["reader", "consensus", "third_reader"]), default="reader"
)
@click.option("--show-verdict", is_flag=True, help="show the rules' verdict (readers not blinded)")
def review_export(settings: Settings, folder: Path, **chosen: Any) -> None:
    """Write worklists (CSV, XLSX) and one dossier per death, pseudonymous.

    Example: cart-nrm review export review-2026-11/ --store cart.db
    """
    from adapter.review import export_review

    study, names = _study(settings), _pseudonyms(settings)
    with _open(settings) as store:
        said = store.decisions()
    done = export_review(study.judged, study.plan, folder, names.of, decisions=said, **chosen)
    click.echo(f"{done.cases:,} deaths in {folder}")
    for file in done.files[:4]:
        click.echo(f"  {file}")


@review.command("import")
@click.argument("worklists", nargs=-1, required=True, type=click.Path(path_type=Path))
@common
def review_import(settings: Settings, worklists: tuple[Path, ...]) -> None:
    """Take in filled worklists; every row is right, or nothing is kept.

    Example: cart-nrm review import reader-a.csv reader-b.xlsx --store cart.db
    """
    from datetime import date

    from adapter.review import import_review

    study, names = _study(settings), _pseudonyms(settings)
    with _open(settings) as store:
        done = import_review(worklists, study.judged, names.of, store, date.today())
    click.echo(
        f"{done.added:,} decisions added, {done.known:,} known, {done.open:,} rows still open"
    )


@review.command("agreement")
@common
@as_json
def review_agreement(settings: Settings, json_: bool) -> None:
    """Say how far readers agree with each other, and the rules with them.

    Example: cart-nrm review agreement --store cart.db --json
    """
    from adapter.review import agreement_of
    from adapter.words import agreement_in_words

    study = _study(settings)
    with _open(settings) as store:
        answer = agreement_of(study.judged, store.decisions())
    _answer(answer, json_, agreement_in_words)


@main.command()
@click.argument("summaries", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--horizon", type=float, callback=_finite, help="also pool the cumulative incidence at this day"
)
@click.option("--published", is_flag=True, help="reproduce the published 52-cohort table")
@as_json
def pool(summaries: tuple[Path, ...], horizon: float | None, published: bool, json_: bool) -> None:
    """Pool several centres from their summary.json, or a CSV with study,n,events.

    Example: cart-nrm pool north.summary.json south.summary.json --json
    """
    from adapter.tables import pool_files, published_reproduced
    from adapter.words import pooled_in_words, published_in_words

    if published:
        rows = published_reproduced()
        _answer(rows, json_, published_in_words)
        return
    if not summaries:
        raise UsageError("Nothing to pool.", "Name summary.json files, a CSV, or --published.")
    answer = pool_files(summaries, horizon)
    _answer(answer, json_, pooled_in_words)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@common
@as_json
def cases(settings: Settings, folder: Path, json_: bool) -> None:
    """Run a folder of day tables with expected answers; exit 1 when one differs.

    Example: cart-nrm cases our-cases/
    """
    from adapter.cases import run_folder
    from adapter.causes import Plan
    from adapter.terminal import cases_in_words

    results = run_folder(folder, Plan(settings.policy, settings.rules))
    if json_:
        click.echo(_as_json({one.case.title: one.differences for one in results}))
    else:
        click.echo(cases_in_words(results))
    sys.exit(any(one.differences for one in results))


@main.command()
@common
@as_json
def status(settings: Settings, json_: bool) -> None:
    """Say how the last runs went, what is due, and what waits for a person.

    Example: cart-nrm status --store cart.db --json
    """
    from adapter.status import status_of
    from adapter.words import status_in_words

    with _open(settings) as store:
        answer = status_of(store, settings, _codes(settings))
    _answer(answer, json_, status_in_words)


@main.command()
@common
@click.option("--accept-vanished", is_flag=True, help="after alarm 21: yes, they are really gone")
@as_json
def nightly(settings: Settings, accept_vanished: bool, json_: bool) -> None:
    """Sync, classify, export, report and say what changed, as one run that can be killed.

    Example: cart-nrm nightly --config study.toml
    """
    from adapter.nightly import run_night
    from adapter.progress import Progress
    from adapter.tell import in_words

    progress = Progress()

    def say(line: str) -> None:  # one JSON line an event, as log collectors like it
        if not progress.live:
            click.echo(line, err=True)

    night = run_night(settings, say, progress=progress, accept_vanished=accept_vanished)
    progress.clear()
    _answer(night, json_, in_words)
    sys.exit(night.exit_code)


@main.command()
@click.argument("first", metavar="RUN", type=int)
@click.argument("second", metavar="RUN", type=int)
@common
@as_json
def diff(settings: Settings, first: int, second: int, json_: bool) -> None:
    """Say what two runs tell differently, and why: evidence, mapping, rule or decision.

    Example: cart-nrm diff 41 42 --store cart.db
    """
    found = _changes(settings, first, second)
    if json_:
        changes = [change._asdict() for change in found.changes]
        click.echo(_as_json({"since": found.since, "changes": changes}))
        return
    for change in found.changes:
        click.echo(f"{change.patient}  {change.kind}: {change.text}")
    click.echo(f"{len(found.changes)} changes since {found.since}")


@main.command()
@click.argument("patient")
@common
@click.option("--outputs", is_flag=True, help="also delete outputs and copies that name them")
@click.option("--yes", is_flag=True, help="do not ask")
@as_json
def purge(settings: Settings, patient: str, outputs: bool, yes: bool, json_: bool) -> None:
    """Erase one patient for good: every version, reject and decision. Cannot be undone.

    Example: cart-nrm purge 4711 --store cart.db
    """
    from adapter.atomic import MEGABYTE, need_room
    from adapter.lock import held
    from adapter.purge import purge as erase
    from adapter.purge import purged_in_words

    with held(settings.store, "purge"), _open(settings) as store:
        patient = _patient_named(settings, store, patient, whole=True)
        need_room(settings.store.parent, 2 * settings.store.stat().st_size / MEGABYTE)  # VACUUM
        if not yes:
            click.confirm(f"Erase everything about {patient}, for good?", abort=True)
        purged = erase(store, patient, settings.nightly.folder, outputs=outputs)
    _answer(purged, json_, purged_in_words)
    if not purged.clean:
        raise Partial("Something about this patient is still there.", "It is listed above.")


@main.command("rotate-key")
@common
def rotate_key(settings: Settings) -> None:
    """Give every patient a new pseudonym from now on; older ones still lead back to the patient.

    Example: cart-nrm rotate-key --store cart.db
    """
    from adapter.lock import held
    from adapter.pseudonyms import rotate

    with held(settings.store, "rotate-key"), _open(settings) as store:
        names = rotate(settings.store, store.meta("key_id") or "")
        store.set_meta("key_id", names.key_id)
    click.echo(f"Exports are under key {names.key_id} from now on. Back up {settings.store}.key.")


@main.group()
def mappings() -> None:
    """What codes mean: lint, explain, coverage, expand.

    Example: cart-nrm mappings explain "ICD-10-CM|D89.834"
    """


@mappings.command("lint")
@common
@as_json
def lint_(settings: Settings, json_: bool) -> None:
    """Check every code list (and the site overlay) for faults; exit 11 when one is found.

    Example: cart-nrm mappings lint --site-mappings site/
    """
    from datetime import date

    from adapter.codes.lint import lint
    from adapter.words import faults_in_words

    faults = lint(site=settings.site_mappings, today=date.today())
    _answer(faults, json_, faults_in_words)
    sys.exit(MappingError.exit_code if faults else 0)


@mappings.command("explain")
@click.argument("code", metavar="SYSTEM|CODE")
@common
@as_json
def explain_code(settings: Settings, code: str, json_: bool) -> None:
    """Say what one code means to us, and which rows won or lost.

    Example: cart-nrm mappings explain "ICD-10-CM|D89.834"
    """
    from adapter.codes.explain import explain as explanation_of

    answer = explanation_of(_codes(settings), code)
    _answer(answer, json_, lambda answer: "\n".join(answer.lines()))


@mappings.command()
@common
@click.option("--most", default=25, show_default=True, help="how many codes to list")
@as_json
def coverage(settings: Settings, most: int, json_: bool) -> None:
    """List the codes of the source that mean nothing yet, most recipients first.

    Example: cart-nrm mappings coverage --store cart.db
    """
    from adapter.words import coverage_in_words

    gaps = _study(settings, facts=False).unmapped[:most]
    _answer(gaps, json_, coverage_in_words)


@mappings.command("expand")
@click.option(
    "--terminology-server",
    required=True,
    help="FHIR base of a terminology server; asked without login",
)
@common
def expand_(settings: Settings, terminology_server: str) -> None:
    """Fetch the descendants of our SNOMED CT codes into the site folder ($expand by ECL).

    Example: cart-nrm mappings expand --terminology-server https://tx.example.org/r4
    --site-mappings site/
    """
    from adapter.config import Auth
    from adapter.fhir.client import Client
    from adapter.fhir.terminology import asking, expand

    site = settings.site_mappings
    if site is None:
        raise UsageError("The descendants have no place to go.", "Name it with --site-mappings.")
    # our login is for the hospital's server only, which is never asked for codes
    client = Client(settings.model_copy(update={"server": terminology_server, "auth": Auth()}))
    try:
        for note in expand(asking(client), _codes(settings), site):
            click.echo(str(note), err=True)
    finally:
        client.close()


@mappings.command("export")
@click.argument("concept")
@click.option("--as", "kind", type=click.Choice(["valueset", "conceptmap"]), default="valueset")
@click.option("--subconcept", default="", help="only this one (ValueSet)")
@common
def export_set(settings: Settings, concept: str, kind: str, subconcept: str) -> None:
    """Print one concept as a FHIR ValueSet or ConceptMap.

    Example: cart-nrm mappings export cart_infusion > cart_infusion.json
    """
    from adapter.codes.sets import concept_map, value_set

    codes = _codes(settings)
    body = (
        value_set(codes, concept, subconcept) if kind == "valueset" else concept_map(codes, concept)
    )
    click.echo(_as_json(body))


@mappings.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--signed", required=True, help="who decides that these codes mean this")
@click.option("--dated", required=True, help="when, YYYY-MM-DD")
@click.option("--concept", default="", help="what the codes of a ValueSet mean")
@click.option("--subconcept", default="", help="and which entry of that list")
@common
def import_set(settings: Settings, file: Path, **named: str) -> None:
    """Print a FHIR ValueSet or ConceptMap as rows for the site overlay.

    Example: cart-nrm mappings import lab-map.json --signed "A. Reviewer" --dated 2025-03-01
    > site/lab.csv
    """
    from adapter.codes.sets import overlay_csv, overlay_from

    try:
        resource = json.loads(file.read_bytes())
    except UNREADABLE:
        raise UsageError(f"{file} is not JSON.") from None
    found = overlay_from(resource, _codes(settings), **named)
    click.echo(overlay_csv(found.rows), nl=False)
    for left in found.left_out:
        click.echo(f"left out: {left}", err=True)


if __name__ == "__main__":
    main()
