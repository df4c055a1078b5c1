"""What 12_detect_and_describe writes in the open gives the package's crops and matches."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from helpers.detection.describe import Described, cut_out
from helpers.detection.drawing import Person
from tests.notebook_form import NOTEBOOKS, code_cells, read

SOURCES = code_cells(read(NOTEBOOKS / "12_detect_and_describe.ipynb"))
SIZE = (160, 64)


def run(mark: str, **names) -> dict:
    """Runs the cell of the notebook that holds the mark, and returns all names."""
    (source,) = (source for source in SOURCES if mark in source)
    names |= {"np": np, "pd": pd, "Image": Image, "ImageDraw": ImageDraw}
    exec(source, names)
    return names


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """Blobs of many colors, without the noise that every way of resizing averages otherwise."""
    small = np.random.default_rng(0).integers(0, 256, (9, 16, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((1280, 720), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("box", [(200, 300, 560, 440), (300, 700, 420, 745), (60, 900, 660, 1100)])
def test_a_person_inside_the_scene_is_cropped_as_the_package_does(scene, box):
    ours = run("def crop_person")["crop_person"](scene, box, SIZE)
    theirs = cut_out(scene, np.array(box), SIZE)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    difference = np.abs(ours.astype(float) - theirs)
    assert difference.mean() < 2
    moved = np.roll(theirs, 4, axis=0).astype(float)  # what a wrong frame would differ by
    assert np.abs(moved - theirs).mean() > 2 * difference.mean()


def person(box, color: str) -> Person:
    attributes = {"top_color": {color: 0.8, "other": 0.2}}
    return Person(np.array(box, float), np.zeros(4), 0.9, attributes, np.zeros((*SIZE, 3)))


def test_a_person_is_matched_with_the_box_that_overlaps_most(scene):
    people = {
        "image_path": ["a", "a"],
        "ymin": ["100", "100"],
        "xmin": ["100", "160"],
        "ymax": ["300", "300"],
        "xmax": ["180", "240"],
        "top_color": ["red", "blue"],
    }
    truth = pd.DataFrame(people, index=[7, 8])
    found = [person((100, 156, 300, 240), "red"), person((100, 100, 300, 176), "red")]
    found.append(person((400, 400, 600, 480), "red"))  # nobody is there
    pairs = run("def judge")["judge"](Described("a", scene, found, {}), truth)
    assert pairs["person"].tolist() == [8, 7]
    assert pairs["truth"].tolist() == ["blue", "red"] and (pairs["predicted"] == "red").all()
    assert run("def judge")["judge"](Described("a", scene, [], {}), truth).empty


def test_boxes_and_predictions_are_drawn_onto_a_copy(scene):
    people = pd.DataFrame({"gender": ["female"], "top_color": ["red"]})
    before = np.asarray(scene).copy()
    drawn = run("drawn = scene", scene=scene, people=people, boxes=np.array([[90.0, 80, 300, 180]]))
    after = np.asarray(drawn["drawn"])
    assert (np.asarray(scene) == before).all()
    assert (after[299, 100:170] == 255).all() and (after[400:] == before[400:]).all()
    assert (after[270:296, 84:130] == 0).any()  # the words stand on black
