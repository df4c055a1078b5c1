"""Generates the street people: plan -> images -> manifest.

    python -m data.generate.people --out data/generated/people

writes images/, manifest.csv, labels.json and answers.csv, whole or not at all.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from data.generate import camera, cloth, looks, scenes
from data.generate.writing import check_numbers, draw_all, listed_files, options_parser
from helpers.common import Output, number_flag, run_command, whole_folder, write_json

EMPTY_SHARE = 0.03  # of the labels of each task: nobody filled them in
WRONG_SHARE = 0.015  # of the labels of each task: somebody chose another class
MOST_PICTURES = 10  # of one person
SHRINKS = (1.0, 1.5, 2.0, 2.8, 4.0)  # about the reductions of camera.FAULTS
FILES = Output(
    "generated people",
    "answers.csv",
    r"images/\d{5}\.jpg|(manifest|answers)\.csv|labels\.json",
    listed_files("answers.csv", ["manifest.csv", "labels.json"]),
)


def generate_people(
    out: Path,
    count: int = 6000,
    seed: int = 1,
    height: int = 240,
    width: int = 100,
    workers: int = 2,
    per_person: int = MOST_PICTURES,
    clear: bool = False,
) -> None:
    """Writes the dataset to the folder `out`; the same bytes for any number of `workers`.

    `count` is the images in all and `per_person` the most of one person, 1 to 10. `clear` shows
    ages, builds and bags more than life does.

    Raises:
        WorkshopError: a number is out of its range, or `out` holds something else.
    """
    check_numbers({"--count": (count, 1), "--height": (height, 48), "--width": (width, 20),
                   "--workers": (workers, 1), "--per-person": (per_person, 1)})  # fmt: skip
    plan = list(plan_persons(count, seed, per_person))
    with whole_folder(Path(out), FILES) as draft:
        (draft / "images").mkdir()
        size = {"height": height, "width": width}
        work = partial(draw_person_pictures, folder=draft / "images", **size, clear=clear)
        bar = {"total": count, "unit": "image", "desc": f"drawing {len(plan)} people"}
        rows = draw_all(work, plan, workers, partial(prepare, height), **bar)
        _write_tables(draft, rows, seed)


def plan_persons(
    count: int, seed: int, per_person: int = MOST_PICTURES
) -> Iterator[tuple[int, int, int, int]]:
    """Yields (seed, person number, first image, images) until `count` images are planned."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, 0)))
    first = person = 0
    while first < count:
        # 1 to 10 images of a person, 3.4 on average.
        pictures = min(1 + int(rng.negative_binomial(2.2, 0.46)), per_person, count - first)
        yield seed, person, first, pictures
        first, person = first + pictures, person + 1


def draw_person_pictures(
    plan: tuple[int, int, int, int], folder: Path, height: int, width: int, clear: bool = False
) -> list[dict[str, str]]:
    """Draws all images of one person and returns a row of true classes for each."""
    seed, person, first, pictures = plan
    rng = np.random.default_rng(np.random.SeedSequence((seed, 1, person)))
    look = looks.sample_look(rng, clear)
    rows = []
    for number in range(first, first + pictures):
        view = looks.sample_view(rng, look)
        name = f"{number:05d}.jpg"
        (folder / name).write_bytes(camera.take_picture(look, view, height, width))
        row = {"image_path": f"images/{name}", "group": f"p{person:04d}"}
        rows.append(row | {"camera": f"c{view.camera + 1:02d}"} | view.truth)
    return rows


def prepare(height: int) -> None:
    """Draws what all images share: scenes, passers-by, noise and folds."""
    for zoom in {cloth.nearest_zoom(height / 240 / s) for s in SHRINKS}:
        cloth.fold_maps(zoom)
    scenes.cameras()
    camera.passers()
    cloth.speckle()
    cloth.blotches()


def _write_tables(folder: Path, rows: list[dict[str, str]], seed: int) -> None:
    truth = pd.DataFrame(rows)[["image_path", "group", "camera", *looks.TASKS]]
    manifest = spoil_labels(truth, np.random.default_rng(np.random.SeedSequence((seed, 2))))
    manifest.to_csv(folder / "manifest.csv", index=False)
    truth[["image_path", *looks.TASKS]].to_csv(folder / "answers.csv", index=False)
    write_json(folder / "labels.json", {"tasks": {t: list(c) for t, c in looks.SHARES.items()}})


def spoil_labels(truth: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Returns `truth` with some labels emptied and some replaced by another class."""
    manifest = truth.copy()
    for task, shares in looks.SHARES.items():
        classes = list(shares)
        dice = rng.random(len(truth))
        shift = rng.integers(1, len(classes), len(truth))
        codes = truth[task].map(classes.index).to_numpy()
        other = np.array(classes, object)[(codes + shift) % len(classes)]
        wrong = dice < WRONG_SHARE
        empty = (dice >= WRONG_SHARE) & (dice < WRONG_SHARE + EMPTY_SHARE)
        manifest[task] = np.where(wrong, other, np.where(empty, "", truth[task]))
    return manifest


def main() -> None:
    """Runs the command."""
    parser = options_parser("Draw a labelled dataset of street people.", 6000, "images")
    parser.add_argument("--height", **number_flag("pixels", 48, 4096, 240))
    parser.add_argument("--width", **number_flag("pixels", 20, 4096, 100))
    most = number_flag("most images of one", 1, MOST_PICTURES, MOST_PICTURES)
    parser.add_argument("--per-person", **most)
    parser.add_argument(
        "--clear", action="store_true", help="ages, builds and bags show more than in life"
    )
    generate_people(**vars(parser.parse_args()))


if __name__ == "__main__":
    run_command(main)
