"""Write the measured figures into docs/performance.md and docs/scale.md, and draw the picture.

    python -m benchmarks.page [--results DIR]

The words of a page are its own; only what stands between `<!-- measured: NAME -->` and
`<!-- end -->` is replaced.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.figures import (
    CLASSIFY,
    DECODE,
    LOAD,
    LOAD_ALL,
    OURS,
    OURS_ALL,
    RESULTS,
    Comparison,
    Figures,
    Series,
    exponent,
    promises,
    read,
)
from benchmarks.measure import ROOT
from benchmarks.picture import picture
from benchmarks.scale import scale_blocks

_BLOCK = re.compile(r"(<!-- measured: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """The page with its blocks renewed; a block that nobody measured is an error."""
    return _BLOCK.sub(lambda found: f"{found[1]}{blocks[found['name']].rstrip()}\n{found[3]}", page)


def grid(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown; all columns but the first are numbers."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def blocks_of(figures: Figures, peers: Comparison, results: Path) -> dict[str, str]:
    """Everything that a page may ask for, by name."""
    usual = next((one for one in figures.exports if one.patients == 10_000), figures.exports[-1])
    made = {
        "machine": _machine(figures.machine),
        "promises": _promises(figures, peers),
        "export": _stages(usual),
        "curves": _curves(figures.exports),
        "peers": _peers(peers),
        "registry": _stages(figures.registry) if figures.registry else "Not measured.",
    }
    for name in ("estimator", "pull"):
        file = results / f"{name}.txt"
        said = file.read_text(encoding="utf-8").rstrip() if file.exists() else "Not measured."
        made[name] = f"```text\n{said}\n```"
    return made | scale_blocks(figures)


def _machine(machine: Mapping[str, object]) -> str:
    packages = machine["packages"]
    assert isinstance(packages, dict)
    used = ", ".join(f"{name} {version}" for name, version in packages.items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, {used}; "
        f"load average when it began: {machine['load']}."
    )


def _promises(figures: Figures, peers: Comparison) -> str:
    rows = [
        (one.what, one.wanted, one.measured, "yes" if one.kept else "**no**")
        for one in promises(figures, peers)
    ]
    return grid(("what", "wanted", "measured", "reached"), rows)


def _stages(series: Series) -> str:
    rows = [
        (stage, f"{cost.cpu:.2f}", f"{cost.wall:.2f}", f"{series.ratio(stage):.2f}",
         f"{series.micros(stage):.1f}", cost.peak >> 20)
        for stage, cost in sorted(series.costs.items(), key=lambda item: item[0] != DECODE)
    ]  # fmt: skip
    about = (
        f"{series.patients:,} patients, {series.recipients:,} of them recipients, "
        f"{series.resources:,} resources, {series.bytes / 1e6:,.0f} MB; best of {series.rounds}. "
        f"Written: " + ", ".join(f"{name} {_size(size)}" for name, size in series.sizes.items())
    )
    head = ("stage", "CPU s", "wall s", "× decoding", "µs a resource", "MB at most")
    return f"{about}.\n\n{grid(head, rows)}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.0f} kB"


def _curves(exports: Sequence[Series]) -> str:
    """Microseconds a resource at every size, and the exponents over all and the last sizes."""
    rows = []
    for name, stages in (
        ("bare decoding", (DECODE,)),
        ("load, all patients", (LOAD_ALL,)),
        ("load, recipients only", (LOAD,)),
        ("classify", (CLASSIFY,)),
        ("load, recipients only + classify", (LOAD, CLASSIFY)),
    ):
        costs = [f"{one.micros(*stages):.2f}" for one in exports]
        fits = [f"{exponent(some, *stages):.2f}" for some in (exports, exports[-2:])]
        rows.append((name, *costs, *fits))
    sizes = [f"{one.patients:,}" for one in exports]
    return grid(("µs a resource at", *sizes, "exponent", "of the last two"), rows)


def _peers(peers: Comparison) -> str:
    ours, night = peers.cpu(OURS), peers.cpu(OURS_ALL)
    rows = [
        (peer.name, peer.version, f"{peer.micros:.1f}", f"{peer.cpu / ours:.1f}",
         f"{peer.cpu / night:.1f}", peer.peak >> 20, peer.work)
        if not peer.failed
        else (peer.name, "", "did not start", "", "", "", f"{peer.work} (`{peer.failed}`)")
        for peer in peers.peers
    ]  # fmt: skip
    head = ("tool", "version", "µs a resource", "× five columns", "× all a night reads",
            "MB at most", "its work")  # fmt: skip
    about = f"{peers.resources:,} resources, {peers.bytes / 1e6:,.0f} MB in one file."
    return f"{about}\n\n{grid(head, rows)}"


def main() -> None:
    """Renew both pages and the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    results = parser.parse_args().results
    figures, peers = read(results)
    blocks = blocks_of(figures, peers, results)
    for name in ("performance.md", "scale.md"):
        page = ROOT / "docs" / name
        page.write_text(filled(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
    (ROOT / "docs" / "performance.svg").write_text(picture(figures, peers), encoding="utf-8")


if __name__ == "__main__":
    main()
