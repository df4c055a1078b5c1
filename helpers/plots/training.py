"""Figures of a training run, and of a network beside its single-task twins."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.plots.panels import draw_dots, new_figure, text_width
from helpers.plots.style import BLUE, GRAY, ORANGE, PURPLE, WIDTH, styled, task_title, three_digits


@styled
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
    figure = new_figure(4.1 * blocks)
    room = WIDTH / columns - 1.1  # of a title, beside the number at its right
    font = min(11, max(8, 11 * room / text_width([task_title(task) for task in tasks], 12)))
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
        upper.set_title(task_title(task) if task else "all tasks", fontsize=font)
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


@styled
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
    figure = new_figure(max(2.6, 0.62 * len(tasks) + 1.1))
    panels = figure.subplots(
        1, 1 + len(costs), width_ratios=[2.2] + [1] * len(costs), squeeze=False
    )[0]
    rows = np.arange(len(tasks))
    for shift, color, label, values in (
        (-0.13, BLUE, str(multi.name), table.loc[[multi.name]]),
        (0.13, ORANGE, "one network per task", singles),
    ):
        draw_dots(panels[0], rows + shift, _best_rows(values, tasks), color, label)
    panels[0].set_yticks(rows, [task_title(task) for task in tasks])
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
        axes.text(position, total, three_digits(total), ha="center", va="bottom")
    axes.set_xticks([0, 1], ["one", f"{len(singles)} apart"])
    axes.set_xlim(-0.6, 1.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(0, 1.12 * max(multi[cost], bottom))
    titles = {"seconds": "training, seconds", "megabytes": "size, MB", "parameters": "parameters"}
    axes.set_title(titles[cost])
