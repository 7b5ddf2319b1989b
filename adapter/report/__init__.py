"""The report: one self-contained HTML file, its figures as files, and a PDF where Chromium is."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from adapter.atomic import write_atomically
from adapter.errors import StoreError, UsageError
from adapter.pseudonyms import Pseudonyms
from adapter.report.page import page, stylesheet
from adapter.report.view import Change, Changes, View
from adapter.study import Study

__all__ = ["Change", "Changes", "report_html", "write_figures", "write_report"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Nothing but the page: no update, no sync, no first-run traffic, no network at all.
_QUIET = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
_SECONDS = 120


def report_html(study: Study, pseudonyms: Pseudonyms, changes: Changes | None = None) -> str:
    """The report as text; `changes` adds what is new since the last one."""
    return page(View(study, pseudonyms, changes))


def write_report(
    study: Study, path: Path, pseudonyms: Pseudonyms, changes: Changes | None = None
) -> Path:
    """Write FILE.html, or FILE.pdf where Chromium is installed; whole or not at all, mode 0600."""
    html = report_html(study, pseudonyms, changes).encode("utf-8")
    match path.suffix.lower():
        case ".html" | ".htm":
            content = html
        case ".pdf":
            content = _pdf(html)
        case other:
            raise UsageError(f"A report cannot be written as {other!r}.", "Use .html or .pdf.")
    return _write(path, content)


def write_figures(study: Study, folder: Path, pseudonyms: Pseudonyms) -> list[Path]:
    """Every figure as an SVG file of its own, in light colours; several panels give several."""
    view = View(study, pseudonyms)
    page(view)
    style = f"<style>{stylesheet()}</style>"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreError(f"The folder {folder} cannot be made: {problem.strerror}.") from None
    written = []
    for name, drawing in view.drawings.items():
        for part, svg in enumerate(_svgs("".join(drawing.iter_chunks()))):
            whole = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
            whole = whole.replace("<title", f"{style}<title", 1)
            ending = f"-{part + 1}" if part else ""
            written.append(_write(folder / f"{name}{ending}.svg", whole.encode("utf-8")))
    return written


def _svgs(html: str) -> list[str]:
    return [f"<svg{part.split('</svg>')[0]}</svg>" for part in html.split("<svg")[1:]]


def _write(path: Path, content: bytes) -> Path:
    try:
        return write_atomically(path, content)
    except OSError as problem:
        raise StoreError(
            f"{path} cannot be written: {problem.strerror}.", "Check the folder and the free space."
        ) from None


def _pdf(html: bytes) -> bytes:
    found = next((at for name in _BROWSERS if (at := shutil.which(name))), None)
    if found is None:
        raise UsageError(
            "A PDF needs Chromium or Chrome, and neither is installed.",
            "Write the report as .html and print it from a browser.",
        )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "report.html"), Path(folder, "report.pdf")
        source.write_bytes(html)
        sandbox = () if os.geteuid() else ("--no-sandbox",)  # Chromium refuses to run as root
        own = (f"--user-data-dir={folder}/profile", "--no-pdf-header-footer")
        command = [found, *_QUIET, *sandbox, *own, f"--print-to-pdf={target}", source.as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)  # noqa: S603
            return target.read_bytes()
        except (subprocess.SubprocessError, OSError) as problem:
            raise UsageError(
                f"Chromium could not print the report: {type(problem).__name__}.",
                "Write the report as .html and print it from a browser.",
            ) from None
