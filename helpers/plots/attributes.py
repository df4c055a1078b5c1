"""Figures of the attributes of people, and of the recipes for them."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.plots.panels import name_rows, new_figure
from helpers.plots.style import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    RED,
    TRACK,
    WIDTH,
    clipped,
    signed,
    styled,
    task_title,
)
from helpers.scores import at_the_floor

MOST_TIMES = 4.0  # as often as by chance: where the color of a co-occurrence ends


@styled
def co_occurrence(table: pd.DataFrame) -> Figure:
    """Draws which classes of different tasks meet more or less often than by chance.

    Args:
        table: of `metrics.co_occurrence`.
    """
    names = [clipped(f"{name}") for _, name in table.index]
    tasks = table.index.get_level_values(0)
    size = min(WIDTH, 2.6 + 0.26 * len(names))
    figure = new_figure(size * 0.93, size)
    axes = figure.subplots()
    limit = np.log2(MOST_TIMES)
    with np.errstate(divide="ignore"):
        values = np.log2(table.to_numpy(float))
    image = axes.imshow(np.clip(values, -limit, limit), cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7.5)
    axes.set_yticks(range(len(names)), names, fontsize=7.5)
    for edge in np.flatnonzero(tasks[1:] != tasks[:-1]) + 0.5:
        axes.axhline(edge, color="white", lw=2)
        axes.axvline(edge, color="white", lw=2)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30)
    ticks = np.arange(-limit, limit + 1)
    bar.set_ticks(ticks, labels=[f"×{2**tick:g}" for tick in ticks])
    bar.set_label("as often as by chance")
    bar.outline.set_visible(False)
    return figure


@styled
def lifts(scores: pd.DataFrame) -> Figure:
    """Draws how far each task lies above its largest class, with the interval; largest first.

    A task whose interval reaches 0 was not learned, as far as one can tell, and is red.

    Args:
        scores: a table of `metrics.score_manifest`, with intervals.
    """
    scores = scores[scores["labelled"] > 0].sort_values("lift", ascending=False)
    floor = set(at_the_floor(scores))
    figure = new_figure(0.36 * len(scores) + 1.0, 8)
    axes = figure.subplots()
    axes.axvline(0, color=GRAY, lw=1)
    notes = []
    for row, (task, score) in enumerate(scores.iterrows()):
        color = RED if task in floor else BLUE
        axes.hlines(row, score["lift_low"], score["lift_high"], color=color, lw=2.2)
        axes.plot(score["lift"], row, "o", color=color, ms=7)
        note = f"{signed(score['lift'])}   macro-F1 {score['macro_f1']:.3f}"
        notes.append(note + ("   at its floor" if task in floor else ""))
    colors = [RED if task in floor else INK for task in scores.index]
    name_rows(axes, [task_title(task) for task in scores.index], notes, colors)
    axes.margins(x=0.08)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_title("accuracy above always answering the largest class, 95 % interval")
    return figure


@styled
def learning_rate_range(table: pd.DataFrame, proposed: float) -> Figure:
    """Draws the loss over the rate, as the range test has seen it, and marks the proposed rate.

    Args:
        table: of `rate_range.rate_range`.
        proposed: of `rate_range.proposed_rate`.
    """
    figure = new_figure(3.2, 7.5)
    axes = figure.subplots()
    axes.plot(table["rate"], table["loss"], color=GRAY, lw=0.8, label="loss of a step")
    axes.plot(table["rate"], table["smooth"], color=BLUE, lw=2, label="smoothed")
    axes.axvline(proposed, color=ORANGE, lw=6, alpha=0.3, label=f"proposed: {proposed:.1g}")
    axes.set_xscale("log")
    low, first = table["smooth"].min(), table["smooth"].iloc[0]
    axes.set_ylim(low - 0.15 * (first - low) - 0.01, first + 0.6 * (first - low) + 0.01)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.grid(axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


@styled
def stage_curves(table: pd.DataFrame) -> Figure:
    """Draws the log of a run of several stages: the mean validation scores, a band for each stage.

    Args:
        table: the log of a run, with the columns epoch, stage, val_accuracy and val_macro_f1.
    """
    figure = new_figure(3.0, 8.5)
    axes = figure.subplots()
    above = {"ha": "center", "fontsize": 9, "transform": axes.get_xaxis_transform()}
    for stage, rows in table.groupby("stage"):
        first, last = rows["epoch"].iloc[0] - 0.5, rows["epoch"].iloc[-1] + 0.5
        axes.axvspan(first, last, color=TRACK if stage % 2 else "white", zorder=0)
        axes.text((first + last) / 2, 1.02, f"stage {stage}", **above)
    axes.plot(table["epoch"], table["val_accuracy"], "-o", color=BLUE, ms=4, label="accuracy")
    axes.plot(table["epoch"], table["val_macro_f1"], "-s", color=ORANGE, ms=4, label="macro-F1")
    axes.set_xlim(table["epoch"].iloc[0] - 0.5, table["epoch"].iloc[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean of the tasks")
    axes.grid(axis="y")
    axes.legend(loc="lower right", ncols=2)
    return figure
