"""Figures of scores: against the majority baseline, by group, by split, by class."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import helpers.plots.panels as panels
import helpers.plots.style as style

MEASURED = {"validation": "validation images", "test": "test people"}


@style.styled
def scores_against_baseline(scores: pd.DataFrame) -> Figure:
    """Compares the accuracies of `metrics.score_manifest` with the majority baselines."""
    scores = scores[scores["labelled"] > 0]
    figure, axes = panels.one_panel(0.42 * len(scores) + 1.2)
    rows, floor = np.arange(len(scores)), scores["majority_baseline"]
    axes.barh(rows, floor, color=style.SHADE, height=0.62, label="majority baseline")
    panels.draw_dots(axes, scores, "accuracy, 95 % interval")
    for row, name in zip(rows, scores["largest_class"]):
        axes.text(0.008, row, name, va="center", fontsize=9, color=style.DARK)
    values = scores[["accuracy", "lift"]].to_numpy()
    notes = [f"{accuracy:.3f}   lift {style.signed(lift)}" for accuracy, lift in values]
    panels.name_rows(axes, [style.task_title(task) for task in scores.index], notes)
    axes.set_xlim(0, 1)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@style.styled
def scores_by(table: pd.DataFrame, title: str = "") -> Figure:
    """Draws a table of accuracies, their intervals and how many were `labelled`, row by row."""
    figure, axes = panels.one_panel(0.34 * len(table) + 0.9, 7.5)
    panels.draw_dots(axes, table, "accuracy")
    values = table[["accuracy", "labelled"]].to_numpy()
    panels.name_rows(axes, table.index, [f"{accuracy:.3f}  of {n:,.0f}" for accuracy, n in values])
    axes.margins(x=0.08)
    axes.set_title(title)
    return figure


@style.styled
def leak(table: pd.DataFrame) -> Figure:
    """Draws the accuracy of each kind of split on its validation images and on test people.

    A row per task, split ("at random", "by person") and measured, a key of `MEASURED`, with
    accuracy, accuracy_low and accuracy_high.
    """
    parts = dict(list(table.groupby("task", sort=False)))
    figure, grid = panels.grid_of_panels(
        list(parts), 4, [3.2] * -(-len(parts) // 4), 5, sharey=True
    )
    grid[0].set_ylabel("accuracy")
    for axes, part in zip(grid, parts.values()):
        splits = part["split"].unique()
        places, by_kind = np.arange(len(splits)), part.set_index(["measured", "split"])
        validation, test = (by_kind.loc[measured].loc[splits] for measured in MEASURED)
        both = validation["accuracy"], test["accuracy"]
        axes.plot([places - 0.13, places + 0.13], both, color=style.GRAY, lw=1, zorder=1)
        looks = (validation, -0.13, "s", style.ORANGE), (test, 0.13, "o", style.BLUE)
        for label, (rows, aside, look, color) in zip(MEASURED.values(), looks):
            low, high, at = rows["accuracy_low"], rows["accuracy_high"], places + aside
            axes.vlines(at, low, high, color=color, lw=2.2)
            axes.plot(at, rows["accuracy"], look, color=color, ms=8, label=label)
        gaps = test["accuracy"] - validation["accuracy"]
        axes.set_xticks(places, [f"{name}\ngap {style.signed(gap)}" for name, gap in gaps.items()])
        axes.set_xlim(-0.6, len(splits) - 0.4)
        axes.grid(axis="y")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


@style.styled
def confusion_matrix(confusion: pd.DataFrame, title: str = "") -> Figure:
    """Draws the counts of `metrics.confusion`, colored by the fraction of their row."""
    counts, number = confusion.to_numpy(), len(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(7.2, max(2.0, 0.47 * number))  # inches
    font = min(9.5, 48 * side / number)
    figure, axes = panels.one_panel(side + 1.6, min(style.WIDTH, side + 3))
    mesh = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts > 0):
        look = {"color": "white" if shares[row, column] > 0.55 else style.INK, "fontsize": font}
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", **look)
    shown = [style.clipped(str(name)) for name in confusion.index]
    axes.set_xticks(range(number), shown, rotation=90 if number > 4 else 0, fontsize=font)
    axes.set_yticks(range(number), shown, fontsize=font)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="prediction", ylabel="label", title=title)
    look = {"shrink": 0.7, "aspect": 18, "format": "{x:.0%}", "label": "fraction of the class"}
    figure.colorbar(mesh, ax=axes, **look).outline.set_visible(False)
    return figure
