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
from helpers.plots.images import ImageLike, read_image, show_image
from helpers.plots.panels import ROW, new_figure, packed_panels, paint_bars, text_width

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
    parts, names = [], []
    for task, (classes, _) in answers.items():
        shown = [labels.display_name(task, name) if labels else name for name in classes]
        for part in np.array_split(np.arange(len(classes)), math.ceil(len(classes) / MOST_BARS)):
            parts.append((task, part))
            names.append([shown[i] for i in part])
    array = read_image(image)
    figure, panels, width = packed_panels(names, beside=array)
    show_image(figure.axes[0], array)
    for axes, (task, part), shown in zip(panels, parts, names):
        _answer_panel(axes, answers[task], part, shown, (truth or {}).get(task), width)
        axes.set_title(style.task_title(task) + (", continued" if part[0] else ""))
    return figure


def _answer_panel(
    axes: Axes, answer: Answer, part: np.ndarray, names: list[str], truth: str | None, width: float
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
            text = "◂ truth" if width > 1.6 else "truth"
            _beside(axes, row, text, -3, color=style.RED, fontweight="bold", ha="right")
    axes.set_xlim(0, width / (width - 0.62))


def _beside(axes: Axes, row: int, text: str, points: float, **look: Any) -> None:
    """Writes at the right end of a row's track, `points` away from it."""
    look = {"va": "center", "fontsize": 9} | look
    note = axes.annotate(text, (1, row), (points, 0), textcoords="offset points", **look)
    note.set_in_layout(False)  # the room for it is planned


@style.styled
def probability_gallery(rows: Sequence[Row], top: int = 3, columns: int = 3) -> Figure:
    """Draws images, each beside the truth and the `top` classes of each task."""
    arrays, tasks = [read_image(image) for image, _, _ in rows], list(rows[0][1])
    columns = min(columns, len(rows))
    lines, cell = math.ceil(len(rows) / columns), style.WIDTH / 3
    height = len(tasks) * (top + 0.9) * ROW
    left = min(cell / 3, max(array.shape[1] / array.shape[0] for array in arrays) * height)
    figure = new_figure(lines * height + 0.1, columns * cell)
    grid = figure.add_gridspec(lines, columns)
    every = [style.clipped(name) for task in tasks for name in rows[0][1][task][0]]
    width = cell - left - min(text_width(every), cell / 3) - 0.2
    for place, (array, (_, answers, truth)) in enumerate(zip(arrays, rows)):
        ratios = {"width_ratios": [left, cell - left]}
        inner = grid[divmod(place, columns)].subgridspec(len(tasks), 2, **ratios)
        show_image(figure.add_subplot(inner[:, 0], anchor="N"), array)
        for number, task in enumerate(tasks):
            axes = figure.add_subplot(inner[number, 1])
            _top_panel(axes, answers[task], top, (truth or {}).get(task), width)
            axes.set_title(style.task_title(task), fontsize=10)
    return figure


def _top_panel(axes: Axes, answer: Answer, top: int, truth: str | None, width: float) -> None:
    """Draws the most probable classes; the truth takes the last place if it is not in them."""
    classes = list(answer[0])
    part = np.argsort(-np.asarray(answer[1]), kind="stable")[:top]
    if truth in classes and classes.index(truth) not in part:
        part[-1] = classes.index(truth)
    _answer_panel(axes, answer, part, [classes[i] for i in part], truth, width)
    axes.set_ylim(top - 0.45, -0.55)  # as many rows where there are fewer classes


@style.styled
def heatmaps(
    image: ImageLike, maps: Mapping[str, np.ndarray], captions: Mapping[str, str] | None = None
) -> Figure:
    """Lays over an image, for each task, how much each place contributed to the prediction.

    Takes {task: float (h, w)} of any size, not negative (Grad-CAM, Selvaraju et al. 2017).
    """
    array = read_image(image)
    height, width = array.shape[:2]
    columns = min(6, len(maps) + 1)
    size = min(style.WIDTH / columns, 2.0)
    lines = math.ceil((len(maps) + 1) / columns)
    figure = new_figure(lines * ((size - 0.12) * height / width + 0.5), columns * size)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    show_image(grid[0], array)
    font = {"fontsize": 9.5, "fontweight": "normal", "loc": "center"}
    grid[0].set_title("image\n" if captions else "image", **font)
    gray = np.asarray(Image.fromarray(array).convert("L").convert("RGB"))
    look = {"extent": (-0.5, width - 0.5, height - 0.5, -0.5), "interpolation": "bilinear"}
    for axes, (task, heat) in zip(grid[1:], maps.items()):
        show_image(axes, gray)
        heat = np.asarray(heat, float) / max(float(np.max(heat)), 1e-12)
        axes.imshow(colormaps["inferno"](heat), alpha=np.clip(heat, 0, 1) * 0.75, **look)
        caption = f"\n{captions.get(task, '')}" if captions else ""
        axes.set_title(style.task_title(task) + caption, **font)
    return figure
