"""The report: one self-contained HTML file, its figures as files, and a PDF where Chromium is."""

from pathlib import Path

from adapter.errors import StoreError, UsageError
from adapter.export import save
from adapter.pseudonyms import Pseudonyms
from adapter.report import chromium
from adapter.report.page import asset, render
from adapter.report.svg import Drawing
from adapter.report.view import Change, Changes, View
from adapter.study import Study

__all__ = ["Change", "Changes", "report_html", "write_figures", "write_report"]


def report_html(study: Study, pseudonyms: Pseudonyms, changes: Changes | None = None) -> str:
    """The report as text; `changes` adds what is new since the last one."""
    return render(View(study, pseudonyms, changes))


def write_report(
    study: Study, path: Path, pseudonyms: Pseudonyms, changes: Changes | None = None
) -> Path:
    """Write FILE.html, or FILE.pdf where Chromium is installed; whole or not at all, mode 0600."""
    ending = path.suffix.lower()
    if ending not in (".html", ".htm", ".pdf"):
        raise UsageError(f"A report cannot be written as {ending!r}.", "Use .html or .pdf.")
    html = report_html(study, pseudonyms, changes)
    return save(path, chromium.printed(html) if ending == ".pdf" else html.encode("utf-8"))


def write_figures(study: Study, folder: Path, pseudonyms: Pseudonyms) -> list[Path]:
    """Every figure as SVG in light colours, and as PNG and PDF where Chromium is installed.

    A figure of several panels gives a file for each.
    """
    view = View(study, pseudonyms)
    render(view)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreError(f"The folder {folder} cannot be made: {problem.strerror}.") from None
    return [
        save(folder / f"{name}{ending}", content)
        for name, (drawing, svg) in view.pictures.items()
        for ending, content in _files_of(drawing, "".join(svg.iter_chunks())).items()
    ]


def _files_of(drawing: Drawing, svg: str) -> dict[str, bytes]:
    style = f"<style>{asset('style.css')}</style>".replace("prefers-color-scheme: dark", "not all")
    alone = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    alone = alone.replace("<title", f"{style}<title", 1)
    made = {".svg": alone.encode("utf-8")}
    if chromium.installed() is not None:
        width, height = int(drawing.width) + 1, int(drawing.height) + 1
        page = (
            f"@page {{ size: {width}px {height}px; margin: 0; }} body {{ margin: 0; padding: 0; }}"
        )
        html = f"<!doctype html><meta charset=utf-8>{style}<style>{page}</style><body>{svg}"
        made[".png"] = chromium.pictured(html, width, height)
        made[".pdf"] = chromium.printed(html)
    return made
