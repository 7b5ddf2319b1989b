"""The main job on the embedded default: a synthetic hospital, served on loopback and pulled."""

import shutil
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from adapter.codes import load_codes
from adapter.config import Connection, Settings
from adapter.errors import UsageError
from adapter.export import export_cohort
from adapter.progress import Progress
from adapter.pseudonyms import Release, pseudonyms_beside
from adapter.report import write_report
from adapter.store import Store
from adapter.study import Study, run_study
from adapter.sync import sync
from adapter.terminal import study_in_words
from examples.endpoint import serving
from examples.synthetic import StudyShape, generate

_MARK = "This folder was made by `cart-nrm demo`; the demo may delete it.\n"


def run_demo(
    folder: Path, *, patients: int, recipients: int, seed: int, say: Callable[[str], None]
) -> Study:
    """Generate, serve, sync, classify, export and report; prints the study and where things are."""
    _make_room(folder)
    started = monotonic()
    say(f"A synthetic hospital: {patients:,} patients, {recipients:,} recipients; no real person.")
    synthetic = generate(StudyShape(patients, recipients, seed))
    codes = load_codes()
    progress = Progress()
    with serving(resource for _, resource in synthetic) as server:
        say(f"Its FHIR server answers at {server}; now pulling the recipients.")
        settings = Settings(
            store=folder / "cart-nrm.db",
            server=server,
            study_name="Synthetic CAR T cohort",
            connection=Connection(find="auto"),
        )
        with Store(settings.store) as store:
            pulled = sync(store, settings, codes, progress=progress)
            study = run_study(store, settings, codes, validate=True, tell=progress)
    progress.clear()
    say(f"{pulled.stored:,} resources of the recipients are in the store.\n")
    names = pseudonyms_beside(settings.store)
    export_cohort(study, folder / "cohort.csv", Release(names))
    report = write_report(study, folder / "report.html", names)
    say(study_in_words(study))
    say(f"\nIn {monotonic() - started:.0f} s. The report: {report}")
    say(f"The cohort file: {folder / 'cohort.csv'}   The store: {settings.store}")
    say(f"Look closer: .venv/bin/python cli.py status --store {settings.store}")
    say("After `pip install .` every command is `cart-nrm ...`.")
    return study


def _make_room(folder: Path) -> None:
    mark = folder / "DEMO.txt"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise UsageError(f"{folder} holds something else.", "Name a new folder for the demo.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.write_text(_MARK, encoding="utf-8")
