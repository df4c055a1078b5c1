"""The one command of the benchmarks: what it lists, imports and refuses."""

import subprocess
import sys

import pytest

from benchmarks.__main__ import BENCHMARKS, main
from helpers.common import ROOT

LISTED = """
import sys
from benchmarks.__main__ import main
sys.argv = ["benchmarks"]
main()
print(sorted(name for name in sys.modules if name.startswith(("benchmarks.", "tensorflow"))))
"""


def test_the_list_names_every_benchmark_and_imports_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTED], capture_output=True, text=True, cwd=ROOT, check=True
    )
    *lines, imported = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(BENCHMARKS)
    assert imported == "['benchmarks.__main__']"


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_says_what_it_takes(name: str, command) -> None:
    code, printed, _ = command(main, name, "--help")
    assert code == 0 and f"usage: python -m benchmarks {name}" in printed


def test_an_unknown_benchmark_is_named(command) -> None:
    code, _, error = command(main, "sped")
    assert code == 2 and "found 'sped'. Did you mean 'speed'" in error


def test_seeds_are_whole_numbers(command) -> None:
    code, _, error = command(main, "ablation", "--manifest", "m.csv", "--seeds", "0,x")
    assert code == 2 and "expected --seeds such as 0,1,2, found '0,x'" in error
