"""Generates the traffic signs: physical signs -> tracks of frames -> manifest.

    python -m data.generate.signs --out data/generated/signs

writes images/, manifest.csv and labels.json, whole or not at all. The 43 classes, their names and
their uneven class frequencies are those of GTSRB (`data.sources.gtsrb`).
"""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from data.generate.sign_camera import outline, take_track
from data.generate.writing import check_numbers, draw_all, listed_files, options_parser
from data.sources.gtsrb import SIGNS, TASK, TRAINING_IMAGES
from helpers.common import Output, number_flag, run_command, whole_folder, write_json

FRAMES = 15  # most of a track; half as many as in GTSRB, so that there are twice as many signs
FEWEST_TRACKS = 3  # of a class, so that a split by track finds one for each side
COLUMNS = ["image_path", TASK, "group", "frame"]
FILES = Output(
    "generated signs",
    "manifest.csv",
    r"images/\d{5}_\d{5}\.png|manifest\.csv|labels\.json",
    listed_files("manifest.csv", ["labels.json"], COLUMNS),
)


def generate_signs(
    out: Path, count: int = 12_000, seed: int = 1, workers: int = 2, frames: int = FRAMES
) -> None:
    """Writes the dataset to the folder `out`; the same bytes for any number of `workers`.

    `count` is the images in all, 129 or more (three tracks of each class), and `frames` the most of
    a track, that is of one physical sign.

    Raises:
        WorkshopError: a number is out of its range, or `out` holds something else.
    """
    check_numbers({"--count": (count, FEWEST_TRACKS * len(SIGNS)), "--workers": (workers, 1),
                   "--frames": (frames, 1)})  # fmt: skip
    plan = plan_tracks(count, seed, frames)
    with whole_folder(Path(out), FILES) as draft:
        (draft / "images").mkdir()
        work = partial(draw_track, folder=draft / "images")
        bar = {"total": count, "unit": "image", "desc": f"{len(plan)} signs"}
        rows = draw_all(work, plan, workers, prepare, **bar)
        pd.DataFrame(rows, columns=COLUMNS).to_csv(draft / "manifest.csv", index=False)
        write_json(draft / "labels.json", {"tasks": {TASK: list(SIGNS)}})


def plan_tracks(count: int, seed: int, frames: int = FRAMES) -> list[tuple[int, int, int, int]]:
    """Returns (seed, track, class, frames) of every track, `count` frames in all.

    Classes have the proportions of the benchmark, but at least `FEWEST_TRACKS` tracks each.
    """
    tracks = max(-(-count // frames), FEWEST_TRACKS * len(SIGNS))
    wish = np.array(list(TRAINING_IMAGES.values()), float)
    each = np.full(len(SIGNS), FEWEST_TRACKS)
    for _ in range(tracks - each.sum()):  # to the class that is furthest below its proportion
        each[np.argmax(wish / (each + 0.5))] += 1
    classes = np.repeat(np.arange(len(SIGNS)), each)
    lengths = np.full(tracks, count // tracks)
    extra = np.random.default_rng((seed, 0)).permutation(tracks)[: count % tracks]
    lengths[extra] += 1
    numbers = zip(range(tracks), classes.tolist(), lengths.tolist())
    return [(seed, track, number, length) for track, number, length in numbers]


def draw_track(plan: tuple[int, int, int, int], folder: Path) -> list[tuple[str, str, str, int]]:
    """Draws the frames of one sign and returns a row of the manifest for each."""
    seed, track, number, length = plan
    rng = np.random.default_rng(np.random.SeedSequence((seed, 1, track)))
    rows = []
    for frame, picture in enumerate(take_track(rng, number, length)):
        name = f"{track:05d}_{frame:05d}.png"
        _, data = cv2.imencode(".png", picture[..., ::-1])
        (folder / name).write_bytes(data.tobytes())
        rows.append((f"images/{name}", SIGNS[number], f"t{track:05d}", frame))
    return rows


def prepare() -> None:
    """Draws every sign once, before the processes start, so that they share the drawings."""
    for number in range(len(SIGNS)):
        outline(number)


def main() -> None:
    """Runs the command."""
    parser = options_parser("Draw a labelled dataset of traffic signs.", 12_000, "images")
    parser.add_argument("--frames", **number_flag("most frames of one sign", 1, 1000, FRAMES))
    generate_signs(**vars(parser.parse_args()))


if __name__ == "__main__":
    run_command(main)
