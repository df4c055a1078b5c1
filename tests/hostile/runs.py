"""Damaged runs through evaluate, predict, export and train --resume.

"wrong" is an answer that differs from that of the whole run. Everything happens in this process,
through each command's `main`, since a process of its own would only import TensorFlow again.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import random
import shutil
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

from helpers.common import run_command
from tests.hostile import Tally
from tests.saved_model import SavedModelPredictor

COUNT = 50
FOREIGN = {"tasks": {"shoe": ["left", "right", "none"]}}
OTHER_NAMES = {
    "tasks": {"top_color": ["a", "b", "c", "d"], "gender": ["x", "y"], "age": ["o", "p"]}
}
READ = (
    "best.keras", "best.json", "run.json", "labels.json", "log.csv", "state/state.json",
    "state/*.weights.h5", "epochs/epoch-003.keras", "export/model.tflite", "export/labels.json",
    "export/saved_model/saved_model.pb", "export/saved_model/variables/*.data*",
    "export/saved_model/variables/*.index", "export/SHA256SUMS", "batches.csv",
)  # fmt: skip


def flip(path: Path, dice: random.Random) -> None:
    """Turns a few bits."""
    data = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 3, 50))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def cut(path: Path, dice: random.Random) -> None:
    """Keeps the beginning."""
    path.write_bytes(path.read_bytes()[: dice.randrange(path.stat().st_size)])


def empty(path: Path, dice: random.Random) -> None:
    """Keeps nothing."""
    path.write_bytes(b"")


def fill(path: Path, dice: random.Random) -> None:
    """Puts a block of something else into it, of the same length."""
    data = path.read_bytes()
    start = dice.randrange(len(data))
    path.write_bytes(data[:start] + dice.randbytes(64) + data[start + 64 :])


def exchange(path: Path, dice: random.Random) -> None:
    """Replaces it by what is of another form, or belongs to another run."""
    texts = ("[]", "null", "3", "{}", '"text"', "[" * 100_000, '{"epoch": "many"}', '{"epoch": -1}',
             '{"epoch": 1e999}', "epoch\nx\n", json.dumps(FOREIGN), json.dumps(OTHER_NAMES),
             '{"weights": "../../x", "epoch": 3}', "\0" * 99, "\udce9")  # fmt: skip
    path.write_bytes(dice.choice(texts).encode("utf-8", "surrogateescape"))


def away(path: Path, dice: random.Random) -> None:
    """Removes it, or puts a folder or a loop of links there."""
    path.unlink()
    dice.choice((lambda: None, path.mkdir, lambda: path.symlink_to(path.name)))()


def model_of_others(path: Path, dice: random.Random) -> None:
    """Makes it a zip such as Keras writes, of other parts or other classes."""
    ways = (
        lambda config: config.replace("BatchNormalization", "NobodyKnowsThis"),
        lambda config: config.replace('"module": "keras.layers"', '"module": "os"', 1),
        lambda config: config.replace('"class_name": "Activation"', '"class_name": "Lambda"', 1),
        lambda config: config[: len(config) // 2],
        lambda config: config.replace('"units": 2', '"units": 7'),
    )
    rewrite(path, dice.choice(ways), dice.choice(([], [], [("../outside.txt", b"!")],
                                                  [("assets/x", b"\0" * 30_000_000)])))  # fmt: skip


def rewrite(path: Path, change: Callable[[str], str], more: list[tuple[str, bytes]] = ()) -> None:
    """Writes a saved model again, with a config that is changed, and more parts."""
    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(path, "w") as draft:
        for name in whole.namelist():
            part = whole.read(name)
            draft.writestr(name, change(part.decode()) if name == "config.json" else part)
        for name, part in more:
            draft.writestr(name, part, zipfile.ZIP_DEFLATED)


WAYS = (flip, flip, cut, empty, fill, exchange, away)


def damage(run: Path, dice: random.Random) -> str:
    """Damages a file of the run; returns what was done."""
    path = next(run.glob(dice.choice(READ)))
    way = dice.choice(
        (*WAYS, model_of_others, model_of_others) if path.suffix == ".keras" else WAYS
    )
    way(path, dice)
    return f"{way.__name__} {path.relative_to(run)}"


def ask(main: str | Callable[[], None], *arguments: object) -> tuple[str, str]:
    """Runs a module's `main`, or a function, in this process: its outcome, and what it printed."""
    printed, errors = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        mock.patch.object(sys, "argv", ["command", *map(str, arguments)]),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(errors),
    ):
        try:
            run_command(main if callable(main) else importlib.import_module(main).main)
        except SystemExit as stop:
            code = stop.code
        except BaseException:
            return "traceback", traceback.format_exc()
    if code not in (0, 2, None) or (code == 2 and "error: " not in errors.getvalue()):
        return "traceback", f"exit code {code}: {errors.getvalue()}"
    return ("refused", errors.getvalue()) if code else ("ok", printed.getvalue())


def serve(run: Path, image: Path) -> None:
    """Packs the export for an endpoint, and predicts with its SavedModel."""
    from helpers.predict import archive_folder

    archive_folder(run / "export", run / "archive.tar.gz")
    answers = SavedModelPredictor(run / "export").predict_bytes([image.read_bytes()])
    print({task: values.round(4).tolist() for task, values in answers.items()})


def answers(run: Path, manifest: Path, what: str = "export") -> dict[str, tuple[str, str]]:
    """Asks every command that reads a run, and of an export the SavedModel."""
    image = manifest.parent / "images" / "000.png"
    served = {"serve": ask(partial(serve, run, image))} if "export" in what else {}
    data = ("--run", run, "--manifest", manifest)
    quick = ("--manifest", manifest, "--out", run, "--resume", "--no-check", "--no-export")
    return served | {
        "evaluate": ask("helpers.evaluate", *data),
        "predict": ask("helpers.predict.__main__", "--run", run, "--json", image),
        "resume": ask("helpers.train.__main__", *quick),
    }


def run(tally: Tally, count: int, seed: int, whole: Path | None = None) -> None:
    """Damages copies of a run, `whole` where there is one, and compares with what it answers."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        place = Path(folder)
        whole = whole or _trained(place, stack)
        manifest = Path(json.loads((whole / "run.json").read_text())["manifest"])
        shutil.copytree(whole, place / "run", symlinks=True)
        good = answers(place / "run", manifest)
        assert all(outcome == "ok" for outcome, _ in good.values()), good
        for number in range(count):
            shutil.rmtree(place / "run")
            shutil.copytree(whole, place / "run", symlinks=True)
            before = set(place.iterdir())
            done = damage(place / "run", random.Random(f"{seed} {number}"))
            for name, (outcome, text) in answers(place / "run", manifest, done).items():
                if outcome == "ok" and name != "resume" and text != good[name][1]:
                    outcome = "wrong"
                if set(place.iterdir()) != before:
                    outcome = "outside"
                tally.add(outcome, f"seed {seed}, try {number}: {done}, {name}\n{text[-1500:]}")


def _trained(place: Path, stack: contextlib.ExitStack) -> Path:
    """Trains the tiny run of the tests."""
    import helpers.model.network
    from helpers.manifest import read_manifest
    from helpers.predict import export_run
    from helpers.train import train
    from tests.conftest import make_people, small_recipe, tiny_features

    stack.enter_context(mock.patch.object(helpers.model.network, "street_features", tiny_features))
    made = train(read_manifest(make_people(place / "people")), place / "whole", small_recipe())
    export_run(made)
    return made.folder
