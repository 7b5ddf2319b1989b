"""The command line: one group, commands in flow order, each a few lines calling one function."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from adapter import __version__
from adapter.config import Settings, read_settings
from adapter.errors import CartNrmError, Partial, UsageError

if TYPE_CHECKING:
    from adapter.codes import Codes
    from adapter.store import Store
    from adapter.study import Study

P = ParamSpec("P")


class _InOrder(click.Group):
    """Commands are listed in the order of the flow, and our errors end with their exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CartNrmError as problem:
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
    """


def common(command: Callable[..., None]) -> Callable[..., None]:
    """The options every command has; the command receives them as one `settings`."""

    @click.option("--config", type=click.Path(path_type=Path), help="study.toml with settings")
    @click.option("--store", type=click.Path(path_type=Path), help="the store (one SQLite file)")
    @click.option("--site-mappings", type=click.Path(path_type=Path), help="site overlay folder")
    @wraps(command)
    def with_settings(
        config: Path | None, store: Path | None, site_mappings: Path | None, **others: Any
    ) -> None:
        server = others.pop("server", None)
        overrides = {"store": store, "site_mappings": site_mappings, "server": server}
        command(settings=read_settings(config, overrides), **others)

    return with_settings


def as_json(command: Callable[..., None]) -> Callable[..., None]:
    """A --json switch for commands whose answer a machine may read."""
    return click.option("--json", "json_", is_flag=True, help="print JSON")(command)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False))


def _builtins(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def _open(settings: Settings, *, create: bool = False) -> "Store":
    from adapter.store import Store

    return Store(settings.store, create=create)


def _codes(settings: Settings) -> "Codes":
    from adapter.codes import load_codes

    return load_codes(settings.site_mappings, include_unverified=settings.include_unverified)


def _study(settings: Settings, as_of: int | None = None, validate: bool = False) -> "Study":
    from adapter.study import run_study
    from adapter.terminal import Progress

    progress = Progress()
    with _open(settings) as store:
        study = run_study(
            store, settings, _codes(settings), as_of=as_of, validate=validate, tell=progress
        )
    progress.done()
    return study


as_of_option = click.option(
    "--as-of", type=int, metavar="RUN", help="as the store stood at the end of this run"
)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), default="demo")
@click.option("--patients", default=1_600, show_default=True, help="synthetic patients")
@click.option("--recipients", default=1_050, show_default=True, help="of whom got CAR T")
@click.option("--seed", default=7, show_default=True)
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
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@common
@as_json
def load(settings: Settings, paths: tuple[Path, ...], json_: bool) -> None:
    """Take in an export on disk: NDJSON, Bundles, folders, gzip.

    Example: cart-nrm load export/ extra.ndjson.gz --store cart.db
    """
    from adapter.load import load as load_files
    from adapter.terminal import Progress, loaded_in_words

    progress = Progress()
    with _open(settings, create=True) as store:
        report = load_files(store, paths, tell=progress)
        reasons = store.reject_reasons(report.run)
    progress.done()
    _print_json(_builtins(report)) if json_ else click.echo(loaded_in_words(report, reasons))
    if not report.complete:
        raise Partial(
            f"{report.rejected:,} of {report.read:,} entries could not be used.",
            "All others are stored; the store keeps these as received, with the reason.",
        )


@main.command()
@common
@as_of_option
@as_json
def classify(settings: Settings, as_of: int | None, json_: bool) -> None:
    """Decide for each infusion what came first, and name the cause of each NRM.

    Example: cart-nrm classify --store cart.db --json > cohort.json
    """
    from adapter.export import rows_of
    from adapter.terminal import study_in_words

    study = _study(settings, as_of)
    _print_json(rows_of(study)) if json_ else click.echo(study_in_words(study))


if __name__ == "__main__":
    main()
