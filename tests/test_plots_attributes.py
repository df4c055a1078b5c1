"""Figures of attributes hold the numbers they were given; scores of baselines."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import plots
from helpers import scores as metrics
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


@pytest.fixture
def scores() -> pd.DataFrame:
    """One task is learned, one is not: its answers are always the largest class."""
    rng = np.random.default_rng(0)
    targets = {"learned": rng.integers(0, 2, 200), "guessed": (rng.random(200) < 0.2).astype(int)}
    rows = {}
    for task, truth in targets.items():
        answer = truth.copy() if task == "learned" else np.zeros(200, int)
        answer[:10] = 1 - answer[:10]
        p = np.eye(2)[answer]
        rows[task] = vars(metrics.score_task(truth, p, ["no", "yes"], np.arange(200) // 4))
    return pd.DataFrame.from_dict(rows, orient="index")


def test_a_task_at_its_baseline_is_named_and_red(scores: pd.DataFrame) -> None:
    assert metrics.at_majority_baseline(scores) == ["guessed"]
    axes = plots.lifts(scores).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["learned", "guessed"]
    words = [text.get_text() for text in axes.texts]
    assert "at its baseline" not in words[0] and "at its baseline" in words[1]
    assert f"macro-F1 {scores.macro_f1['learned']:.3f}" in words[0]


def test_a_task_without_an_interval_counts_as_not_learned(scores: pd.DataFrame) -> None:
    assert metrics.at_majority_baseline(scores.assign(lift_low=np.nan)) == ["learned", "guessed"]


def test_stages_are_bands() -> None:
    log = pd.DataFrame({"epoch": range(1, 6), "stage": [1, 1, 2, 3, 3]})
    log = log.assign(val_accuracy=0.5, val_macro_f1=np.linspace(0.1, 0.5, 5))
    axes = plots.stage_curves(log).axes[0]
    assert [text.get_text() for text in axes.texts] == ["stage 1", "stage 2", "stage 3"]
    assert axes.lines[1].get_ydata().tolist() == log["val_macro_f1"].tolist()
