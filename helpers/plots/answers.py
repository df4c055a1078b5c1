"""Figures of predictions: images beside the probability of every class."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import helpers.plots.style as style
from helpers.manifest import Labels, Manifest
from helpers.plots.images import ImageLike, image_grid, read_image, show_image
from helpers.plots.panels import ROW, new_figure, paint_bars, panels_of_rows

MOST_BARS = 22  # a task with more classes continues in the next column
Answer = tuple[Sequence[str], np.ndarray]  # classes, probabilities
Answers = Mapping[str, Answer]  # by task
Truth = Mapping[str, str] | None  # task: class
Row = tuple[ImageLike, Answers, Truth]


def gallery_rows(
    manifest: Manifest, probabilities: Mapping[str, np.ndarray], rows: Sequence[int]
) -> list[Row]:
    """Returns the path, the predictions and the known labels of rows, for `probability_gallery`.

    Takes what `predict_manifest` returns, {task: float (rows of the manifest, classes)}.
    """
    tasks = manifest.labels.tasks
    return [
        (
            manifest.path(row),
            {task: (tasks[task], values[row]) for task, values in probabilities.items()},
            {task: manifest.frame[task][row] for task in tasks if manifest.frame[task][row]},
        )
        for row in rows
    ]


@style.styled
def probabilities(
    image: ImageLike, answers: Answers, truth: Truth = None, labels: Labels | None = None
) -> Figure:
    """Draws an image and, for each task, the probability of every class; the truth is marked."""
    parts = [
        (task, part)
        for task, (classes, _) in answers.items()
        for part in np.array_split(np.arange(len(classes)), math.ceil(len(classes) / MOST_BARS))
    ]
    titles = ["", *(task + (", continued" if part[0] else "") for task, part in parts)]
    figure, panels = panels_of_rows(titles, [0, *(len(part) for _, part in parts)], columns=4)
    array = read_image(image)
    show_image(panels[0], array)
    panels[0].set(anchor="N", ylim=(len(array) - 0.5, -0.5))
    for axes, (task, part) in zip(panels[1:], parts):
        names = [answers[task][0][i] for i in part]
        shown = [labels.display_name(task, name) for name in names] if labels else names
        _answer_panel(axes, answers[task], part, shown, (truth or {}).get(task))
    return figure


def _answer_panel(
    axes: Axes, answer: Answer, part: np.ndarray, names: Sequence[str], truth: str | None
) -> None:
    """Draws the bars of the classes `part` of a task: the prediction is bold, the truth marked."""
    classes, values = answer[0], np.asarray(answer[1], float)
    best = int(values.argmax())
    shown, best_row = [classes[i] for i in part], np.flatnonzero(part == best)
    paint_bars(axes, shown, names, values[part], best_row, classes)
    axes.barh(np.arange(len(part)), 1, height=0.74, color=style.TRACK, zorder=0)
    for row, (index, label) in enumerate(zip(part, axes.get_yticklabels())):
        weight = "bold" if index == best else "normal"
        label.set_fontweight(weight)
        color = style.INK if values[index] >= 0.005 else style.FAINT
        _beside(axes, row, style.as_share(values[index]), 4, color=color, fontweight=weight)
        if classes[index] == truth and index == best:
            _beside(axes, row, "✓", 29, color=style.GREEN, fontsize=12)
        elif classes[index] == truth:
            # A class that is not predicted has less than half: its track is free at the right.
            _beside(axes, row, "◂ truth", -3, color=style.RED, fontweight="bold", ha="right")
    axes.set_xlim(0, 1)


def _beside(axes: Axes, row: int, text: str, points: float, **look: Any) -> None:
    """Writes at the right end of a row's track, `points` away from it."""
    look = {"va": "center", "fontsize": 9, "textcoords": "offset points"} | look
    axes.annotate(text, (1, row), (points, 0), **look)


@style.styled
def probability_gallery(rows: Sequence[Row], top: int = 3, columns: int = 3) -> Figure:
    """Draws images, each beside the truth and the `top` classes of each task."""
    tasks = list(rows[0][1])
    columns = min(columns, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure = new_figure(lines * len(tasks) * (top + 1.1) * ROW, columns * style.WIDTH / 3)
    cells = figure.subfigures(lines, columns, squeeze=False).ravel()
    for cell, (image, answers, truth) in zip(cells, rows):
        grid = cell.add_gridspec(len(tasks), 2, width_ratios=[1, 1.4])
        show_image(cell.add_subplot(grid[:, 0], anchor="N"), read_image(image))
        for number, task in enumerate(tasks):
            axes = cell.add_subplot(grid[number, 1])
            _top_panel(axes, answers[task], top, (truth or {}).get(task))
            axes.set_title(style.task_title(task), fontsize=10)
    return figure


def _top_panel(axes: Axes, answer: Answer, top: int, truth: str | None) -> None:
    """Draws the most probable classes; the truth takes the last place if it is not in them."""
    classes = list(answer[0])
    part = np.argsort(-np.asarray(answer[1]), kind="stable")[:top]
    if truth in classes and classes.index(truth) not in part:
        part[-1] = classes.index(truth)
    _answer_panel(axes, answer, part, [classes[i] for i in part], truth)
    axes.set_ylim(top - 0.45, -0.55)  # as many rows where there are fewer classes


def heatmaps(
    image: ImageLike, maps: Mapping[str, np.ndarray], captions: Mapping[str, str] | None = None
) -> Figure:
    """Lays over an image, for each task, how much each place contributed to the prediction.

    Takes {task: float (h, w)} of any size, not negative (Grad-CAM, Selvaraju et al. 2017).
    """
    array = read_image(image)
    gray = np.asarray(Image.fromarray(array).convert("L"))[..., None]
    images, titles = [array], ["image"]
    for task, heat in maps.items():
        small = Image.fromarray(np.asarray(heat, np.float32) / max(float(np.max(heat)), 1e-12))
        whole = np.asarray(small.resize(array.shape[1::-1], Image.Resampling.BILINEAR))
        alpha, colors = 0.75 * whole[..., None], 255 * colormaps["inferno"](whole)[..., :3]
        images.append(gray * (1 - alpha) + colors * alpha)
        titles.append(style.task_title(task) + (f"\n{captions.get(task, '')}" if captions else ""))
    return image_grid(images, titles, columns=6)
