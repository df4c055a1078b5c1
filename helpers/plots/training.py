"""Figures of a training run, its stages, and of its single-task twins."""

import math
import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import helpers.plots.style as style
from helpers.plots.panels import draw_dots, grid_of_panels, name_rows, new_figure, one_panel


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
    figure, panels = grid_of_panels(shown, columns, heights)
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

    Takes what `helpers.evaluate.compare_runs` returns, the multi-task network in the first row,
    and nan where a network lacks a task.
    """
    costs = {"seconds": "training, seconds", "megabytes": "size, MB"}
    tasks = [c for c in table if c not in costs and not c.endswith(("_low", "_high"))]
    multi, singles = table.iloc[:1], table.iloc[1:]
    figure, rows = new_figure(max(2.6, 0.62 * len(tasks) + 1.1)), np.arange(len(tasks))
    axes, *panels = figure.subplots(1, 3, width_ratios=[2.2, 1, 1])
    ours, others = (style.BLUE, str(multi.index[0])), (style.ORANGE, "one network per task")
    for networks, aside, (color, label) in ((multi, -0.13, ours), (singles, 0.13, others)):
        first = networks.bfill().iloc[0]  # of each column the first value that is known
        columns = {name: [f"{task}{name}" for task in tasks] for name in ("", "_low", "_high")}
        scores = {f"accuracy{name}": [first[c] for c in some] for name, some in columns.items()}
        draw_dots(axes, rows + aside, pd.DataFrame(scores), color, label)
    name_rows(axes, [style.task_title(task) for task in tasks])
    axes.set_title("accuracy")
    axes.margins(x=0.12)
    for panel, (cost, title) in zip(panels, costs.items()):
        names, totals = ["1 network", f"{len(singles)} networks"], [multi[cost], singles[cost]]
        look = {"width": 0.62, "color": (style.BLUE, style.ORANGE)}
        bars = panel.bar(names, [values.sum() for values in totals], **look)
        panel.bar_label(bars, fmt="{:,.1f}")
        panel.margins(y=0.12)
        panel.spines["left"].set_visible(False)
        panel.set(yticks=[], title=title)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure
