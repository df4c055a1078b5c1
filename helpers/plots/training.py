"""The curves of a training run."""

import math
import re

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import helpers.plots.style as style
from helpers.plots.panels import grid_of_panels


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
