"""The form of the notebooks (notebooks/README.md) as functions that name what departs from it."""

import ast
import json
import re
import statistics
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from urllib.parse import unquote

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
SOLUTIONS = sorted((NOTEBOOKS / "solutions").glob("[0-9][0-9]_*.ipynb"))

LONGEST_CELL = 30  # lines; more does not fit beside its prose
MEDIAN_CELL = 4
LONGEST_RUN = 2  # code cells without a word between them
ROWS = ("Needs", "Makes", "Time", "Cost", "Tested with")
ENDING = ("Recap", "Exercises", "Clean-up", "Next")  # the second and third where they apply


def read(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# every notebook, solutions too


def stored_problems(path: Path) -> Iterator[str]:
    """Outputs, kernels and ids: what a commit must not or must carry."""
    notebook = read(path)
    raw = json.loads(path.read_text(encoding="utf-8"))
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernelspec is not python3"
    ids = [cell.get("id") for cell in raw["cells"]]
    if None in ids or len(set(ids)) < len(ids):
        yield "a cell has no id, or one that another has"
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count is not None):
            yield f"cell {number} has stored outputs: clear them before the commit"
        if not cell.source.strip():
            yield f"cell {number} is empty"


def code_problems(path: Path) -> Iterator[str]:
    """Cells that do not parse, shell lines and magics: nbval passes a `!command` that fails."""
    for source in code_cells(read(path)):
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            yield f"not plain Python ({error.msg}), or a ! or % line: {source.splitlines()[0]}"
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"input", "get_ipython"}:
                yield f"calls {ast.unparse(node.func)}()"


def shape_problems(path: Path) -> Iterator[str]:
    """Cells too long, and too many of them without prose."""
    notebook = read(path)
    lengths = [
        sum(bool(line.strip()) for line in source.splitlines()) for source in code_cells(notebook)
    ]
    if max(lengths, default=0) > LONGEST_CELL:
        yield f"a code cell has {max(lengths)} lines, more than {LONGEST_CELL}"
    if (median := statistics.median(lengths or [0])) > MEDIAN_CELL:
        yield f"the median code cell has {median} lines, more than {MEDIAN_CELL}"
    for kind, cells in groupby(notebook.cells, key=lambda cell: cell.cell_type):
        if kind == "code" and (count := len(list(cells))) > LONGEST_RUN:
            yield f"{count} code cells without a word between them"


def link_problems(path: Path) -> Iterator[str]:
    """Relative links and images that lead nowhere; for notebooks and Markdown files."""
    text = prose(read(path)) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)", text) + re.findall(
        r"(?:src|href)=\"([^\"]+)\"", text
    )
    for target in targets:
        name = unquote(target.split("#")[0])
        if re.match(r"[a-z]+:", name):
            continue
        page = path.parent / name if name else path
        if not page.exists():
            yield f"dead link {target}"
        elif page.suffix == ".md" and "#" in target and target.split("#")[1] not in anchors(page):
            yield f"no heading for {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def twin_problems(path: Path, helper_names: set[str]) -> Iterator[str]:
    """Functions that stand in the notebook and in the package; methods bear the names of Keras."""
    for source in code_cells(read(path)):
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and node.name in helper_names:
                yield f"defines {node.name}, which helpers/ defines too"


def names_defined_in(folder: Path) -> set[str]:
    """Names of the functions of a package's modules."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


# lessons


def opening_problems(path: Path) -> Iterator[str]:
    """The first cell: title, purpose, "You will", and the table of five rows."""
    first = read(path).cells[0]
    blocks = re.split(r"\n\s*\n", first.source.strip())
    number = path.stem[:2]
    if first.cell_type != "markdown" or not re.fullmatch(rf"# {number}\. \S[^\n]*", blocks[0]):
        yield f"the first cell does not begin with a line '# {number}. Title'"
    if len(blocks) < 2 or not re.fullmatch(r"[A-Z][^.!?]*(\.\w[^.!?]*)*[.!?]", blocks[1]):
        yield "the title is not followed by one sentence of purpose"
    if not re.search(r"^\*\*You will\*\*\n+- ", first.source, flags=re.MULTILINE):
        yield "no '**You will**' with a list under it"
    rows = opening_rows(path)
    if tuple(rows) != ROWS or not all(rows.values()):
        yield f"the table's rows are {tuple(rows)}, not {ROWS}"
        return
    if not re.search(r"\d+ (minutes?|seconds) on two CPU cores", rows["Time"]):
        yield "Time does not say 'N minutes on two CPU cores'"
    if not rows["Tested with"].startswith(tested_with()):
        yield f"Tested with does not begin with '{tested_with()}', as in requirements.lock"


def opening_rows(path: Path) -> dict[str, str]:
    """The opening table: row -> text."""
    rows = re.findall(
        r"^\| (\S[^|]*?) \| (.*?) \|$", read(path).cells[0].source, flags=re.MULTILINE
    )
    return {name: value for name, value in rows if set(name) - set("- ")}


def contents_problems(path: Path) -> Iterator[str]:
    """Rows of a table of contents whose title or minutes are not those of the notebook."""
    text = prose(read(path)) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(.+?)\]\((\S*?)\) \|.*\| (.+?) \|$", text, flags=re.MULTILINE)
    for title, target, minutes in rows:
        lesson = path.parent / target
        if not lesson.exists():
            continue  # a dead link, which `link_problems` names
        if (own := read(lesson).cells[0].source.splitlines()[0]) != f"# {title}":
            yield f"{target} is called '{own}', not '# {title}'"
        if not (time := opening_rows(lesson).get("Time", "")).startswith(f"{minutes} minute"):
            yield f"{target} takes {time}, not {minutes} minutes"


def tested_with() -> str:
    """What the row "Tested with" begins with, from the exact versions that CI installs."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    version = {name: re.search(rf"^{name}==(\d+\.\d+)", lock, re.MULTILINE)[1] for name in KEYS}
    return f"Python 3.11, TensorFlow {version['tensorflow']}, Keras {version['keras']}"


KEYS = ("tensorflow", "keras")


def ending_problems(path: Path) -> Iterator[str]:
    """Recap, Exercises, Clean-up, Next: in this order, the last one with a link to go on."""
    notebook = read(path)
    headings = re.findall(r"^## (.+)$", prose(notebook), flags=re.MULTILINE)
    found = [heading for heading in headings if heading in ENDING]
    costs = not opening_rows(path).get("Cost", "").startswith("Nothing")
    wanted = [
        heading
        for heading in ENDING
        if heading in ("Recap", "Next")
        or (heading == "Exercises" and exercise_calls(path, "check"))
        or (heading == "Clean-up" and (costs or heading in found))
    ]
    if found != wanted or headings[-len(wanted) :] != wanted:
        yield f"ends with the headings {headings[-len(wanted) :]}, not {wanted}"
    last = notebook.cells[-1]
    following = [lesson for lesson in LESSONS if lesson.name > path.name]
    goal = following[0].name if following else "../README.md"
    _, found_next, closing = last.source.rpartition("## Next")
    if last.cell_type != "markdown" or not found_next or f"({goal})" not in closing:
        yield f"the last cell is not '## Next' with a link to {goal}"


def exercise_calls(path: Path, function: str) -> list[str]:
    """The exercises that a notebook names in calls of `exercises.<function>("NN-topic", ...)`."""
    return [
        node.args[0].value
        for source in code_cells(read(path))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"exercises.{function}"
    ]
