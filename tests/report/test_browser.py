"""The report in a real browser: no error, no request, script works, axe finds nothing serious."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from adapter.pseudonyms import Pseudonyms
from adapter.report import report_html, write_figures, write_report
from adapter.report.page import CHAPTERS
from tests.report.studies import a_study

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
AXE = "axe-core@4.10.3"
KEY = Pseudonyms(bytes(range(32)))

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome")

_LISTEN = """<script>
const problems = [];
window.addEventListener("error", (e) => problems.push("error: " + e.message));
document.addEventListener("securitypolicyviolation", (e) => problems.push("csp: " + e.blockedURI));
console.error = console.warn = (...words) => problems.push("console: " + words.join(" "));
</script>"""


def browse(html: str, folder: Path, after: str) -> dict[str, object]:
    """Open the page, run `after` when it is loaded, and read the JSON it leaves in the title."""
    told = f"""<script>addEventListener("load", async () => {{
        const found = await (async () => {{ {after} }})();
        const sent = performance.getEntriesByType("resource").map((entry) => entry.name);
        document.title = JSON.stringify({{...found, problems, sent}});
    }});</script>"""
    page = folder / "page.html"
    page.write_text(html.replace("<head>", f"<head>{_LISTEN}").replace("</body>", f"{told}</body>"),
                    encoding="utf-8")  # fmt: skip
    command = [
        str(CHROMIUM), "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}",
        *([] if os.geteuid() else ["--no-sandbox"]), "--virtual-time-budget=20000", "--dump-dom",
        page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)
    assert title, done.stderr[-500:]
    import html as entities

    found: dict[str, object] = json.loads(entities.unescape(title[1]))
    return found


def test_no_error_no_request_and_the_filter_works(tmp_path: Path) -> None:
    """The script fills the tools, the filter hides cards, and nothing is asked of the network."""
    found = browse(
        report_html(a_study(300), KEY),
        tmp_path,
        """
        const form = document.querySelector("form.tools");
        const all = document.querySelectorAll(".card:not([hidden])").length;
        form.review.checked = true;
        form.dispatchEvent(new Event("input", {bubbles: true}));
        const some = document.querySelectorAll(".card:not([hidden])").length;
        const svg = document.getElementById("figure-2");
        const box = svg.getBoundingClientRect();
        svg.dispatchEvent(new PointerEvent("pointermove",
            {clientX: box.left + box.width / 2, clientY: box.top + 50}));
        const said = svg.nextElementSibling.textContent;
        return {all, some, causes: form.cause.options.length, said};
        """,
    )
    assert [] == found["problems"]
    assert [] == found["sent"]
    assert isinstance(found["causes"], int)
    assert found["causes"] > 2
    assert isinstance(found["all"], int)
    assert isinstance(found["some"], int)
    assert found["all"] > found["some"] > 0
    assert re.match(r"Day \d+: Relapse [\d.]+%, NRM [\d.]+%", str(found["said"]))


def test_the_page_does_not_scroll_sideways_on_a_phone(tmp_path: Path) -> None:
    """At 390 pixels wide figures fit, tables scroll by themselves, the page does not."""
    found = browse(
        report_html(a_study(300), KEY),
        tmp_path,
        """
        const frame = document.createElement("iframe");
        frame.style.cssText = "width:390px;height:800px;border:0";
        frame.srcdoc = document.documentElement.outerHTML.replace(/<script[^]*?<\\/script>/g, "");
        document.body.append(frame);
        await new Promise((done) => frame.addEventListener("load", done));
        const page = frame.contentDocument;
        const drawn = [...page.querySelectorAll("figure svg")];
        return {wide: page.documentElement.scrollWidth, figures: drawn.length,
            cut: drawn.filter((svg) => svg.getBoundingClientRect().right > 390).length};
        """,
    )
    assert isinstance(found["wide"], int)
    assert found["wide"] <= 390
    assert (found["figures"] != 0, found["cut"]) == (True, 0)


def axe_source(folder: Path) -> str:
    """axe-core from npm, kept in a cache folder; the test is skipped where npm cannot get it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cart-nrm-tests"
    script = cache / "node_modules" / "axe-core" / "axe.min.js"
    npm = shutil.which("npm")
    if not script.exists():
        if npm is None:
            pytest.skip("needs Node's npm to get axe-core")
        cache.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--prefix", str(cache), "--no-audit", "--no-fund", AXE]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip("npm cannot get axe-core here")
    return script.read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(tmp_path: Path, scheme: str) -> None:
    """Contrast, names, order of headings, tables: checked with all cards open, light and dark."""
    html = report_html(a_study(300), KEY).replace('class="card"', 'class="card" open')
    if scheme == "dark":
        html = html.replace("@media (prefers-color-scheme: dark)", "@media all")
    html = html.replace("</body>", f"<script>{axe_source(tmp_path)}</script></body>")
    found = browse(
        html,
        tmp_path,
        """
        const result = await axe.run(document, {resultTypes: ["violations"]});
        const serious = result.violations.filter((v) => ["serious", "critical"].includes(v.impact));
        return {serious: serious.map((v) => v.id + ": " + v.nodes[0].html.slice(0, 120) + " " +
            v.nodes[0].failureSummary.slice(0, 160)), passes: result.passes.length};
        """,
    )
    assert [] == found["serious"]


def test_the_pdf_is_a_pdf(tmp_path: Path) -> None:
    """Chromium prints the report by itself, cards opened."""
    path = write_report(a_study(40), tmp_path / "report.pdf", KEY)
    assert path.read_bytes().startswith(b"%PDF-")


def test_figures_become_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Chromium a figure is also a PNG and a one-page PDF."""
    folder = tmp_path / "figures"
    monkeypatch.setattr("adapter.report.page.CHAPTERS", CHAPTERS[2:3])
    written = write_figures(a_study(20), folder, KEY)
    assert [".svg", ".png", ".pdf"] == [path.suffix for path in written]
    assert written[1].read_bytes().startswith(b"\x89PNG")
    assert written[2].read_bytes().startswith(b"%PDF-")
