"""Every flag of every command, taken from the commands' own parsers, with absurd values.

The inputs are missing, so that a command has to end with 2, whether it refuses the flag or comes to
what is missing: a traceback, a hang, or a file outside are all that can go wrong, and must not.
"""

import argparse
import contextlib
import importlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from data.sources.__main__ import SOURCES
from helpers.common import WorkshopError, run_command
from helpers.detection import Config
from tests.hostile import files_below

ROOT = Path(__file__).resolve().parent.parent
NOT_NUMBERS = ("nan", "inf", "-inf", "1e400", "1" * 400, "9" * 5000, "", " ", "0x10", "1,5", "😀")
VALUES = (
    "-1", "0", *NOT_NUMBERS, "\0", "../../x", "a/b", "..", "/proc/x",
    "x" * 300, "x" * 5000, "\udce9\udcff.csv", "folder", "file", "link", "missing", "--", "-",
    "😀.csv", "null", "[[[[", "{}", "a=b", "1x1", "'; ls",
)  # fmt: skip
# Commands of several commands.
OF_SEVERAL = {"benchmarks.__main__": BENCHMARKS, "data.sources.__main__": SOURCES}
# Inputs that are not there where a parser does not ask for any, and good ones that come before.
INPUTS = {
    "helpers.cloud.script": {"--manifest": "missing.csv", "--out": "missing/run"},
    "helpers.detection.records": {"--voc": "missing", "--out": "missing/records"},
    "helpers.detection.train": {"--label-map": "missing.pbtxt", "--train": "missing"},
    "helpers.train.__main__": {"--out": "missing/run"},
    "benchmarks.__main__ plan": {"": "street"},
}
# The work of commands that need no input, or would start a process for it: it is not begun.
WORK = {
    "data.generate.people": "data.generate.people.draw_all",
    "data.generate.signs": "data.generate.signs.draw_all",
    "data.generate.streets": "data.generate.streets.draw_all",
    "data.sources.download": "data.sources.download.fetch",
    "helpers.workshop.__main__": "helpers.workshop.__main__.run_notebook",
    "benchmarks.__main__ detection": "benchmarks.detection.compare",
}


class _ParserError(Exception):
    pass


def commands() -> list[tuple[str, ...]]:
    """The module of every command, with the name of what it does where it does several things."""
    found = []
    for top in ("helpers", "data", "benchmarks"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if "run_command(main)" in path.read_text(encoding="utf-8"):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found += [(module, name) for name in OF_SEVERAL.get(module, ())] or [(module,)]
    return found


def parser_of(module: str, *names: str) -> argparse.ArgumentParser:
    """The parser that a command uses, caught when it is about to read the command line."""
    caught = []

    def catch(parser: argparse.ArgumentParser, *_, **__):
        caught.append(parser)
        raise _ParserError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", catch)
        patch.setattr(sys, "argv", ["command", *names])
        with pytest.raises(_ParserError):
            importlib.import_module(module).main()
    (parser,) = caught
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices[names[0]]
    return parser


def flags_of(module: str, *names: str) -> Iterator[tuple[str, argparse.Action]]:
    """What takes a value: each flag by its longest name, each positional as ""."""
    for action in parser_of(module, *names)._actions:
        if action.nargs != 0:
            yield max(action.option_strings, key=len, default=""), action


def needed(module: str, *names: str) -> dict[str, str]:
    """What a command cannot do without: inputs that are not there."""
    required = {f: next(iter(a.choices or ()), "missing/input") for f, a in flags_of(module, *names)
                if a.required}  # fmt: skip
    place = next((inputs for start, inputs in INPUTS.items()
                  if " ".join((module, *names)).startswith(start)), {})  # fmt: skip
    return required | place


def is_number(action: argparse.Action) -> bool:
    """Whether a flag takes a number, by what its type makes of one."""
    if action.metavar == "YAML":
        return Config.model_fields[action.dest].annotation in (int, float, int | float, int | None)
    for text in ("1", "0.5", "100"):
        with contextlib.suppress(Exception):
            return isinstance(action.type(text), int | float)
    return False


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: deep, so that ../../x stays in it; with a folder, a file and a loop."""
    deep = tmp_path / "a/b/c"
    (deep / "folder").mkdir(parents=True)
    (deep / "file").write_text("no input of anything")
    (deep / "link").symlink_to("link")
    monkeypatch.chdir(deep)
    return tmp_path


def outcome(module: str, arguments: list[str], work: str | None = None) -> tuple[int, str]:
    """Runs a command as its module would, on an ASCII terminal: exit code and standard error."""
    printed = io.TextIOWrapper(io.BytesIO(), "ascii")
    errors = io.TextIOWrapper(io.BytesIO(), "ascii", "backslashreplace")

    def refuse(*_, **__):
        raise WorkshopError("not begun")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["command", *arguments])
        patch.setattr(sys, "stdout", printed)
        patch.setattr(sys, "stderr", errors)
        if work:
            patch.setattr(work, refuse)
        code: object = 0
        try:
            run_command(importlib.import_module(module).main)
        except SystemExit as stop:
            code = stop.code
    errors.flush()
    return int(code or 0), errors.buffer.getvalue().decode()


def tried(command: tuple[str, ...], flag: str, value: str) -> tuple[int, str]:
    """Runs a command with one absurd value, and whatever else it needs."""
    module, *names = command
    given = needed(*command) | {flag: value}
    last = ["--", given.pop("")] if "" in given else []
    flags = [f"{name}={text}" for name, text in given.items()]
    return outcome(module, [*names, *flags, *last], WORK.get(" ".join(command)))


COMMANDS = [pytest.param(c, id=" ".join(c).removesuffix(".__main__")) for c in commands()]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_absurd_value_ends_in_a_message(command: tuple[str, ...], nowhere: Path) -> None:
    before = files_below(nowhere)
    for flag, _ in flags_of(*command):
        for value in VALUES:
            code, error = tried(command, flag, value)
            assert "Traceback" not in error and len(error) < 20_000
            assert code == 2 and "error: " in error, (flag, value, code, error)
            assert files_below(nowhere) == before, (flag, value)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_number_has_bounds_that_the_help_names(command: tuple, nowhere: Path) -> None:
    for flag, action in flags_of(*command):
        if not is_number(action):
            continue
        if action.metavar != "YAML":
            assert re.search(r"\d to |at least|below|above", action.help), (flag, action.help)
        for value in NOT_NUMBERS:
            if action.metavar == "YAML" and value.strip() in ("", "0x10"):
                continue  # null, which may mean the default, and 16
            code, error = tried(command, flag, value)
            name = flag.strip("-").replace("-", "[-_ ]")
            assert code == 2 and re.search(f"{name}: (expected|invalid)", error), (
                flag,
                value,
                error,
            )
