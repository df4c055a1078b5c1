"""Draws the first picture of the README: eight sharp test images and what the network says.

    python -m benchmarks people --run artifacts/full/runs/multi_task \
        --manifest artifacts/full/people/manifest.csv

writes images/probabilities.png: for each task the three most probable classes, the label marked.
The images are the sharpest ones of the test split, of eight people with tops of different colors;
whether the network is right about them plays no part.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.command import shared
from helpers.common import ROOT, expected, whole_file
from helpers.manifest import Manifest, read_manifest
from helpers.model import load_model
from helpers.plots import GRAY, ORANGE, PAINT, STYLE, NotebookFigure
from helpers.train import open_run, predict_manifest

TASKS = ("gender", "top_color", "bottom_color")
ROWS, COLUMNS = 2, 4
BEST = 3  # bars of a task
SIZE = (11.6, 6.6)  # inches
DPI, COLORS = 100, 256  # half of the bytes of an image of all colors
FLAGS = shared("manifest") | {
    "--run": {"type": Path, "required": True, "help": "the run of notebook 02"},
    "--out": {"type": Path, "default": ROOT / "images" / "probabilities.png", "help": "the PNG"},
}


def measure_sharpness(path: str) -> float:
    """Returns the variance of an image's Laplacian: high where edges are hard.

    At half the size, where the comb of an interlaced video does not look like edges.
    """
    gray = np.asarray(Image.open(path).convert("L").reduce(2), float)
    return float(cv2.Laplacian(gray, cv2.CV_64F)[1:-1, 1:-1].var())


def choose_people(manifest: Manifest) -> list[int]:
    """Chooses the rows of the sharpest whole labelled images of people dressed differently."""
    frame = manifest.frame
    good = (frame[list(TASKS)] != "").all(axis=1) & (frame["imagequality"] == "Good")
    rows = frame.index[good & (frame["gender"] != "unknown")]
    sharpest = sorted(rows, key=lambda row: -measure_sharpness(manifest.path(row)))
    people = frame.loc[sharpest].drop_duplicates("group").drop_duplicates("top_color")
    if len(people) < ROWS * COLUMNS:
        what = f"{ROWS * COLUMNS} sharp images with tops of different colors"
        raise expected(what, len(people), "Use the people that notebook 01 draws in full.")
    return list(people.index[: ROWS * COLUMNS])


def _draw_task(axes: Axes, task: str, classes: list[str], values: np.ndarray, label: str) -> None:
    best = np.argsort(-values)[:BEST]
    names = [classes[k] for k in best]
    colors = [PAINT.get(name, "#A9C6DB") for name in names]
    bars = axes.barh(range(BEST), values[best], color=colors, edgecolor=GRAY, lw=0.6, height=0.72)
    marks = [f"{values[k]:.2f}{'  ✓' if classes[k] == label else ''}" for k in best]
    axes.bar_label(bars, marks, padding=3, fontsize=8)
    axes.set_yticks(range(BEST), names, fontsize=8.5)
    axes.set(xlim=(0, 1.55), ylim=(BEST - 0.5, -0.5), xticks=[])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_title(task.replace("_", " "), fontsize=9.5)
    if label not in names:
        axes.set_title(f"label: {label}", fontsize=8, loc="right", color=ORANGE)


@rc_context(STYLE)
def draw(manifest: Manifest, probabilities: dict[str, np.ndarray], rows: list[int]) -> Figure:
    """Draws an image for each of `rows`, and next to it the best classes of every task."""
    figure = NotebookFigure(figsize=SIZE, layout="constrained")
    cells = figure.subfigures(ROWS, COLUMNS, wspace=0.02, hspace=0.04)
    for cell, row in zip(cells.ravel(), rows):
        names = [["image", task] for task in TASKS]
        panels = cell.subplot_mosaic(names, width_ratios=[1.05, 1])
        panels["image"].imshow(Image.open(manifest.path(row)).convert("RGB"))
        panels["image"].axis("off")
        for task in TASKS:
            classes, label = list(manifest.labels.tasks[task]), manifest.frame.at[row, task]
            _draw_task(panels[task], task, classes, probabilities[task][row], label)
    return figure


def run(given) -> None:
    """Runs the command."""
    test = read_manifest(given.manifest).subset("test")
    model = load_model(open_run(given.run).best_path)
    rows = choose_people(test)
    probabilities = predict_manifest(model, test.select(TASKS))
    buffer = io.BytesIO()
    draw(test, probabilities, rows).savefig(buffer, format="png", dpi=DPI)
    with whole_file(given.out) as draft:
        image = Image.open(buffer).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        image.save(draft, "PNG", optimize=True)
    print(f"{given.out}: {given.out.stat().st_size / 1024:.0f} KB")
