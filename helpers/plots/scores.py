"""Figures of scores: against the majority baseline, by group, and of speed."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import helpers.plots.panels as panels
import helpers.plots.style as style
from helpers.scores import at_majority_baseline

MEASURED = {"validation": "validation images", "test": "test people"}


@style.styled
def scores_against_baseline(scores: pd.DataFrame) -> Figure:
    """Compares the accuracies of `metrics.score_manifest` with the majority baselines."""
    scores = scores[scores["labelled"] > 0]
    figure, axes = panels.one_panel(0.42 * len(scores) + 1.2)
    rows, floor = np.arange(len(scores)), scores["majority_baseline"]
    axes.barh(rows, floor, color=style.SHADE, height=0.62, label="majority baseline")
    panels.draw_dots(axes, rows, scores, style.BLUE, "accuracy, 95 % interval")
    for row, name in zip(rows, scores["largest_class"]):
        axes.text(0.008, row, name, va="center", fontsize=9, color=style.DARK)
    values = scores[["accuracy", "lift"]].to_numpy()
    notes = [f"{accuracy:.3f}   lift {style.signed(lift)}" for accuracy, lift in values]
    panels.name_rows(axes, [style.task_title(task) for task in scores.index], notes)
    axes.set_xlim(0, 1)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@style.styled
def lifts(scores: pd.DataFrame) -> Figure:
    """Draws the lift of each task of `metrics.score_manifest`: red where it may be 0."""
    scores = scores[scores["labelled"] > 0].sort_values("lift", ascending=False)
    floor = set(at_majority_baseline(scores))
    figure, axes = panels.one_panel(0.36 * len(scores) + 1.0, 8)
    axes.axvline(0, color=style.GRAY, lw=1)
    notes = []
    for row, score in enumerate(scores.itertuples()):
        color = style.RED if score.Index in floor else style.BLUE
        axes.hlines(row, score.lift_low, score.lift_high, color=color, lw=2.2)
        axes.plot(score.lift, row, "o", color=color, ms=7)
        end = "   at its baseline" if score.Index in floor else ""
        notes.append(f"{style.signed(score.lift)}   macro-F1 {score.macro_f1:.3f}{end}")
    colors = [style.RED if task in floor else style.INK for task in scores.index]
    panels.name_rows(axes, [style.task_title(task) for task in scores.index], notes, colors)
    axes.margins(x=0.08)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_title("lift: accuracy above the majority baseline, 95 % interval")
    return figure


@style.styled
def scores_by(table: pd.DataFrame, title: str = "") -> Figure:
    """Draws a table of accuracies, their intervals and how many were `labelled`, row by row."""
    figure, axes = panels.one_panel(0.34 * len(table) + 0.9, 7.5)
    panels.draw_dots(axes, np.arange(len(table)), table, style.BLUE, "accuracy")
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
    figure, grid = panels.grid_of_panels(list(parts), 4, (5, 3.2), sharey=True)
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
    """Draws counts, rows the truth, colored by the fraction of their row."""
    counts, number = confusion.to_numpy(), len(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(7.2, max(2.0, 0.47 * number))  # inches
    label = min(9.5, max(6.0, 72 * side / number / 1.5))
    shown = [style.clipped(str(name)) for name in confusion.index]
    names = panels.text_width(shown, label)
    upright = names < 0.9 * side / number
    height = side + 0.8 + (0 if upright else names)
    figure, axes = panels.one_panel(height, min(style.WIDTH, side + names + 1.7))
    mesh = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    _write_counts(axes, counts, shares, size=min(9.5, 72 * side / number / 2.4))
    axes.set_xticks(range(number), shown, rotation=0 if upright else 90, fontsize=label)
    axes.set_yticks(range(number), shown, fontsize=label)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="prediction", ylabel="label", title=title)
    look = {"shrink": 0.7, "aspect": 18, "format": "{x:.0%}", "label": "fraction of the class"}
    figure.colorbar(mesh, ax=axes, **look).outline.set_visible(False)
    return figure


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray, size: float) -> None:
    """Writes the counts above zero into the cells, and draws lines between these."""
    look = {"ha": "center", "va": "center", "fontsize": size}
    for row, column in np.argwhere(counts > 0):
        color = "white" if shares[row, column] > 0.55 else style.INK
        axes.text(column, row, f"{counts[row, column]}", color=color, **look)
    lines = np.arange(1, len(counts)) - 0.5
    axes.set_xticks(lines, minor=True)
    axes.set_yticks(lines, minor=True)
    axes.grid(which="minor", color="white", lw=1)
    axes.tick_params(which="minor", length=0)
