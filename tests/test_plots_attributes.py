"""Figures of attributes hold the numbers they were given; scores of baselines."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import plots
from helpers.manifest import Labels, Manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    """All from the back are neutral; 12 people of 5 images."""
    folder = tmp_path_factory.mktemp("images")
    rng, rows = np.random.default_rng(0), []
    for i in range(60):
        name = f"{i % 6}.png"
        if i < 6:
            Image.new("RGB", (10, 24), (40 * i, 90, 30)).save(folder / name)
        pose = "Back" if i % 4 == 0 else "Front"
        mood = "Neutral" if pose == "Back" or rng.random() < 0.5 else "Happy"
        rows.append({"image_path": name, "pose": pose, "mood": mood if i % 10 else ""})
    frame = pd.DataFrame(rows).assign(group=[f"p{i // 5}" for i in range(60)])
    labels = Labels({"pose": ("Front", "Back"), "mood": ("Neutral", "Happy", "Sad")})
    return Manifest(frame, labels, folder)


def test_the_gallery_shows_different_people_first(manifest: Manifest) -> None:
    figure = plots.class_gallery(manifest, "mood", columns=4)
    assert len(figure.axes) == 12
    shown = [len(axes.images) for axes in figure.axes]
    assert shown == [1] * 8 + [0] * 4  # nobody is sad
    captions = [text.get_text() for axes in figure.axes for text in axes.texts]
    counts = manifest.frame["mood"].value_counts()
    assert captions == [f"Neutral\n{counts['Neutral']}", f"Happy\n{counts['Happy']}", "Sad\n0"]
