"""Figures of attributes hold the numbers they were given; scores of baselines."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import plots
from helpers import scores as metrics
from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest
from helpers.train import proposed_rate


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


def test_the_range_test_is_drawn_and_read() -> None:
    rates = np.geomspace(1e-5, 1, 6)
    smooth = np.array([3.0, 2.9, 2.5, 2.0, 2.4, np.nan])
    table = pd.DataFrame({"rate": rates, "loss": smooth, "smooth": smooth})
    assert proposed_rate(table) == pytest.approx(rates[3] / 3)
    axes = plots.learning_rate_range(table, 3e-3).axes[0]
    assert axes.get_xscale() == "log" and len(axes.lines) == 3


def test_stages_are_bands() -> None:
    log = pd.DataFrame({"epoch": range(1, 6), "stage": [1, 1, 2, 3, 3]})
    log = log.assign(val_accuracy=0.5, val_macro_f1=np.linspace(0.1, 0.5, 5))
    axes = plots.stage_curves(log).axes[0]
    assert [text.get_text() for text in axes.texts] == ["stage 1", "stage 2", "stage 3"]
    assert axes.lines[1].get_ydata().tolist() == log["val_macro_f1"].tolist()


def test_a_rate_is_found(people: Manifest, tiny_backbone: None, tmp_path, command) -> None:
    from helpers.train import rate_range, rate_test
    from tests.conftest import small_recipe

    table = rate_range(people, small_recipe(minutes=1.0), steps=12, highest=0.1)
    assert np.allclose(table["rate"], np.geomspace(1e-5, 0.1, 12))
    assert np.isfinite(table["loss"]).all() and table["loss"].nunique() == 12
    with pytest.raises(WorkshopError, match="at least 2 steps"):
        rate_range(people, steps=1)
    code, printed, _ = command(
        rate_test.main, "--manifest", people.source, "--out", tmp_path, "--steps", 4,
        "--image-size", "32x16", "--batch-size", 8,
    )  # fmt: skip
    assert code == 0 and "propose --learning-rate" in printed
    assert (tmp_path / "rate_range.png").exists()
    assert len(pd.read_csv(tmp_path / "rate_range.csv")) == 4
