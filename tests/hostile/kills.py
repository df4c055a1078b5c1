"""SIGKILL at a random moment; then the same command again, as somebody would.

It must go on or begin again, with the result of a run that nobody killed: no epoch twice, every
file whole, and no draft left, neither beside the result nor in the folder for temporary files.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tests.conftest import make_people, small_recipe, tiny_features
from tests.detection_data import make_voc
from tests.hostile import PROJECT, Tally, files_below

COUNT = 40
KINDS = ("train", "cache", "records", "export", "source")
EPOCHS = 3
LAST = 600  # seconds until a command counts as hanging


def run(tally: Tally, count: int, seed: int, kinds: tuple[str, ...] = KINDS) -> None:
    """Kills each kind of command in turn."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        start = Path(name) / "start"
        make_people(start / "people", 120)
        make_voc(start / "voc", 60)
        if "export" in kinds:
            _work("train", start)
        whole, seconds = {}, {}
        for number in range(count):
            kind = kinds[number % len(kinds)]
            if kind not in whole:
                whole[kind] = Path(shutil.copytree(start, Path(name) / kind))
                seconds[kind] = _work(kind, whole[kind])
            place = Path(shutil.copytree(start, Path(name) / f"{kind}-{number}"))
            moment = float(rng.uniform(0, seconds[kind]))
            what = f"{kind}, killed after {moment:.3f} s (try {number}, seed {seed})"
            _work(kind, place, moment)
            left = any(_drafts(place))
            try:
                _work(kind, place)
            except subprocess.SubprocessError as error:
                tally.add("hang" if "timed out" in str(error) else "traceback", f"{what}: {error}")
                continue
            wrong = _compare(kind, place, whole[kind])
            tally.add("wrong" if wrong else "swept" if left else "ok", f"{what}: {wrong}")
            shutil.rmtree(place)


def _work(kind: str, place: Path, kill_after: float | None = None) -> float:
    """Does the work in a process; returns its seconds without the imports."""
    (place / "tmp").mkdir(exist_ok=True)
    variables = {"TMPDIR": str(place / "tmp"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.hostile.kills", kind, str(place)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=PROJECT, env=os.environ | variables, **streams)
    try:
        while (line := process.stdout.readline()) and line != b"ready\n":
            pass
        began = time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        _, error = process.communicate(timeout=LAST)
    finally:
        process.kill()
        process.wait()
    if kill_after is None and process.returncode:
        raise subprocess.SubprocessError(error.decode(errors="replace")[-2000:])
    return time.monotonic() - began


def _drafts(place: Path) -> list[Path]:
    temporary = [*(place / "tmp").glob("workshop-*")]
    return [*place.rglob("*.draft"), *(path for path in temporary if path.suffix != ".draft")]


def _compare(kind: str, place: Path, whole: Path) -> str:
    """Returns what differs from the work of a process that nobody killed."""
    if drafts := _drafts(place):
        return f"left {drafts}"
    if kind == "train":
        epochs = pd.read_csv(place / "kept/run/log.csv")["epoch"].tolist()
        if epochs != [*range(1, EPOCHS + 1)]:
            return f"epochs {epochs}"
        batches = pd.read_csv(place / "kept/run/batches.csv")
        return "a batch twice" if batches[["epoch", "batch"]].duplicated().any() else ""
    name = {"cache": "cache", "records": "records", "export": "kept/run/export", "source": "tmp"}
    found, wanted = (
        {
            str(Path(path).relative_to(root)): data
            for path, data in files_below(root / name[kind]).items()
        }
        for root in (place, whole)
    )
    if kind == "cache":  # its names depend on the times of the images
        found, wanted = sorted(found.values()), sorted(wanted.values())
    if kind == "export":  # its bytes are never twice the same
        found, wanted = (
            {path: bool(data) for path, data in files.items()} for files in (found, wanted)
        )
    return "" if found == wanted else f"other files or bytes in {name[kind]}"


def _prepare(kind: str, place: Path) -> Callable[[], object]:
    """Imports what the work needs, and returns the work."""
    if kind == "source":
        from helpers.cloud.source import copy_source
        from helpers.common import temporary_draft

        def stage() -> None:
            held = []  # as a `JobPlan` holds its own
            for _ in range(20):
                held.append(temporary_draft("source"))
                copy_source(held[-1].path / "code")

        return stage
    import helpers.model.network
    import helpers.pipeline.batches
    from helpers.manifest import read_manifest

    if kind == "records":
        from helpers.detection import write_records

        return lambda: write_records(place / "voc", place / "records", shards=4)
    if kind == "cache":
        people = read_manifest(place / "people/manifest.csv")
        load = helpers.pipeline.load_images
        return lambda: load(people, (512, 256), place / "cache")
    helpers.model.network.street_features = tiny_features
    helpers.pipeline.batches.load_images.__defaults__ = (place / "cache",)
    if kind == "export":
        from helpers.predict import export_run
        from helpers.train import open_run

        run = open_run(place / "kept/run")
        return lambda: export_run(run, ("saved_model", "litert"))
    from helpers.common import write_json
    from helpers.train.__main__ import main
    from helpers.train.loop import train  # noqa: F401 - what main would import

    write_json(place / "recipe.json", small_recipe(epochs=EPOCHS).to_json())
    sys.argv[1:] = ["--manifest", str(place / "people/manifest.csv"), "--no-export"]
    sys.argv += ["--checkpoints", str(place / "kept"), "--recipe", str(place / "recipe.json")]
    return main


if __name__ == "__main__":
    from helpers.common import run_command

    work = _prepare(sys.argv[1], Path(sys.argv[2]))
    print("ready", flush=True)
    run_command(work)
