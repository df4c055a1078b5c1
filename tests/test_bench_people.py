import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from benchmarks.people import TASKS, choose_people, draw
from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest

TOPS = ("black", "white", "red", "blue", "green", "grey", "brown", "orange", "purple")
LABELS = Labels({"gender": ("male", "female", "unknown"), "top_color": TOPS, "bottom_color": TOPS})


@pytest.fixture
def manifest(tmp_path):
    """A sharp image for each of nine people and tops, then the same ones blurred."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 20, 3)).astype(np.uint8)
    rows = []
    for number in range(18):
        image = Image.fromarray(noise)
        blurred = image.filter(ImageFilter.GaussianBlur(3)) if number >= 9 else image
        blurred.save(tmp_path / f"{number}.png")
        top = TOPS[number % 9]
        rows.append([f"{number}.png", f"p{number}", "male", top, "grey", "Good"])
    frame = pd.DataFrame(rows, columns=["image_path", "group", *TASKS, "imagequality"])
    return Manifest(frame, LABELS, tmp_path)


def test_eight_sharp_images_of_people_in_different_tops(manifest):
    manifest.frame.loc[0, "gender"] = "unknown"
    chosen = choose_people(manifest)
    assert sorted(chosen) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_too_few_tops_are_named(manifest):
    manifest.frame["top_color"] = "red"
    with pytest.raises(WorkshopError, match="8 sharp images"):
        choose_people(manifest)


def test_the_three_best_bars_and_the_label(manifest):
    probabilities = {task: np.zeros((18, len(LABELS.tasks[task]))) for task in TASKS}
    for values in probabilities.values():
        values[:, :3] = 0.1, 0.2, 0.7
    figure = draw(manifest, probabilities, list(range(8)))
    (top,) = [axes for axes in figure.subfigs[2].axes if axes.get_title("left") == "top color"]
    assert [text.get_text() for text in top.get_yticklabels()] == ["red", "white", "black"]
    assert [text.get_text() for text in top.texts] == ["0.70  ✓", "0.20", "0.10"]
    (bottom,) = [a for a in figure.subfigs[2].axes if a.get_title("left") == "bottom color"]
    assert bottom.get_title("right") == "label: grey"  # not among the best three
