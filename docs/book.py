"""Builds the book: every page of the project, with the outputs of the notebooks that have run.

python -m docs.book

It gathers the pages in build/book/source, where they lie as in the repository, so that every link
keeps its way. Sphinx turns them into build/book/html. A warning, a dead link within the book, or an
empty page is an error.
"""

import argparse
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import nbformat

from docs.pages import dead_links, empty_pages
from docs.rooms import write_rooms
from helpers.common import ROOT, WorkshopError, expected, run_command, write_text

BOOK = ROOT / "build" / "book"
HOME = "index.md"  # the README, as Sphinx calls the first page

# What stands in the margin, from top to bottom; a pattern may find nothing.
CONTENTS = {
    "The main line": ["notebooks/0[0-6]_*.ipynb"],
    "Cloud, attributes, detection": ["notebooks/0[7-9]_*.ipynb", "notebooks/1[0-9]_*.ipynb"],
    "Help": ["docs/troubleshooting.md", "docs/instructor.md", "notebooks/solutions/index.md"],
    "Look up": [
        "docs/glossary.md",
        "docs/bibliography.md",
        "data/results.md",
        "data/README.md",
        "images/README.md",
        "docs/rooms/index.md",
    ],
    "Take part": ["CONTRIBUTING.md", "CHANGELOG.md", "notebooks/README.md"],
}
BELOW = ("notebooks/solutions/[0-9]*.ipynb",)  # pages that another page lists
SOLUTIONS = """# Solutions

One way to each answer. Every one of them runs on its own, and is run in the tests.

```{toctree}
:glob:
[0-9]*
```
"""
# What a page says below its opening about where its outputs come from.
FAST = """```{note}
The outputs on this page are those of a quick run (`WORKSHOP_FAST=1`): so little data and so few
steps that a network has hardly learned anything. The text speaks of a full run.
```"""
NOT_RUN = """```{note}
This page has no outputs, because the notebook was not run before the book was built. Run it with
`make workshop ARGS="%s"`, then build the book again.
```"""
LINK = re.compile(r"(?P<text>\[[^\[\]]*)?\]\((?P<goal>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def gather(root: Path, target: Path) -> list[Path]:
    """Writes the source of the book to `target`; returns its pages, relative to it."""
    shutil.rmtree(target, ignore_errors=True)
    listed = [pattern for patterns in CONTENTS.values() for pattern in patterns]
    found = [path for each in (*listed, *BELOW) for path in sorted(root.glob(each))]
    pages = [path.relative_to(root) for path in found]
    for page in pages:
        if page.suffix == ".ipynb":
            notebook = with_outputs(root / page, root)
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = relink(cell.source, page, root, target)
            write_text(target / page, nbformat.writes(notebook))
        else:
            _copy_page(root, page, target, page)
    write_text(target / "notebooks" / "solutions" / "index.md", SOLUTIONS)
    rooms = [path.relative_to(target) for path in write_rooms(target / "docs" / "rooms")]
    pages += [Path("notebooks/solutions/index.md"), *rooms]
    _copy_page(root, Path("README.md"), target, Path(HOME), end=_contents(pages))
    return [Path(HOME), *pages]


def _copy_page(root: Path, page: Path, target: Path, name: Path, end: str = "") -> None:
    text = (root / page).read_text(encoding="utf-8")
    write_text(target / name, relink(text, page, root, target) + end)


def _contents(pages: Sequence[Path]) -> str:
    """The table of contents as Sphinx wants it: in the first page, here only for the margin."""
    text = ""
    for caption, patterns in CONTENTS.items():
        names = [str(page) for each in patterns for page in sorted(pages) if page.match(each)]
        listed = "\n".join(names)
        text += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"
    return text


def with_outputs(path: Path, root: Path) -> nbformat.NotebookNode:
    """Returns a notebook with the outputs of its last run, if that ran the cells of today.

    A full run goes before a fast one. A note on the page says what it is not.
    """
    today = nbformat.read(path, as_version=4)
    if path.parent.name == "solutions":
        return today
    for size in ("full", "fast"):
        copy = root / "artifacts" / size / "notebooks" / path.name
        if copy.exists() and _whole(run := nbformat.read(copy, as_version=4), today):
            return run if size == "full" else _noted(run, FAST)
    return _noted(today, NOT_RUN % path.name[:2])


def _whole(run: nbformat.NotebookNode, today: nbformat.NotebookNode) -> bool:
    """Whether a run is one of the notebook of today, to its end."""
    code = [cell for cell in run.cells if cell.cell_type == "code"]
    ended = all(cell.execution_count for cell in code)
    failed = any(
        output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", [])
        for cell in code
        for output in cell.outputs
    )
    sources = [cell.source for cell in run.cells] == [cell.source for cell in today.cells]
    return sources and ended and not failed


def _noted(notebook: nbformat.NotebookNode, note: str) -> nbformat.NotebookNode:
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(note))
    return notebook


def relink(text: str, page: Path, root: Path, target: Path) -> str:
    """Returns a page's text with every link leading to a place in the book.

    A file that is no page, such as an image, is copied beside the pages; MyST shows it, or offers
    it for download. A folder becomes its README, and one without is named, not linked.
    """

    def replace(link: re.Match) -> str:
        goal = Path(os.path.normpath(root / page.parent / unquote(link["goal"])))
        if (goal / "README.md").exists():
            goal /= "README.md"
        if not goal.is_relative_to(root) or not goal.exists():
            return link[0]  # Sphinx complains of it, and names the line
        if goal.is_dir():
            return (link["text"] or "[")[1:]
        inside = goal.relative_to(root)
        if goal.suffix not in (".md", ".ipynb"):
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(goal, target / inside)
        inside = Path(HOME) if inside == Path("README.md") else inside
        place = os.path.relpath(inside, page.parent)
        return f"{link['text'] or ''}]({place}{link['anchor'] or ''})"

    return LINK.sub(replace, text)


def build(root: Path = ROOT, book: Path = BOOK) -> list[Path]:
    """Gathers, builds and checks the book; returns its pages.

    Raises:
        WorkshopError: Sphinx is not there, or it warned, or a page is empty or has a dead link.
    """
    try:
        from sphinx.cmd.build import build_main
    except ImportError:
        fix = "Type make install-all, then try again."
        raise expected("Sphinx, which builds the book", "none", fix) from None
    pages = gather(root, book / "source")
    shutil.rmtree(book / "html", ignore_errors=True)
    flags = ["-W", "--keep-going", "-q", "-E", "-c", str(root / "docs"), "-d", str(book / "trees")]
    code = build_main([*flags, str(book / "source"), str(book / "html")])
    problems = ["Sphinx warned; see above"] if code else []
    problems += [*empty_pages(book / "html"), *dead_links(book / "html")]
    if problems:
        raise WorkshopError("the book is not in order:\n  " + "\n  ".join(problems))
    return pages


def main() -> None:
    """Builds the book and says where it is."""
    parser = argparse.ArgumentParser("docs.book", description=__doc__.splitlines()[0])
    parser.parse_args()
    pages = build()
    print(f"{len(pages)} pages, 0 warnings, no dead link: {BOOK.relative_to(ROOT)}/html/index.html")


if __name__ == "__main__":
    run_command(main)
