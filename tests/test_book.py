"""The book: which outputs a page shows, where its links lead, and what its builder refuses."""

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from docs import book
from docs.pages import dead_links, empty_pages
from docs.rooms import rooms, write_rooms
from helpers.common import ROOT
from tests import notebook_form as form
from tests.test_house import FLOOR_OF

LESSON = Path("notebooks/02_any.ipynb")
LONG = "word " * 30


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a notebook, two pages, an image, a script and two folders."""
    root = tmp_path / "project"
    for folder in ("notebooks", "docs", "data", "images", "helpers"):
        (root / folder).mkdir(parents=True)
    (root / "README.md").write_text("# Home\n\n[02](notebooks/02_any.ipynb)")
    (root / "data" / "README.md").write_text("# Data")
    (root / "docs" / "glossary.md").write_text("# Glossary\n\n## Head\n")
    (root / "images" / "map.svg").write_text("<svg/>")
    (root / "helpers" / "script.py").write_text("pass")
    write(root / LESSON)
    return root


def write(
    path: Path, *outputs, source: str = "1 + 1", count: int | None = None, **metadata
) -> None:
    """Writes a notebook of an opening and one code cell."""
    code = new_code_cell(source, outputs=list(outputs), execution_count=count, metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_markdown_cell("# 02. Any"), code]), path)


def run_of(size: str, project: Path) -> Path:
    return project / "artifacts" / size / "notebooks" / LESSON.name


def shown(project: Path) -> tuple[str, str]:
    """What a page says below its opening, and the text of its outputs."""
    cells = book.with_outputs(project / LESSON, project).cells
    outputs = cells[-1].outputs
    return cells[1].source if len(cells) > 2 else "", outputs[0].get("text", "") if outputs else ""


def printed(text: str):
    return new_output("stream", name="stdout", text=text)


def test_a_full_run_goes_before_a_fast_one_which_is_called_so(project):
    note, text = shown(project)
    assert text == "" and 'make workshop ARGS="02"' in note
    write(run_of("fast", project), printed("small"), count=1)
    note, text = shown(project)
    assert text == "small" and "WORKSHOP_FAST=1" in note
    write(run_of("full", project), printed("large"), count=1)
    assert shown(project) == ("", "large")


@pytest.mark.parametrize(
    "run",
    [
        {"source": "1 + 2", "count": 1},  # of other cells than today's
        {"count": None},  # stopped before its end
    ],
)
def test_an_old_or_unfinished_run_is_not_shown(project, run):
    write(run_of("full", project), printed("stale"), **run)
    assert shown(project)[1] == ""


def test_a_failure_is_shown_only_where_it_is_meant(project):
    error = new_output("error", ename="ValueError", evalue="any", traceback=["any"])
    write(run_of("full", project), error, count=1)
    assert "not run" in shown(project)[0]
    write(run_of("full", project), error, count=1, tags=["raises-exception"])
    assert shown(project)[0] == ""


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("[head](../docs/glossary.md#head)", "[head](../docs/glossary.md#head)"),
        ("[home](../README.md#test)", "[home](../index.md#test)"),
        ("[data](../data)", "[data](../data/README.md)"),
        ("see [the rooms](../helpers/)", "see the rooms"),
        ("[gone](../docs/gone.md)", "[gone](../docs/gone.md)"),  # Sphinx says so
        ("[Keras](https://keras.io/#a)", "[Keras](https://keras.io/#a)"),
        ("[![map](../images/map.svg)](../data)", "[![map](../images/map.svg)](../data/README.md)"),
        ("[script](../helpers/script.py)", "[script](../helpers/script.py)"),
    ],
)
def test_links_lead_to_a_place_in_the_book(project, tmp_path, link, becomes):
    assert book.relink(link, LESSON, project, tmp_path / "book") == becomes
    for name in ("images/map.svg", "helpers/script.py"):
        assert (tmp_path / "book" / name).exists() == (name in link)


def test_every_page_of_the_project_is_in_the_margin_once():
    listed = [pattern for patterns in book.CONTENTS.values() for pattern in patterns]
    found = [path for pattern in (*listed, *book.BELOW) for path in ROOT.glob(pattern)]
    assert len(found) == len(set(found))
    tops = ("artifacts", "build")
    pages = [*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/**/*.md"), *form.LESSONS, *form.SOLUTIONS]
    pages = [path for path in pages if path.relative_to(ROOT).parts[0] not in tops]
    assert set(pages) - set(found) == {ROOT / "README.md"}


def test_the_rooms_are_those_of_the_house(tmp_path):
    assert rooms().keys() == FLOOR_OF.keys()
    pages = write_rooms(tmp_path)
    assert [page.stem for page in pages] == ["index", *rooms()]
    assert ":imported-members:" in (tmp_path / "manifest.md").read_text()
    assert ":imported-members:" not in (tmp_path / "evaluate.md").read_text()


# What the builder refuses


@pytest.fixture
def html(tmp_path: Path) -> Path:
    page = "<article><h1>{0}</h1><p id='here'>{1}</p>{2}</article>"
    (tmp_path / "index.html").write_text(
        page.format("Home", LONG, "<a href='next.html#here'>n</a>")
    )
    (tmp_path / "next.html").write_text(
        page.format("Next", LONG, "<a href='https://x.org/y'>x</a>")
    )
    return tmp_path


def test_a_sound_book_passes(html):
    assert [*empty_pages(html), *dead_links(html)] == []


@pytest.mark.parametrize("rest", ["", f"<div class='admonition note'><p>{LONG}</p></div>"])
def test_an_emptied_page_is_named(html, rest):
    (html / "next.html").write_text(
        f"<article><h1>{LONG}</h1>{rest}<p id='here'>3 words only</p></article>"
    )
    assert list(empty_pages(html)) == ["next.html: expected text, found 3 words"]


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("<a href='gone.html'>", "nothing at gone.html"),
        ("<a href='next.html#gone'>", "no heading for next.html#gone"),
        ("<a href='#gone'>", "no heading for #gone"),
        ("<img src='gone.png'>", "nothing at gone.png"),
    ],
)
def test_a_dead_link_is_named(html, link, complaint):
    with (html / "index.html").open("a") as file:
        file.write(link)
    assert list(dead_links(html)) == [f"index.html: {complaint}"]


# The instructor's guide


def guide() -> str:
    return (ROOT / "docs" / "instructor.md").read_text(encoding="utf-8")


def minutes_of(lesson: str) -> int:
    """Minutes to run and to read, as a notebook's opening says."""
    time = form.opening_rows(ROOT / "docs" / lesson)["Time"]
    return sum(map(int, re.findall(r"\d+", time)))


@pytest.mark.parametrize("plan", ["Half a day", "A day"])
def test_a_plan_has_time_for_its_notebooks_and_adds_up(plan):
    section = guide().partition(f"## {plan}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (?:\[.*?\]\((.*?)\)|.*?) \|", section, re.MULTILINE)
    assert sum(int(minutes) for minutes, _ in rows) == int(re.search(r"Sum: (\d+)", section)[1])
    lessons = [(int(minutes), name) for minutes, name in rows if name]
    assert len(lessons) >= 5
    for minutes, name in lessons:
        assert minutes >= minutes_of(name), name


def test_the_cost_of_a_learner_follows_from_the_price_table():
    prices = json.loads((ROOT / "helpers/cloud/prices.json").read_text())["per_hour"]
    space = prices["ml.m5.large"]
    day, jobs, endpoint = 8 * space, 0.10, space
    text = guide()
    assert f"| ${4 * space:.2f} | ${day:.2f} |" in text
    assert f"| ${4 * space:.2f} | ${day + jobs + endpoint:.2f} |" in text.partition("all of it")[2]
    assert f"${24 * endpoint:.2f} a day" in text


def test_without_sphinx_it_says_what_to_type(project, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sphinx.cmd.build", None)
    with pytest.raises(book.WorkshopError, match=r"Sphinx.*make install-all"):
        book.build(project, tmp_path / "book")
