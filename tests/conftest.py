"""Tiny images, a tiny backbone and one trained run that several test files share."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers.common import run_command
from helpers.manifest import Labels, Manifest, read_manifest

IMAGE_SIZE = (32, 16)  # height, width
COLORS = {
    "red": (220, 30, 30),
    "green": (30, 180, 40),
    "blue": (40, 50, 220),
    "black": (15, 15, 15),
}
# Tasks and classes in no alphabetic order, so that a sorted dict somewhere is noticed.
LABELS = Labels({"top_color": tuple(COLORS), "gender": ("male", "female"), "age": ("old", "young")})
# Of a job, whose process has no `tiny_backbone`: five layers without batch normalization.
SMALLEST = {
    "epochs": 1,
    "image-size": "32x32",
    "backbone": "lenet",
    "pooling": "average",
    "tower": 0,
}


def draw_person(color: str, gender: str, age: str, rng: np.random.Generator) -> np.ndarray:
    """An image that shows its labels: color, light left or right side, light or dark lower end."""
    image = np.empty((64, 32, 3))
    image[:] = COLORS[color]
    image[:, :12] += 90 * (gender == "male")
    image[:, 20:] += 90 * (gender == "female")
    image[48:] = 230 if age == "old" else 120
    return (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)


def make_people(folder: Path, count: int = 43, seed: int = 0) -> Path:
    """Writes images and a manifest of three tasks; every fifth label is missing.

    27 of 43 images are for training, 10 for validation, 6 for tests: with batches of 8 the last
    one is partial in every split.
    """
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(count):
        row = {task: str(rng.choice(classes)) for task, classes in LABELS.tasks.items()}
        name = f"images/{i:03d}.png"
        Image.fromarray(draw_person(*row.values(), rng)).save(folder / name)
        for number, task in enumerate(row):
            row[task] = "" if (i + number) % 5 == 0 else row[task]
        split = "train" if i < 27 else "validation" if i < 37 else "test"
        rows.append({"image_path": name, **row, "group": f"p{i}", "split": split})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    LABELS.write(folder / "labels.json")
    return folder / "manifest.csv"


@pytest.fixture(autouse=True)
def no_closed_stream() -> None:
    """A library's handler keeps the stream of the test that imported it, which is closed since."""
    for handler in list(logging.root.handlers):
        if getattr(getattr(handler, "stream", None), "closed", False):
            logging.root.removeHandler(handler)


@pytest.fixture
def people_csv(tmp_path: Path) -> Path:
    """A manifest of its own, to be spoiled."""
    return make_people(tmp_path / "people")


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """A manifest that all tests share; nobody changes its files."""
    return read_manifest(make_people(tmp_path_factory.mktemp("people") / "data"))


def tiny_features(x, **_):
    """Stands in for the default backbone: its trace takes a fifth of the time."""
    from helpers.model.network import layers

    x = layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.Activation("relu")(x)
    return layers.AveragePooling2D(2)(x)


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Puts a tiny network and a cache of decoded images outside of the checkout in place."""
    import helpers.model.network
    import helpers.pipeline.batches

    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(helpers.model.network, "street_features", tiny_features)
        patch.setattr(helpers.pipeline.batches.load_images, "__defaults__", (cache,))
        yield


def small_recipe(**changes):
    """Three epochs on tiny images; `changes` are fields of Stage or Recipe."""
    from helpers.train import Recipe, Stage

    stage = {"epochs": 3, "image_size": IMAGE_SIZE, "batch_size": 8, "learning_rate": 0.01}
    stage |= {name: changes.pop(name) for name in list(changes) if name in Stage.model_fields}
    return Recipe(**{"stages": (Stage(**stage),), "tower": 8, **changes})


@pytest.fixture(scope="session")
def trained(people: Manifest, tiny_backbone: None, tmp_path_factory: pytest.TempPathFactory):
    """A finished run of three epochs, exported in all formats; nobody changes its files."""
    from helpers.predict import export_run
    from helpers.train import train

    run = train(people, tmp_path_factory.mktemp("runs") / "trained", small_recipe())
    export_run(run)
    return run


def tuned_recipe(**changes):
    """The recipe "fine-tune" on tiny images; `changes` as in `small_recipe`."""
    from helpers.train.recipe import FINE_TUNE

    stage = FINE_TUNE.stages[0]
    own = {"frozen_until": stage.frozen_until, "epochs": 2, "batch_size": 16}
    names = ("backbone", "weights", "backbone_rate", "views")
    own |= {"learning_rate": stage.learning_rate} | {n: getattr(FINE_TUNE, n) for n in names}
    return small_recipe(**{**own, **changes})


@pytest.fixture(scope="session")
def tuned(people: Manifest, tiny_backbone: None, tmp_path_factory: pytest.TempPathFactory):
    """As `trained`, from ImageNet's weights; nobody changes its files."""
    from helpers.predict import export_run
    from helpers.train import train

    run = train(people, tmp_path_factory.mktemp("runs") / "tuned", tuned_recipe())
    export_run(run)
    return run


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command's `main` as its module would: exit code, standard output, standard error."""

    def run(main: Callable[[], None], *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            run_command(main)
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run
