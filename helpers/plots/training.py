"""Figures of a training run, its stages, and of its single-task twins."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import helpers.plots.style as style
from helpers.plots.panels import draw_dots, name_rows, new_figure, one_panel, text_width


@style.styled
def training_curves(log: pd.DataFrame, best_epoch: int | None = None) -> Figure:
    """Draws accuracy and loss of every task over the epochs of a run's log, and marks the best.

    Where None, that is the one with the highest mean validation accuracy.
    """
    tasks = [m[1] for m in map(re.compile("val_(.+)_accuracy").fullmatch, log.columns) if m]
    if best_epoch is None:
        mean = log[[f"val_{task}_accuracy" for task in tasks]].mean(axis=1)
        best_epoch = log["epoch"].iloc[int(mean.argmax())]
    columns = len(tasks) + 1 if len(tasks) < 4 else 5
    blocks = math.ceil((len(tasks) + 1) / columns)
    figure = new_figure(4.1 * blocks)
    room = style.WIDTH / columns - 1.1  # of a title, beside the number at its right
    font = min(11, max(8, 11 * room / text_width([style.task_title(task) for task in tasks], 12)))
    grid = figure.subplots(2 * blocks, columns, squeeze=False, sharex=True)
    for axes in grid.ravel():
        axes.set_visible(False)
    for number, task in enumerate(["", *tasks]):
        block, column = divmod(number, columns)
        upper, lower = grid[2 * block : 2 * block + 2, column]
        _curves(upper, log, f"{task}_accuracy" if task else "learning_rate", best_epoch)
        _curves(lower, log, f"{task}_loss" if task else "loss", best_epoch)
        upper.set_title(style.task_title(task) if task else "all tasks", fontsize=font)
        lower.set(xlabel="epoch", ylabel="" if column else "loss")
        lower.tick_params(labelbottom=True)
        if number == 1 or column == 0:
            upper.set_ylabel("accuracy" if task else "learning rate")
    figure.legend(*grid[1, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def _curves(axes: Axes, log: pd.DataFrame, column: str, best_epoch: int) -> None:
    if column not in log and f"val_{column}" not in log:
        return
    axes.set_visible(True)
    best = log["epoch"] == best_epoch
    label = f"best epoch: {best_epoch}"
    axes.axvline(best_epoch, color=style.ORANGE, lw=6, alpha=0.25, label=label)
    if column in log:
        color, line = (style.GRAY, "--") if f"val_{column}" in log else (style.PURPLE, "-")
        axes.plot(log["epoch"], log[column], line, color=color, lw=1.5, label="training")
    if f"val_{column}" in log:
        values = log[f"val_{column}"]
        axes.plot(log["epoch"], values, color=style.BLUE, lw=2, label="validation")
        axes.plot(log["epoch"][best], values[best], "o", color=style.BLUE, ms=6)
        if best.any():
            text = f"{values[best].iloc[0]:.3f}".removeprefix("0")
            axes.set_title(text, loc="right", fontsize=10, color=style.BLUE, fontweight="normal")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y")


@style.styled
def stage_curves(table: pd.DataFrame) -> Figure:
    """Draws the mean validation scores of a run's log, with a band for each of its stages."""
    figure, axes = one_panel(3.0, 8.5)
    above = {"ha": "center", "fontsize": 9, "transform": axes.get_xaxis_transform()}
    for stage, rows in table.groupby("stage"):
        first, last = rows["epoch"].iloc[0] - 0.5, rows["epoch"].iloc[-1] + 0.5
        axes.axvspan(first, last, color=style.TRACK if stage % 2 else "white", zorder=0)
        axes.text((first + last) / 2, 1.02, f"stage {stage}", **above)
    epochs = table["epoch"]
    axes.plot(epochs, table["val_accuracy"], "-o", color=style.BLUE, ms=4, label="accuracy")
    axes.plot(epochs, table["val_macro_f1"], "-s", color=style.ORANGE, ms=4, label="macro-F1")
    axes.set(xlabel="epoch", ylabel="mean of the tasks")
    axes.set_xlim(epochs.iloc[0] - 0.5, epochs.iloc[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    axes.legend(loc="lower right", ncols=2)
    return figure


@style.styled
def twins(table: pd.DataFrame) -> Figure:
    """Compares a multi-task network with networks that have one task each.

    A row per network and a column of accuracies per task (nan where the network lacks it), with
    {task}_low and {task}_high where known; the columns seconds, megabytes and parameters are
    costs. The first row with every task is the multi-task network.
    """
    costs = [name for name in ("seconds", "megabytes", "parameters") if name in table]
    tasks = [c for c in table if c not in costs and not c.endswith(("_low", "_high"))]
    multi = table[table[tasks].notna().all(axis=1)].iloc[0]
    singles = table.drop(index=multi.name)
    figure = new_figure(max(2.6, 0.62 * len(tasks) + 1.1))
    ratios, rows = [2.2] + [1] * len(costs), np.arange(len(tasks))
    axes, *panels = figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
    one = _best_rows(table.loc[[multi.name]], tasks)
    draw_dots(axes, rows - 0.13, one, style.BLUE, str(multi.name))
    draw_dots(axes, rows + 0.13, _best_rows(singles, tasks), style.ORANGE, "one network per task")
    name_rows(axes, [style.task_title(task) for task in tasks])
    axes.set_title("accuracy")
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    for panel, cost in zip(panels, costs):
        _stacked_costs(panel, cost, multi, singles)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def _best_rows(table: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """Takes per task the first network that has it: a row per task, accuracy, low and high."""
    rows = []
    for task in tasks:
        having = table[table[task].notna()].reindex(columns=[task, f"{task}_low", f"{task}_high"])
        rows.append(having.iloc[0].tolist() if len(having) else [math.nan] * 3)
    return pd.DataFrame(rows, columns=["accuracy", "accuracy_low", "accuracy_high"])


def _stacked_costs(axes: Axes, cost: str, multi: pd.Series, singles: pd.DataFrame) -> None:
    values, totals = singles[cost], [multi[cost], singles[cost].sum()]
    parts = {"color": style.ORANGE, "edgecolor": "white", "lw": 1.5}
    axes.bar(0, totals[0], color=style.BLUE, width=0.62)
    axes.bar([1] * len(values), values, bottom=values.cumsum() - values, width=0.62, **parts)
    for position, total in enumerate(totals):
        axes.text(position, total, style.three_digits(total), ha="center", va="bottom")
    axes.set_xticks([0, 1], ["1 network", f"{len(singles)} networks"])
    axes.spines["left"].set_visible(False)
    titles = {"seconds": "training, seconds", "megabytes": "size, MB", "parameters": "parameters"}
    axes.set(xlim=(-0.6, 1.6), ylim=(0, 1.12 * max(totals)), yticks=[], title=titles[cost])
