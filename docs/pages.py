"""Looks at the built pages, as a reader's browser would: is anything empty, does a link lead on?"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

NO_TEXT = ["h1", "h2", "h3", "script", "style"]
FEWEST_WORDS = 20  # below its headings; the shortest page that says something has more
MADE_BY_SPHINX = ("genindex.html", "search.html", "py-modindex.html")


def empty_pages(html: Path) -> Iterator[str]:
    """Names the pages that have next to no text below their headings; notes on a page are none."""
    for path in _pages(html):
        article = _read(path).find("article")
        words = []
        for text in article.find_all(string=True) if article else ():
            if not (text.find_parent(NO_TEXT) or text.find_parent(class_="admonition")):
                words += text.split()
        if len(words) < FEWEST_WORDS and path.name not in MADE_BY_SPHINX:
            yield f"{path.relative_to(html)}: expected text, found {len(words)} words"


def dead_links(html: Path) -> Iterator[str]:
    """Names the links and images that lead to nothing within the book."""
    for path in _pages(html):
        for tag, name in (("a", "href"), ("img", "src")):
            for element in _read(path).find_all(tag, attrs={name: True}):
                goal = urlsplit(element[name])
                if goal.scheme or goal.netloc or (tag == "a" and element[name] == "#"):
                    continue
                file = (path.parent / unquote(goal.path)).resolve() if goal.path else path
                if not file.is_file():
                    yield f"{path.relative_to(html)}: nothing at {element[name]}"
                elif goal.fragment and unquote(goal.fragment) not in _anchors(file):
                    yield f"{path.relative_to(html)}: no heading for {element[name]}"


def _pages(html: Path) -> list[Path]:
    return sorted(path for path in html.rglob("*.html") if "_static" not in path.parts)


@cache
def _read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def _anchors(path: Path) -> set[str]:
    return {element["id"] for element in _read(path).find_all(id=True)}
