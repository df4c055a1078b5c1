"""Absurd flags of commands with real, tiny inputs: training, splitting, drawing, predicting.

The tests try every flag where the inputs are missing; here a value that is taken has to work.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from tests.hostile import Tally
from tests.hostile.runs import _trained, ask
from tests.test_odd_flags import VALUES, flags_of, is_number

COUNT = 200
NUMBERS = ("2", "3", "0.5", "1", "17", "64", "1e-7", "65536", "100000", "10000", "999999")
QUICK = {"--epochs": "1", "--image-size": "32x16", "--batch-size": "8", "--tower": "4",
         "--minutes": None}  # fmt: skip


def commands(place: Path) -> dict[str, dict[str, str | None]]:
    """The module of each command with what makes a quick, whole start of it."""
    manifest, run = str(place / "people" / "manifest.csv"), str(place / "whole")
    training = {"--manifest": manifest, **QUICK}
    return {
        "helpers.train.__main__": {**training, "--out": "new/run"},
        "helpers.evaluate": {"--run": run, "--manifest": manifest},
        "helpers.predict.__main__": {"--run": run, "": str(place / "people/images/000.png")},
        "helpers.manifest.__main__": {"": manifest, "--split": "0.6,0.2,0.2", "--out": "new/s.csv"},
        "data.generate.people": {"--out": "new/people", "--count": "2", "--workers": "1"},
        "data.generate.streets": {"--out": "new/streets", "--count": "1", "--workers": "1"},
        "data.sources.__main__ csv": {"--root": str(place / "people"), "--out": "new/m.csv"},
    }


def value_for(flag: str, number: bool, dice: random.Random) -> str:
    """Returns an absurd value, or for a number sometimes a good one at the edge."""
    if flag in ("--count", "--workers", "--epochs", "--steps", "--minutes", "--people"):
        return dice.choice(VALUES)  # an edge would take hours
    return dice.choice(NUMBERS if number and dice.random() < 0.6 else VALUES)


def run(tally: Tally, count: int, seed: int) -> None:
    """Starts commands with one or two flags changed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        place = Path(folder).resolve()
        (work := place / "a" / "b" / "c").mkdir(parents=True)
        _trained(place, stack)
        stack.enter_context(contextlib.chdir(work))
        stack.enter_context(mock.patch.dict("os.environ", {"WORKSHOP_FAST": "1"}))
        known = commands(place)
        for number in range(count):
            dice = random.Random(f"{seed} {number}")
            name = dice.choice(list(known))
            module, *names = name.split()
            flags = {flag: is_number(action) for flag, action in flags_of(module, *names)}
            given = known[name] | {
                flag: value_for(flag, flags[flag], dice)
                for flag in dice.sample(sorted(flags), dice.choice((1, 1, 2)))
                if flag not in ("", "--out")
            }
            last = ["--", given.pop("")] if "" in given else []
            listed = [f"{flag}={text}" for flag, text in given.items() if text is not None]
            before = {*place.iterdir()}
            outcome, text = ask(module, *names, *listed, *last)
            if {*place.iterdir()} != before:
                outcome = "outside"
            shutil.rmtree(work / "new", ignore_errors=True)
            tally.add(outcome, f"seed {seed}, try {number}: {name} {listed}\n{text[-2500:]}")
