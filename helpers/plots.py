"""The workshop's figures: each function takes numbers or pictures and returns a Figure.

A notebook shows the figure that is the value of a cell's last line; end the line without a
semicolon. Colours are told apart by colour-blind readers too (Okabe and Ito 2008), and a class
that is the name of a colour is painted in it.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image, ImageOps

from helpers.errors import WorkshopError
from helpers.manifest import SPLITS, Labels, Manifest
from helpers.metrics import Threshold

WIDTH = 10.0  # inches: the width of a notebook's output
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
INK, GRAY, PALE_BLUE, TRACK = "#262626", "#8A8A8A", "#A9C6DB", "#F0F0F0"
NOT_KNOWN = "not known"

PANEL_OVERHEAD = 1.9  # rows of bars that a panel's title and margin take
ROW = 0.235  # inches per bar
LONGEST_NAME = 26  # letters
MOST_BARS = 22  # a task with more classes continues in the next column

# What a class that names a colour is painted in.
PAINT = {
    "black": "#1E1E1E",
    "white": "#FFFFFF",
    "red": "#D62B2B",
    "yellow": "#F4D01F",
    "blue": "#2158C7",
    "green": "#2F9042",
    "purple": "#7E3FA6",
    "brown": "#80512B",
    "grey": "#9C9C9C",
    "gray": "#9C9C9C",
    "orange": "#F08423",
    "pink": "#F19AB6",
    "beige": "#DCC9A3",
}
RAINBOW = "multicolor"

STYLE = {
    "figure.dpi": 110,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#BBBBBB",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": "#E4E4E4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "hatch.linewidth": 0.7,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}

Picture = np.ndarray | str | Path  # uint8 (height, width, 3), or the path of a picture
Answers = Mapping[str, tuple[Sequence[str], np.ndarray]]  # task: (classes, probabilities)


class NotebookFigure(Figure):
    """A figure that a notebook shows exactly once.

    pyplot does not hold it: it would be shown a second time at the end of the cell, and kept.
    """

    def draw(self, renderer: Any) -> None:
        """Draws in the workshop's style; some of matplotlib's settings are read only here."""
        with rc_context(STYLE):
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def _styled(function: Callable[..., Figure]) -> Callable[..., Figure]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Figure:
        with rc_context(STYLE):
            return function(*args, **kwargs)

    return wrapper


# ---------------------------------------------------------------------- the data


@_styled
def class_shares(manifest: Manifest) -> Figure:
    """Draws how many pictures each class has: a panel per task, most frequent class first."""
    counts = {task: _counts(manifest, task) for task in manifest.labels.tasks}
    names = [
        [manifest.labels.display_name(task, name) for name in table.index]
        for task, table in counts.items()
    ]
    figure, panels, width = _packed(names, columns=min(3, len(names)))
    for axes, (task, table), shown in zip(panels, counts.items(), names):
        bars = _paint_bars(axes, table.index, shown, table.to_numpy())
        shares = table / max(table.sum(), 1)
        axes.bar_label(bars, [f"{n:,}  {p:.1%}" for n, p in zip(table, shares)], padding=4)
        axes.set_xlim(0, max(table.max(), 1) * width / (width - 1.1))
        axes.set_title(_title(task))
    return figure


@_styled
def shares_by_split(manifest: Manifest) -> Figure:
    """Draws the share of each class in each split: dots that lie together are a fair split."""
    if not manifest.has_split:
        raise WorkshopError(
            f"{manifest.name}: expected a column 'split', found none. "
            "Split it first: split_by_group(manifest)."
        )
    splits = [name for name in SPLITS if (manifest.frame["split"] == name).any()]
    tables = [_split_shares(manifest, task, splits) for task in manifest.labels.tasks]
    figure, panels, _ = _packed([[*table.index] for table in tables], min(3, len(tables)), axis=1)
    for axes, task, table in zip(panels, manifest.labels.tasks, tables):
        rows = np.arange(len(table))
        axes.hlines(rows, table.min(axis=1), table.max(axis=1), color=GRAY, lw=1)
        for name, color, marker in zip(splits, (BLUE, ORANGE, GREEN), "o^s"):
            axes.plot(table[name], rows, marker, color=color, ms=6, label=name, alpha=0.9)
        axes.set_yticks(rows, [_clip(name) for name in table.index])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(-0.03 * table.to_numpy().max(), None)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="both")
        axes.set_title(_title(task))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def _split_shares(manifest: Manifest, task: str, splits: Sequence[str]) -> pd.DataFrame:
    """Returns the share of each class (rows, largest first) in each split (columns)."""
    classes = manifest.labels.tasks[task]
    columns = {}
    for name in splits:
        targets = manifest.subset(name).targets(task)
        counts = np.bincount(targets[targets >= 0], minlength=len(classes))
        columns[name] = counts / max(counts.sum(), 1)
    names = [manifest.labels.display_name(task, name) for name in classes]
    table = pd.DataFrame(columns, index=names)
    return table.iloc[np.argsort(-table.mean(axis=1).to_numpy(), kind="stable")]


@_styled
def picture_grid(
    pictures: Sequence[Picture],
    titles: Sequence[str] | None = None,
    columns: int = 8,
    right: Sequence[bool | None] | None = None,
) -> Figure:
    """Draws pictures side by side.

    Args:
        pictures: uint8 arrays (height, width, 3), or paths.
        titles: a short caption for each; may have several lines.
        columns: pictures per row.
        right: True draws a thin green frame, False a thick red one, None no frame.

    Returns:
        The figure; without pictures, one that says so.
    """
    if not len(pictures):
        figure = _figure(0.5, 3)
        figure.text(0.5, 0.5, "no pictures", ha="center", va="center")
        return figure
    arrays = [_read(picture) for picture in pictures]
    titles = titles if titles is not None else [""] * len(arrays)
    right = right if right is not None else [None] * len(arrays)
    columns = max(1, min(columns, len(arrays)))
    rows = math.ceil(len(arrays) / columns)
    words = [line for title in titles for line in title.split("\n")]
    lines = max((title.count("\n") + 1 for title in titles if title), default=0)
    tallest = max(array.shape[0] / array.shape[1] for array in arrays)
    width = min(WIDTH, columns * 2.2)  # few pictures are not blown up
    height = rows * ((width / columns - 0.12) * tallest + lines * 0.17 + 0.12)
    figure = _figure(height, width)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    font = float(np.clip(9 * (width / columns - 0.06) / max(_text_width(words, 9), 0.01), 6.5, 9))
    for axes, array, title, good in zip(grid, arrays, titles, right):
        _show(axes, array, good)
        axes.set_title(title, fontsize=font, fontweight="normal", loc="center", pad=4)
    return figure


@_styled
def pictures_of_groups(manifest: Manifest, groups: Sequence[str], columns: int = 8) -> Figure:
    """Draws a row of pictures for each group: the same person seen several times."""
    of_row = manifest.groups
    paths = {
        group: [manifest.paths[i] for i in np.flatnonzero(of_row == group)] for group in groups
    }
    columns = max(1, min(columns, max((len(p) for p in paths.values()), default=1)))
    cells = {group: [_read(path) for path in paths[group][:columns]] for group in groups}
    tallest = max((a.shape[0] / a.shape[1] for row in cells.values() for a in row), default=1)
    size = min((WIDTH - 1) / columns, 1.3)
    figure = _figure(len(groups) * ((size - 0.12) * tallest + 0.13), size * columns + 1)
    grid = figure.subplots(len(groups), columns, squeeze=False)
    for axes_row, (group, arrays) in zip(grid, cells.items()):
        for axes in axes_row:
            axes.axis("off")
        for axes, array in zip(axes_row, arrays):
            _show(axes, array)
        more = len(paths[group]) - len(arrays)
        caption = f"{group}\n{len(paths[group])} pictures" + (
            f"\n({more} not shown)" if more else ""
        )
        axes_row[0].text(
            -0.12, 0.5, caption, transform=axes_row[0].transAxes, ha="right", va="center"
        )
    return figure


@_styled
def pictures_per_group(manifest: Manifest) -> Figure:
    """Draws how many groups (persons) have one picture, two, three..."""
    sizes = pd.Series(manifest.groups).value_counts()
    counts = sizes.value_counts().sort_index()
    figure = _figure(2.8)
    axes = figure.subplots()
    bars = axes.bar(counts.index, counts.to_numpy(), color=BLUE, width=0.8)
    if len(counts) <= 25:
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=2, fontsize=9)
        axes.set_xticks(counts.index)
    axes.margins(y=0.12)
    axes.set_xlabel("pictures of the same group")
    axes.set_ylabel("groups")
    axes.set_title(f"{len(sizes):,} groups, {len(manifest):,} pictures, median {sizes.median():g}")
    return figure


# ------------------------------------------------------------------ the training


@_styled
def training_curves(log: pd.DataFrame, best_epoch: int | None = None) -> Figure:
    """Draws accuracy and loss of every task over the epochs, and marks the best epoch.

    Args:
        log: a row per epoch with the columns epoch, loss, val_loss and, for each task,
            {task}_accuracy, val_{task}_accuracy, {task}_loss and val_{task}_loss. The mean of the
            tasks, val_accuracy, is not drawn.
        best_epoch: its number; where None, that with the highest mean validation accuracy.
    """
    tasks = [m[1] for m in map(re.compile("val_(.+)_accuracy").fullmatch, log.columns) if m]
    if best_epoch is None:
        mean = log[[f"val_{task}_accuracy" for task in tasks]].mean(axis=1)
        best_epoch = log["epoch"].iloc[int(mean.argmax())]
    columns = len(tasks) + 1 if len(tasks) < 4 else 5
    blocks = math.ceil((len(tasks) + 1) / columns)
    figure = _figure(4.1 * blocks)
    room = WIDTH / columns - 1.1  # of a title, beside the number at its right
    font = min(11, max(8, 11 * room / _text_width([_title(task) for task in tasks], 12)))
    grid = figure.subplots(2 * blocks, columns, squeeze=False, sharex=True)
    for axes in grid.ravel():
        axes.set_visible(False)
    for number, task in enumerate(["", *tasks]):
        row, column = 2 * (number // columns), number % columns
        upper, lower = grid[row, column], grid[row + 1, column]
        if task:
            _curves(upper, log, f"{task}_accuracy", best_epoch)
            _curves(lower, log, f"{task}_loss", best_epoch)
        else:
            _curves(upper, log, "learning_rate", best_epoch)
            _curves(lower, log, "loss", best_epoch)
        upper.set_title(_title(task) if task else "all tasks", fontsize=font)
        lower.set_xlabel("epoch")
        lower.tick_params(labelbottom=True)
    _name_rows(grid, blocks)
    handles = grid[1, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper right", ncols=3)
    return figure


def _curves(axes: Axes, log: pd.DataFrame, column: str, best_epoch: int) -> None:
    if column not in log and f"val_{column}" not in log:
        return
    axes.set_visible(True)
    best = log["epoch"] == best_epoch
    axes.axvline(best_epoch, color=ORANGE, lw=6, alpha=0.25, label=f"best epoch: {best_epoch}")
    if column in log:
        color, line = (GRAY, "--") if f"val_{column}" in log else (PURPLE, "-")
        axes.plot(log["epoch"], log[column], line, color=color, lw=1.5, label="training")
    if f"val_{column}" in log:
        values = log[f"val_{column}"]
        axes.plot(log["epoch"], values, color=BLUE, lw=2, label="validation")
        axes.plot(log["epoch"][best], values[best], "o", color=BLUE, ms=6)
        if best.any():
            text = f"{values[best].iloc[0]:.3f}".removeprefix("0")
            axes.set_title(text, loc="right", fontsize=10, color=BLUE, fontweight="normal")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y")


def _name_rows(grid: np.ndarray, blocks: int) -> None:
    """Says at the left what the rows of panels show."""
    for block in range(blocks):
        grid[2 * block, 0].set_ylabel("accuracy" if block else "learning rate")
        grid[2 * block + 1, 0].set_ylabel("loss")
    if grid.shape[1] > 1:
        grid[0, 1].set_ylabel("accuracy")


@_styled
def twins(table: pd.DataFrame) -> Figure:
    """Compares a multi-task network with networks that have one task each.

    Args:
        table: a row per network, named by the index. A column per task holds the accuracy (nan
            where the network lacks the task), with its interval in {task}_low and {task}_high if
            you have it. The columns seconds, megabytes and parameters are costs. The first row
            with every task is the multi-task network; the costs of the others are added up.
    """
    costs = [name for name in ("seconds", "megabytes", "parameters") if name in table]
    tasks = [c for c in table if c not in costs and not c.endswith(("_low", "_high"))]
    multi = table[table[tasks].notna().all(axis=1)].iloc[0]
    singles = table.drop(index=multi.name)
    figure = _figure(max(2.6, 0.62 * len(tasks) + 1.1))
    panels = figure.subplots(
        1, 1 + len(costs), width_ratios=[2.2] + [1] * len(costs), squeeze=False
    )[0]
    rows = np.arange(len(tasks))
    for shift, color, label, values in (
        (-0.13, BLUE, str(multi.name), table.loc[[multi.name]]),
        (0.13, ORANGE, "one network per task", singles),
    ):
        _dots(panels[0], rows + shift, _best_rows(values, tasks), color, label)
    panels[0].set_yticks(rows, [_title(task) for task in tasks])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    panels[0].set_title("accuracy")
    panels[0].grid(axis="x")
    panels[0].margins(x=0.12)
    panels[0].xaxis.set_major_locator(MaxNLocator(5))
    for axes, cost in zip(panels[1:], costs):
        _stacked_costs(axes, cost, multi, singles)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def _best_rows(table: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """Takes per task the first network that has it: a row per task, accuracy, low and high."""
    rows = []
    for task in tasks:
        having = table[table[task].notna()]
        row = having.iloc[0] if len(having) else pd.Series({task: math.nan})
        rows.append(
            [row[task], row.get(f"{task}_low", math.nan), row.get(f"{task}_high", math.nan)]
        )
    return pd.DataFrame(rows, columns=["accuracy", "accuracy_low", "accuracy_high"])


def _stacked_costs(axes: Axes, cost: str, multi: pd.Series, singles: pd.DataFrame) -> None:
    axes.bar(0, multi[cost], color=BLUE, width=0.62)
    bottom = 0.0
    for value in singles[cost]:
        axes.bar(1, value, bottom=bottom, color=ORANGE, width=0.62, edgecolor="white", lw=1.5)
        bottom += value
    for position, total in enumerate((multi[cost], bottom)):
        axes.text(position, total, _short(total), ha="center", va="bottom")
    axes.set_xticks([0, 1], ["one", f"{len(singles)} apart"])
    axes.set_xlim(-0.6, 1.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(0, 1.12 * max(multi[cost], bottom))
    titles = {"seconds": "training, seconds", "megabytes": "size, MB", "parameters": "parameters"}
    axes.set_title(titles[cost])


# -------------------------------------------------------------------- the scores


@_styled
def scores_against_floor(scores: pd.DataFrame) -> Figure:
    """Draws each task's accuracy, with its interval, beside the share of the largest class.

    Args:
        scores: a table of `metrics.score_manifest`.
    """
    scores = scores[scores["labelled"] > 0]
    figure = _figure(0.42 * len(scores) + 1.2)
    axes = figure.subplots()
    rows = np.arange(len(scores))
    axes.barh(
        rows,
        scores["largest_class_share"],
        color="#D9D9D9",
        height=0.62,
        label="always the largest class",
    )
    _dots(axes, rows, scores, BLUE, "accuracy, 95 % interval")
    for row, (_, score) in zip(rows, scores.iterrows()):
        axes.text(0.008, row, score["largest_class"], va="center", fontsize=9, color="#555555")
        lift = f"{score['accuracy']:.3f}   lift {_signed(score['lift'])}"
        axes.text(1.02, row, lift, va="center", fontsize=9.5)
    axes.set_yticks(rows, [_title(task) for task in scores.index])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.grid(axis="x")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@_styled
def scores_by(table: pd.DataFrame, title: str = "") -> Figure:
    """Draws the accuracy, with its interval, for each value of another column.

    Args:
        table: of `metrics.score_by`.
        title: what is scored by what.
    """
    figure = _figure(0.34 * len(table) + 0.9, 7.5)
    axes = figure.subplots()
    rows = np.arange(len(table))
    _dots(axes, rows, table, BLUE, "accuracy")
    for row, (_, score) in zip(rows, table.iterrows()):
        text = f"{score['accuracy']:.3f}  of {score['labelled']:,.0f}"
        axes.text(1.02, row, text, va="center", transform=axes.get_yaxis_transform(), fontsize=9.5)
    axes.set_yticks(rows, table.index)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(axis="x")
    axes.set_title(title)
    return figure


@_styled
def two_scores_by(table: pd.DataFrame, title: str = "") -> Figure:
    """Draws two accuracies with their intervals for each value of another column.

    Args:
        table: a row per value; columns of two levels: which of the two (its name is shown), and
            labelled, accuracy, accuracy_low, accuracy_high.
        title: what is scored by what.
    """
    figure = _figure(0.42 * len(table) + 1.1, 7.5)
    axes = figure.subplots()
    rows = np.arange(len(table))
    kinds = list(dict.fromkeys(table.columns.get_level_values(0)))
    for kind, shift, color in zip(kinds, (-0.14, 0.14), (BLUE, ORANGE)):
        _dots(axes, rows + shift, table[kind], color, kind)
    first, second = (table[kind]["accuracy"] for kind in kinds)
    for row, (value, gap) in zip(rows, (second - first).items()):
        text = f"{_signed(gap)}  of {table[kinds[0]].loc[value, 'labelled']:,.0f}"
        axes.text(1.02, row, text, va="center", transform=axes.get_yaxis_transform(), fontsize=9.5)
    axes.set_yticks(rows, table.index)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(axis="x")
    axes.set_title(title)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def _dots(axes: Axes, rows: np.ndarray, scores: pd.DataFrame, color: str, label: str) -> None:
    """Draws accuracies as dots, each with its interval as a line."""
    axes.hlines(rows, scores["accuracy_low"], scores["accuracy_high"], color=color, lw=2.2)
    axes.plot(scores["accuracy"], rows, "o", color=color, ms=7, label=label)


@_styled
def confusion_matrix(confusion: pd.DataFrame, title: str = "") -> Figure:
    """Draws which class was taken for which: counts, coloured by the share of their row.

    Args:
        confusion: counts, rows the truth, columns the prediction, of `metrics.confusion`.
        title: above the matrix.
    """
    counts = confusion.to_numpy()
    number = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(7.2, max(2.0, 0.47 * number))  # inches
    label = min(9.5, max(6.0, 72 * side / number / 1.5))
    shown = [_clip(str(name)) for name in confusion.index]
    names = _text_width(shown, label)
    upright = names < 0.9 * side / number
    figure = _figure(side + 0.8 + (0 if upright else names), min(WIDTH, side + names + 1.7))
    axes = figure.subplots()
    mesh = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    _write_counts(axes, counts, shares, size=min(9.5, 72 * side / number / 2.4))
    ticks = np.arange(number)
    axes.set_xticks(ticks, shown, rotation=0 if upright else 90, fontsize=label)
    axes.set_yticks(ticks, shown, fontsize=label)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="prediction", ylabel="truth", title=title)
    percent = PercentFormatter(1, decimals=0)
    bar = figure.colorbar(mesh, ax=axes, shrink=0.7, aspect=18, format=percent)
    bar.outline.set_visible(False)
    bar.set_label("share of the class")
    return figure


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray, size: float) -> None:
    """Writes the counts above zero into the cells, and draws lines between these."""
    style = {"ha": "center", "va": "center", "fontsize": size}
    for row, column in np.argwhere(counts > 0):
        color = "white" if shares[row, column] > 0.55 else INK
        axes.text(column, row, f"{counts[row, column]}", color=color, **style)
    lines = np.arange(1, len(counts)) - 0.5
    axes.set_xticks(lines, minor=True)
    axes.set_yticks(lines, minor=True)
    axes.grid(which="minor", color="white", lw=1)
    axes.tick_params(which="minor", length=0)


@_styled
def reliability(curves: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Draws how often predictions of each confidence are right; the diagonal is perfect.

    Args:
        curves: task: {label: table of `metrics.calibration_curve`}, for example
            {"gender": {"before": ..., "temperature 1.6": ...}}. The size of a dot is its count.
    """
    figure, grid, columns = _grid(
        len(curves), 4, (3.3, min(3.3, WIDTH / min(4, len(curves))) + 0.5)
    )
    for axes, (task, tables) in zip(grid, curves.items()):
        axes.plot([0, 1], [0, 1], color=GRAY, lw=1, ls="--")
        for (label, curve), color, marker in zip(tables.items(), (ORANGE, BLUE, GREEN), "os^"):
            weight = curve["count"] / max(curve["count"].sum(), 1)
            error = float((weight * (curve["confidence"] - curve["accuracy"]).abs()).sum())
            points = curve["confidence"], curve["accuracy"]
            text = f"{label}: error {error:.3f}"
            axes.plot(*points, color=color, lw=1.5, marker=marker, ms=4, label=text)
            axes.scatter(*points, 16 + 160 * weight, color=color, marker=marker, zorder=3)
        ticks = [0, 0.5, 1]
        axes.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal", xticks=ticks, yticks=ticks)
        axes.set_xlabel("confidence")
        axes.set_title(_title(task))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.2, fontsize=9)
        axes.grid()
    for axes in grid[::columns]:
        axes.set_ylabel("share that is right")
    return figure


@_styled
def coverage(
    curve: pd.DataFrame | Mapping[str, pd.DataFrame],
    threshold: Threshold | Mapping[str, Threshold] | None = None,
    title: str = "",
) -> Figure:
    """Draws what a confidence threshold brings (accuracy) and costs (pictures without answer).

    Args:
        curve: a table of `metrics.coverage_curve`, or several by task: a panel each.
        threshold: what `metrics.choose_threshold` chose, or several by task; marked.
        title: of a single panel.
    """
    curves = curve if isinstance(curve, Mapping) else {title: curve}
    thresholds = threshold if isinstance(threshold, Mapping) else {title: threshold}
    figure, grid, _ = _grid(len(curves), 3, (5.5, 3.1))
    for axes, (task, table) in zip(grid, curves.items()):
        axes.plot(
            table["threshold"], table["accuracy"], color=BLUE, lw=2, label="answers that are right"
        )
        axes.plot(
            table["threshold"],
            table["coverage"],
            color=ORANGE,
            lw=2,
            ls="--",
            label="pictures answered",
        )
        _mark_threshold(axes, thresholds.get(task))
        axes.set(xlabel="answer from this confidence on", ylim=(0, 1.02), xlim=(None, 1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid()
        axes.set_title(_title(task))
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return figure


def _mark_threshold(axes: Axes, chosen: Threshold | None) -> None:
    if chosen is None:
        return
    if not chosen.reached:
        axes.text(
            0.03,
            0.05,
            f"{chosen.wanted_accuracy:.0%} cannot be reached",
            transform=axes.transAxes,
            color=RED,
        )
        return
    axes.axvline(chosen.threshold, color=INK, lw=1, ls=":")
    axes.plot(
        [chosen.threshold] * 2, [chosen.accuracy, chosen.coverage], "o", color=INK, ms=6, zorder=4
    )
    text = (
        f"from {chosen.threshold:.2f} on:\nanswers {chosen.coverage:.0%},\n"
        f"{chosen.accuracy:.0%} of them right"
    )
    axes.text(0.03, 0.05, text, transform=axes.transAxes, va="bottom", fontsize=9)


@_styled
def leak(table: pd.DataFrame) -> Figure:
    """Draws what each kind of split promises, and what unseen persons then give.

    Args:
        table: a row per task, kind of split and measurement, with the columns task; split (as
            "at random", "by person"); measured ("promised" on the split's own validation
            pictures, "unseen" on new persons); accuracy; accuracy_low and accuracy_high.
    """
    tasks = list(dict.fromkeys(table["task"]))
    figure, grid, _ = _grid(len(tasks), 4, (5, 3.2), sharey=True)
    for axes, task in zip(grid, tasks):
        part = table[table["task"] == task].set_index(["split", "measured"])
        splits = list(dict.fromkeys(part.index.get_level_values("split")))
        for number, split in enumerate(splits):
            both = [part.loc[(split, name), "accuracy"] for name in ("promised", "unseen")]
            axes.plot([number - 0.13, number + 0.13], both, color=GRAY, lw=1, zorder=1)
        _promise(axes, part, splits, "promised", -0.13, ORANGE, "s")
        _promise(axes, part, splits, "unseen", 0.13, BLUE, "o")
        gaps = part["accuracy"].unstack("measured").reindex(splits)
        gaps = gaps["unseen"] - gaps["promised"]
        names = [f"{split}\ngap {_signed(gap)}" for split, gap in gaps.items()]
        axes.set_xticks(range(len(splits)), names)
        axes.set_xlim(-0.6, len(splits) - 0.4)
        axes.grid(axis="y")
        axes.set_title(_title(task))
    grid[0].set_ylabel("accuracy")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


MEASURED = {"promised": "promised by its validation pictures", "unseen": "unseen persons"}


def _promise(
    axes: Axes,
    part: pd.DataFrame,
    splits: Sequence[str],
    measured: str,
    shift: float,
    color: str,
    marker: str,
) -> None:
    rows = part.xs(measured, level="measured").reindex(splits)
    places = np.arange(len(splits)) + shift
    axes.vlines(places, rows["accuracy_low"], rows["accuracy_high"], color=color, lw=2.2)
    axes.plot(places, rows["accuracy"], marker, color=color, ms=8, label=MEASURED[measured])


@_styled
def speed(table: pd.DataFrame) -> Figure:
    """Draws speeds or latencies side by side, with how many times the first row's each one is.

    Args:
        table: a row per way to predict; each column is one measurement and one panel, as
            "pictures per second, batch 1". Wide ranges get a logarithmic axis.
    """
    figure = _figure(0.42 * len(table) + 0.9)
    panels = figure.subplots(1, len(table.columns), sharey=True, squeeze=False)[0]
    rows = np.arange(len(table))
    for axes, column in zip(panels, table.columns):
        values = table[column].astype(float)
        wide = values.max() > 20 * values.min() > 0
        colors = [GRAY] + [BLUE] * (len(table) - 1)
        axes.barh(rows, values, color=colors, height=0.62)
        for row, value in zip(rows, values):
            times = f"   {_times(value / values.iloc[0])}" if row else ""
            axes.text(value, row, f" {_short(value)}{times}", va="center", fontsize=9.5)
        if wide:
            axes.set_xscale("log")
            axes.set_xlim(values.min() / 2, values.max() * (values.max() / values.min()) ** 0.5)
        else:
            axes.set_xlim(0, values.max() * 1.4)
        axes.set_title(column + (" (log scale)" if wide else ""))
        axes.tick_params(labelbottom=False)
        axes.minorticks_off()
    panels[0].set_yticks(rows, table.index)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


# --------------------------------------------------------------- the predictions


@_styled
def probabilities(
    picture: Picture,
    answers: Answers,
    truth: Mapping[str, str] | None = None,
    labels: Labels | None = None,
) -> Figure:
    """Draws a picture and, for each task, the probability of every class.

    Args:
        picture: uint8 (height, width, 3), or a path.
        answers: task: (classes, probabilities).
        truth: task: class, where known; marked.
        labels: for names to show instead of the classes.
    """
    parts = _parts(answers)
    names = [_shown(labels, task, answers[task][0], part) for task, part in parts]
    array = _read(picture)
    figure, panels, width, left = _packed_beside(array, names)
    _show(left, array)
    for axes, (task, part), shown in zip(panels, parts, names):
        classes, values = answers[task]
        _answer_panel(axes, classes, values, part, shown, (truth or {}).get(task), width)
        axes.set_title(_title(task) + (", continued" if part[0] else ""))
    return figure


def gallery_rows(
    manifest: Manifest, probabilities: Mapping[str, np.ndarray], rows: Sequence[int]
) -> list[tuple[str, Answers, dict[str, str]]]:
    """Returns what `probabilities` and `probability_gallery` take, for some rows of a manifest.

    Args:
        manifest: gives pictures and truth.
        probabilities: task: float (rows of the manifest, classes), of `predict_manifest`.
        rows: positions in the manifest.

    Returns:
        Per row its picture's path, its answers, and its labels as far as they are known.
    """
    tasks = manifest.labels.tasks
    return [
        (
            manifest.paths[row],
            {task: (tasks[task], values[row]) for task, values in probabilities.items()},
            {task: manifest.frame[task][row] for task in tasks if manifest.frame[task][row]},
        )
        for row in rows
    ]


def _parts(answers: Answers) -> list[tuple[str, np.ndarray]]:
    """Cuts the classes of each task into panels: (task, indices of its classes)."""
    return [
        (task, part)
        for task, (classes, _) in answers.items()
        for part in np.array_split(np.arange(len(classes)), math.ceil(len(classes) / MOST_BARS))
    ]


def _shown(
    labels: Labels | None, task: str, classes: Sequence[str], part: Sequence[int]
) -> list[str]:
    """Returns the names to show for the classes `part` of a task."""
    return [labels.display_name(task, classes[i]) if labels else classes[i] for i in part]


def _answer_panel(
    axes: Axes,
    classes: Sequence[str],
    values: np.ndarray,
    part: np.ndarray,
    names: Sequence[str],
    truth: str | None,
    width: float,
) -> None:
    """Draws the bars of the classes `part` of a task: the answer is bold, the truth marked."""
    values = np.asarray(values, float)
    best = int(values.argmax())
    _paint_bars(axes, [classes[i] for i in part], names, values[part], np.flatnonzero(part == best))
    axes.barh(np.arange(len(part)), 1, height=0.74, color=TRACK, zorder=0)
    for row, index in enumerate(part):
        weight = "bold" if index == best else "normal"
        axes.get_yticklabels()[row].set_fontweight(weight)
        color = INK if values[index] >= 0.005 else "#A0A0A0"
        _beside(axes, row, _share(values[index]), 4, color=color, fontweight=weight)
        if classes[index] == truth and index == best:
            _beside(axes, row, "✓", 29, color=GREEN, fontsize=12)
        elif classes[index] == truth:
            # A class that is not the answer has less than half: its track is free at the right.
            text = "◂ truth" if width > 1.6 else "truth"
            _beside(axes, row, text, -3, color=RED, fontweight="bold", ha="right")
    axes.set_xlim(0, width / (width - 0.62))


def _beside(axes: Axes, row: int, text: str, points: float, **style: Any) -> None:
    """Writes at the right end of a row's track, `points` away from it."""
    style = {"va": "center", "fontsize": 9} | style
    note = axes.annotate(text, (1, row), (points, 0), textcoords="offset points", **style)
    note.set_in_layout(False)  # the room for it is planned


@_styled
def probability_gallery(
    rows: Sequence[tuple[Picture, Answers, Mapping[str, str] | None]],
    labels: Labels | None = None,
    top: int | None = None,
) -> Figure:
    """Draws several pictures, each with the most probable classes of every task.

    Args:
        rows: per picture what `probabilities` takes: picture, answers and truth (or None).
        labels: for names to show instead of the classes.
        top: bars per task, the truth always among them; where None, 5 for up to three tasks,
            otherwise 2.
    """
    arrays = [_read(picture) for picture, _, _ in rows]
    tasks = list(rows[0][1])
    columns = min(3, len(tasks))
    lines = math.ceil(len(tasks) / columns)
    top = top or (5 if lines == 1 else 2)
    height = lines * (top + (0.9 if lines == 1 else PANEL_OVERHEAD)) * ROW
    left = max(array.shape[1] / array.shape[0] for array in arrays) * height + 0.2
    figure = _figure(len(rows) * height + 0.3, min(WIDTH, left + 4.2 * columns))
    rest = (figure.get_figwidth() - left) / columns
    widths = [left, *[rest] * columns]
    grid = figure.add_gridspec(len(rows) * lines, 1 + columns, width_ratios=widths)
    every = [_clip(name) for task in tasks for name in rows[0][1][task][0]]
    width = rest - min(_text_width(every), 0.5 * rest) - 0.2
    for place, (array, (_, answers, truth)) in enumerate(zip(arrays, rows)):
        first = place * lines
        _show(figure.add_subplot(grid[first : first + lines, 0]), array)
        for number, task in enumerate(tasks):
            axes = figure.add_subplot(grid[first + number // columns, 1 + number % columns])
            _top_panel(axes, task, answers[task], top, (truth or {}).get(task), labels, width)
            if lines > 1 or place == 0:
                axes.set_title(_title(task), fontsize=10)
    return figure


def _top_panel(
    axes: Axes,
    task: str,
    answer: tuple[Sequence[str], np.ndarray],
    top: int,
    truth: str | None,
    labels: Labels | None,
    width: float,
) -> None:
    classes, values = answer
    part = _top_indices(classes, np.asarray(values), top, truth)
    _answer_panel(axes, classes, values, part, _shown(labels, task, classes, part), truth, width)
    axes.set_ylim(top - 0.45, -0.55)  # as many rows where there are fewer classes


def _top_indices(
    classes: Sequence[str], values: np.ndarray, top: int, truth: str | None
) -> np.ndarray:
    """Returns the most probable classes; the truth takes the last place if it is not in them."""
    order = np.argsort(-values, kind="stable")[:top]
    if truth in classes and list(classes).index(truth) not in order:
        order[-1] = list(classes).index(truth)
    return order


@_styled
def heatmaps(
    picture: Picture,
    maps: Mapping[str, np.ndarray],
    captions: Mapping[str, str] | None = None,
) -> Figure:
    """Lays over a picture, for each task, how much each place counted for the answer.

    Args:
        picture: uint8 (height, width, 3), or a path.
        maps: task: float (h, w) of any size, not negative (Grad-CAM, Selvaraju et al. 2017).
        captions: task: what to write below its name, as the answer.
    """
    array = _read(picture)
    height, width = array.shape[:2]
    columns = min(6, len(maps) + 1)
    size = min(WIDTH / columns, 2.0)
    lines = math.ceil((len(maps) + 1) / columns)
    figure = _figure(lines * ((size - 0.12) * height / width + 0.5), columns * size)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    _show(grid[0], array)
    font = {"fontsize": 9.5, "fontweight": "normal", "loc": "center"}
    grid[0].set_title("picture\n" if captions else "picture", **font)
    gray = np.asarray(Image.fromarray(array).convert("L").convert("RGB"))
    for axes, (task, heat) in zip(grid[1:], maps.items()):
        _show(axes, gray)
        heat = np.asarray(heat, float) / max(float(np.max(heat)), 1e-12)
        axes.imshow(
            colormaps["inferno"](heat),
            alpha=np.clip(heat, 0, 1) * 0.75,
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            interpolation="bilinear",
        )
        caption = f"\n{captions.get(task, '')}" if captions else ""
        axes.set_title(_title(task) + caption, **font)
    return figure


# ---------------------------------------------------------------------- the parts


def _figure(height: float, width: float = WIDTH) -> NotebookFigure:
    return NotebookFigure(figsize=(width, height), layout="constrained")


def _grid(
    number: int, most: int, size: tuple[float, float], sharey: bool = False
) -> tuple[NotebookFigure, list[Axes], int]:
    """Makes panels in rows of at most `most`, each of `size` (width, height) or narrower.

    Returns:
        The figure, its panels and the number of columns.
    """
    columns = min(number, most)
    lines = math.ceil(number / columns)
    figure = _figure(lines * size[1] + 0.3, min(WIDTH, columns * size[0]))
    panels = figure.subplots(lines, columns, squeeze=False, sharey=sharey).ravel()
    for axes in panels[number:]:
        axes.set_visible(False)
    return figure, list(panels[:number]), columns


def _packed(
    names: Sequence[Sequence[str]], columns: int, axis: float = 0
) -> tuple[NotebookFigure, list[Axes], float]:
    """Makes a panel per list of row names, packed into columns; all bars have the same room.

    Args:
        names: per panel what is written at its rows.
        columns: of panels.
        axis: rows that the labels of a panel's x axis take.

    Returns:
        The figure, its panels and their width in inches.
    """
    parts = _partition(names, columns)
    figure = _figure(max(_units(part, axis) for part in parts) * ROW + 0.2)
    widths = _column_widths(parts, WIDTH)
    outer = figure.add_gridspec(1, len(parts), width_ratios=widths[0])
    return (
        figure,
        list(_fill(figure, [outer[0, i] for i in range(len(parts))], parts, axis)),
        widths[1],
    )


def _packed_beside(
    array: np.ndarray, names: Sequence[Sequence[str]]
) -> tuple[NotebookFigure, list[Axes], float, Axes]:
    """Makes packed panels with a picture at their left: figure, panels, their width, the left."""
    total = _units(names)
    parts = _partition(names, 1 if len(names) == 1 else 3 if total > 60 else 2)
    height = max(max(_units(part) for part in parts) * ROW, 2.4) + 0.2
    left = min(height * array.shape[1] / array.shape[0], (0.17 if len(parts) > 2 else 0.27) * WIDTH)
    figure = _figure(height, WIDTH if len(parts) > 1 else left + 5)
    widths, width = _column_widths(parts, figure.get_figwidth() - left - 0.12)
    outer = figure.add_gridspec(1, len(parts) + 1, width_ratios=[left + 0.12, *widths])
    axes = figure.add_subplot(outer[0, 0], anchor="N")
    return (
        figure,
        list(_fill(figure, [outer[0, 1 + i] for i in range(len(parts))], parts)),
        width,
        axes,
    )


def _fill(
    figure: Figure,
    columns: Sequence[SubplotSpec],
    parts: Sequence[Sequence[Sequence[str]]],
    axis: float = 0,
) -> Iterator[Axes]:
    most = max(_units(part, axis) for part in parts)
    for column, part in zip(columns, parts):
        ratios = [*map(len, part), max(most - _units(part, axis), 1e-3)]
        inner = column.subgridspec(len(ratios), 1, height_ratios=ratios)
        for line in range(len(part)):
            yield figure.add_subplot(inner[line, 0])


def _column_widths(
    parts: Sequence[Sequence[Sequence[str]]], width: float
) -> tuple[list[float], float]:
    """Gives each column the room of its names and all the same room for bars, in inches."""
    labels = [_text_width([_clip(n) for names in part for n in names]) + 0.25 for part in parts]
    bars = max((width - sum(labels)) / len(parts), 0.8)
    return [label + bars for label in labels], bars


def _units(part: Sequence[Sequence[str]], axis: float = 0) -> float:
    """Returns the height of panels above each other, in rows of bars."""
    return sum(len(names) + PANEL_OVERHEAD + axis for names in part)


def _partition(panels: Sequence[Sequence[str]], columns: int) -> list[list[Sequence[str]]]:
    """Cuts the panels into consecutive columns so that the highest one is as low as can be."""
    columns = min(columns, len(panels))
    cuts = combinations(range(1, len(panels)), columns - 1)
    parts = ([list(panels[a:b]) for a, b in zip((0, *cut), (*cut, len(panels)))] for cut in cuts)
    return min(parts, key=lambda part: max(_units(column) for column in part))


def _text_width(texts: Sequence[str], size: float = 9.5) -> float:
    """Returns the width of the longest text in inches."""
    font = FontProperties(family="DejaVu Sans", size=size)
    paths = [TextPath((0, 0), text, prop=font) for text in texts if text.strip()]
    # The control points reach at least as far as the letters; exact extents take 50 times as long.
    return max((path.vertices[:, 0].max() for path in paths), default=0) / 72


def _clip(name: str) -> str:
    """Shortens a name that would take the room of the bars."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _paint_bars(
    axes: Axes,
    classes: Sequence[str],
    names: Sequence[str],
    values: np.ndarray,
    best: Sequence[int] | None = None,
) -> Any:
    """Draws a bar per class from the top down, in its own colour where it names one.

    Args:
        axes: where to.
        classes: what decides on the colour.
        names: what is written.
        values: the lengths.
        best: rows to stress where colours mean nothing; all where None.
    """
    rows = np.arange(len(classes))
    stressed = rows if best is None else best
    if _are_colors(classes):
        looks = [_paint(name) for name in classes]
    else:
        looks = [(BLUE if row in stressed else PALE_BLUE, "none", "") for row in rows]
    looks = [
        ("#E3E3E3", GRAY, "////") if n == NOT_KNOWN else look for n, look in zip(classes, looks)
    ]
    bars = axes.barh(rows, values, height=0.74, zorder=2)
    axes.set_yticks(rows, [_clip(name) for name in names])
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_xticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    floor = 0.004 * max(float(np.max(values, initial=0)), 1e-12)
    for bar, name, (face, edge, hatch) in zip(bars, classes, looks):
        # The edge of a bar without length would look like a length.
        visible = bar.get_width() > floor
        bar.set(facecolor=face, edgecolor=edge, hatch=hatch, linewidth=0.8 if visible else 0)
        if name == RAINBOW and _are_colors(classes):
            _rainbow(axes, bar)
    return bars


def _are_colors(classes: Sequence[str]) -> bool:
    """Tells whether the classes are colours: at least three, and more than half of them."""
    named = sum(name in PAINT for name in classes)
    return named >= 3 and 2 * named > len(classes)


def _paint(name: str) -> tuple[str, str, str]:
    """Returns face, edge and hatch of a colour class; what names no colour is hatched grey."""
    if name in PAINT:
        return PAINT[name], "#555555", ""
    return ("none", "#555555", "") if name == RAINBOW else ("#E3E3E3", "#777777", "////")


def _rainbow(axes: Axes, bar: Rectangle) -> None:
    """Paints a bar in all colours, from its left to its right."""
    stripes = np.linspace(0, 1, 64)[None, :]
    left, low = bar.get_x(), bar.get_y()
    extent = (left, left + bar.get_width(), low, low + bar.get_height())
    if bar.get_width() > 0:
        axes.imshow(stripes, extent=extent, aspect="auto", cmap="turbo", zorder=1.5)


def _counts(manifest: Manifest, task: str) -> pd.Series:
    """Counts the classes of a task, largest first; what is not known stands at the end."""
    classes = manifest.labels.tasks[task]
    targets = manifest.targets(task)
    counts = pd.Series(np.bincount(targets[targets >= 0], minlength=len(classes)), index=classes)
    counts = counts.sort_values(ascending=False, kind="stable")
    unknown = int((targets < 0).sum())
    return pd.concat([counts, pd.Series({NOT_KNOWN: unknown})]) if unknown else counts


def _read(picture: Picture) -> np.ndarray:
    """Returns a picture as uint8 (height, width, 3), upright."""
    if isinstance(picture, np.ndarray):
        array = np.clip(picture, 0, 255).astype(np.uint8)
        return np.stack([array] * 3, axis=-1) if array.ndim == 2 else array[..., :3]
    with Image.open(picture) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def _show(axes: Axes, array: np.ndarray, right: bool | None = None) -> None:
    axes.imshow(array)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.axis("on")
    axes.spines[:].set_visible(right is not None)
    if right is not None:
        axes.spines[:].set(color=GREEN if right else RED, linewidth=2 if right else 4)


def _title(task: str) -> str:
    return str(task).replace("_", " ")


def _short(value: float) -> str:
    """Writes a number with three digits and a unit prefix: 1.23 M, 45.6 k, 789."""
    for size, prefix in ((1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / (1e3 if prefix == ' k' else size):.3g}{prefix}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _share(value: float) -> str:
    return f"{value:.2f}" if value >= 0.995 else f"{value:.2f}".removeprefix("0")


def _times(factor: float) -> str:
    return f"×{factor:.0f}" if factor >= 10 else f"×{factor:.1f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
