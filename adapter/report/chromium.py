"""PDF and PNG by headless Chromium, where one is installed; it is given no network."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from adapter.errors import UsageError

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Nothing but the page: no update, no sync, no first-run traffic, no name is ever looked up.
_QUIET = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars",
)  # fmt: skip
_SECONDS = 120
_SHARP = 3  # device pixels for one pixel of a picture: about 290 dpi at printed size
_OTHERWISE = "Write the report as .html and print it from a browser."


def installed() -> str | None:
    """The path of Chromium or Chrome, if any."""
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def printed(html: str) -> bytes:
    """The page as PDF; UsageError with another way when there is no browser or it fails."""
    return _run(html, "--no-pdf-header-footer", "--print-to-pdf={out}")


def pictured(html: str, width: int, height: int) -> bytes:
    """The page as PNG of that size."""
    size = f"--window-size={width},{height}"
    return _run(html, size, f"--force-device-scale-factor={_SHARP}", "--screenshot={out}")


def _run(html: str, *options: str) -> bytes:
    browser = installed()
    if browser is None:
        raise UsageError("A PDF needs Chromium or Chrome, and neither is installed.", _OTHERWISE)
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "page.html"), Path(folder, "out.png")
        source.write_text(html, encoding="utf-8")
        sandbox = () if os.geteuid() else ("--no-sandbox",)  # Chromium refuses to run as root
        told = (option.replace("{out}", str(out)) for option in options)
        command = [browser, *_QUIET, *sandbox, f"--user-data-dir={folder}/profile", *told]
        try:
            subprocess.run(  # noqa: S603
                [*command, source.as_uri()], check=True, capture_output=True, timeout=_SECONDS
            )
            return out.read_bytes()
        except (subprocess.SubprocessError, OSError) as problem:
            what = f"Chromium could not print the report: {type(problem).__name__}."
            raise UsageError(what, _OTHERWISE) from None
