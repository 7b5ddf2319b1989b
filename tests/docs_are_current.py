"""Pages that are generated from the code are current, links lead somewhere, nothing leaks.

python -m tests.docs_are_current [--write]
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
# A path of somebody's machine or the host of a package registry has no place in the project.
_LEAK = re.compile(
    r"(?:^|[^a-zA-Z.])/(?:work|farm|root|home/\w+)/|pyp[i]\.org|pythonhost[e]d\.org"
    r"|registry\.npmj[s]\.org|deb\.debi[a]n\.org"
)


def command_page() -> str:
    """docs/cli.md: the help of every command, in flow order."""
    import cli

    lines = ["# Commands", "", "Generated from the command line's own help by `make docs`.", ""]
    context = click.Context(cli.main, info_name="cart-nrm")
    lines += _help_of(cli.main, context, level=2)
    return "\n".join(lines).rstrip() + "\n"


def _help_of(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield from (f"{'#' * level} {context.command_path}", "", "```text")
    yield from command.get_help(context).splitlines()
    yield from ("```", "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                inner = click.Context(child, info_name=name, parent=context)
                yield from _help_of(child, inner, level + 1)


def generated() -> dict[str, Callable[[], str]]:
    """Every generated page and what writes it."""
    from adapter.export.dictionary import dictionary_page
    from tests.causes.manual import rules_page

    return {
        "docs/cli.md": command_page,
        "docs/data-dictionary.md": dictionary_page,
        "docs/rules.md": rules_page,
    }


def stale() -> Iterator[str]:
    """Generated pages that differ from what the code would write."""
    for name, write in generated().items():
        page = ROOT / name
        if not page.exists() or page.read_text(encoding="utf-8") != write():
            yield f"{name} is not current: run `make docs`"


def broken_links() -> Iterator[str]:
    """Relative links in Markdown that lead nowhere."""
    for page in _tracked(".md"):
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                yield f"{page.relative_to(ROOT)}: link to {target} leads nowhere"


def leaks() -> Iterator[str]:
    """Tracked lines that name somebody's machine or a package registry."""
    for file in _tracked(""):
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            if _LEAK.search(line):
                yield f"{file.relative_to(ROOT)}:{number}: names a machine path or registry"


def _tracked(suffix: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    return [ROOT / name for name in listed if name.endswith(suffix) and (ROOT / name).is_file()]


def main() -> None:
    """Write the pages, or fail with everything that is wrong."""
    if "--write" in sys.argv:
        for name, write in generated().items():
            (ROOT / name).write_text(write(), encoding="utf-8")
    problems = [*stale(), *broken_links(), *leaks()]
    for problem in problems:
        print(problem)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
