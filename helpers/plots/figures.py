"""The workshop's figures: images, the classes of a manifest, predictions, a training."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

import helpers.plots.style as style
from helpers.manifest import Labels, Manifest, decode, open_image

MOST_BARS = 22  # a task with more classes continues in the next column
ImageLike = np.ndarray | str | Path  # uint8 (height, width, 3), or the path of an image
Answer = tuple[Sequence[str], np.ndarray]  # classes, probabilities
Answers = Mapping[str, Answer]  # by task
Truth = Mapping[str, str] | None  # task: class
Row = tuple[ImageLike, Answers, Truth]


def read_image(image: ImageLike) -> np.ndarray:
    """Returns an image as uint8 (height, width, 3), upright."""
    if isinstance(image, np.ndarray):
        array = np.clip(image, 0, 255).astype(np.uint8)
        return np.stack([array] * 3, axis=-1) if array.ndim == 2 else array[..., :3]
    return decode(*open_image(image))


def show_image(axes: Axes, array: np.ndarray, right: bool | None = None) -> None:
    """Shows an image, in a frame that says right or wrong where that is known."""
    axes.imshow(array)
    axes.set(xticks=[], yticks=[])
    axes.axis("on")
    axes.spines[:].set_visible(right is not None)
    if right is not None:
        axes.spines[:].set(color=style.GREEN if right else style.RED, linewidth=2 if right else 4)


@style.styled
def image_grid(
    images: Sequence[ImageLike],
    titles: Sequence[str] | None = None,
    columns: int = 8,
    right: Sequence[bool | None] | None = None,
) -> Figure:
    """Draws images side by side, each with a short title of one line or several.

    Of `right`, True draws a thin green frame, False a thick red one, None no frame.
    """
    if not len(images):
        figure = style.new_figure(0.5, 3)
        figure.text(0.5, 0.5, "no images", ha="center", va="center")
        return figure
    arrays = [read_image(image) for image in images]
    titles = [""] * len(arrays) if titles is None else titles
    right = [None] * len(arrays) if right is None else right
    columns = max(1, min(columns, len(arrays)))
    rows = math.ceil(len(arrays) / columns)
    lines = max((title.count("\n") + 1 for title in titles if title), default=0)
    longest = max(len(line) for title in titles for line in title.split("\n"))
    width = min(style.WIDTH, columns * 2.2)  # few images are not enlarged
    tallest = max(array.shape[0] / array.shape[1] for array in arrays)
    height = rows * ((width / columns - 0.12) * tallest + lines * 0.17 + 0.12)
    figure = style.new_figure(height, width)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    # letters are 0.6 times as wide as the font is high
    font = float(np.clip(72 * (width / columns - 0.06) / (0.6 * max(longest, 1)), 6.5, 9))
    for axes in grid:
        axes.axis("off")
    for axes, array, title, good in zip(grid, arrays, titles, right):
        show_image(axes, array, good)
        axes.set_title(title, fontsize=font, fontweight="normal", loc="center", pad=4)
    return figure


@style.styled
def class_shares(manifest: Manifest) -> Figure:
    """Draws how many images each class has, most frequent first, and how many are not known."""
    tables = {}
    for task, classes in manifest.labels.tasks.items():
        counts = manifest.frame[task].value_counts().reindex(classes, fill_value=0)
        counts = counts.sort_values(ascending=False, kind="stable")
        unknown = len(manifest) - counts.sum()
        tables[task] = (
            pd.concat([counts, pd.Series({style.NOT_KNOWN: unknown})]) if unknown else counts
        )
    display = manifest.labels.display_name
    names = [[display(task, name) for name in table.index] for task, table in tables.items()]
    figure, panels = style.panels_of_rows(list(tables), [*map(len, names)])
    for axes, table, shown in zip(panels, tables.values(), names):
        bars = style.paint_bars(axes, table.index, shown, table.to_numpy())
        total = max(table.sum(), 1)
        axes.bar_label(bars, [f"{n:,}  {n / total:.1%}" for n in table], padding=4)
        axes.set_xlim(0, max(table.max(), 1))
    return figure


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
    figure, panels = style.panels_of_rows(titles, [0, *(len(part) for _, part in parts)], columns=4)
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
    style.paint_bars(axes, shown, names, values[part], best_row, classes)
    axes.barh(np.arange(len(part)), 1, height=0.74, color=style.TRACK, zorder=0)
    for row, (index, label) in enumerate(zip(part, axes.get_yticklabels())):
        weight = "bold" if index == best else "normal"
        label.set_fontweight(weight)
        color = style.INK if values[index] >= 0.005 else style.FAINT
        share = f"{values[index]:.2f}".removeprefix("0")  # .07, .98, 1.00
        _beside(axes, row, share, 4, color=color, fontweight=weight)
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
    height = lines * len(tasks) * (top + 1.1) * style.ROW
    figure = style.new_figure(height, columns * style.WIDTH / 3)
    cells = figure.subfigures(lines, columns, squeeze=False).ravel()
    for cell, (image, answers, truth) in zip(cells, rows):
        grid = cell.add_gridspec(len(tasks), 2, width_ratios=[1, 1.4])
        show_image(cell.add_subplot(grid[:, 0], anchor="N"), read_image(image))
        for number, task in enumerate(tasks):
            axes, classes = cell.add_subplot(grid[number, 1]), list(answers[task][0])
            right = (truth or {}).get(task)
            part = np.argsort(-np.asarray(answers[task][1]), kind="stable")[:top]
            if right in classes and classes.index(right) not in part:
                part[-1] = classes.index(right)  # the truth takes the last place
            _answer_panel(axes, answers[task], part, [classes[i] for i in part], right)
            axes.set_ylim(top - 0.45, -0.55)  # as many rows where there are fewer classes
            axes.set_title(style.task_title(task), fontsize=10)
    return figure


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


@style.styled
def training_curves(log: pd.DataFrame, best_epoch: int | None = None) -> Figure:
    """Draws accuracy and loss of every task over the epochs of a run's log, and marks the best.

    Where None, that is the one with the highest mean validation accuracy.
    """
    tasks = [m[1] for m in map(re.compile("val_(.+)_accuracy").fullmatch, log.columns) if m]
    if best_epoch is None:
        mean = log[[f"val_{task}_accuracy" for task in tasks]].mean(axis=1)
        best_epoch = log["epoch"].iloc[int(mean.argmax())]
    every = ["learning_rate", *(f"{task}_accuracy" for task in tasks)]
    every += ["loss", *(f"{task}_loss" for task in tasks)]
    shown = [column for column in every if column in log or f"val_{column}" in log]
    columns = min(4, len(tasks) + 1)
    heights = [2.0] * math.ceil(len(shown) / columns)
    figure, panels = style.grid_of_panels(shown, columns, heights)
    for axes, column in zip(panels, shown):
        axes.set_title(style.task_title(column), fontsize=8)
        _curves(axes, log, column, best_epoch)
    figure.supxlabel("epoch", fontsize=10)
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def _curves(axes: Axes, log: pd.DataFrame, column: str, best_epoch: int) -> None:
    best, label = log["epoch"] == best_epoch, f"best epoch: {best_epoch}"
    axes.axvline(best_epoch, color=style.ORANGE, lw=6, alpha=0.25, label=label)
    if column in log:
        color, line = (style.GRAY, "--") if f"val_{column}" in log else (style.PURPLE, "-")
        axes.plot(log["epoch"], log[column], line, color=color, lw=1.5, label="training")
    if f"val_{column}" in log:
        values = log[f"val_{column}"]
        axes.plot(log["epoch"], values, color=style.BLUE, lw=2, label="validation")
        axes.plot(log["epoch"][best], values[best], "o", color=style.BLUE, ms=6)
        for value in values[best]:
            look = {"loc": "right", "fontsize": 9, "color": style.BLUE, "fontweight": "normal"}
            axes.set_title(f"{value:.3f}".removeprefix("0"), **look)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y")
