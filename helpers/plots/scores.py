"""Figures of scores: against the majority baseline, and class by class."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import helpers.plots.panels as panels
import helpers.plots.style as style


@style.styled
def scores_against_baseline(scores: pd.DataFrame) -> Figure:
    """Compares the accuracies of `metrics.score_manifest` with the majority baselines."""
    scores = scores[scores["labelled"] > 0]
    figure, axes = panels.one_panel(0.42 * len(scores) + 1.2)
    rows, floor = np.arange(len(scores)), scores["majority_baseline"]
    axes.barh(rows, floor, color=style.SHADE, height=0.62, label="majority baseline")
    axes.hlines(rows, scores["accuracy_low"], scores["accuracy_high"], color=style.BLUE, lw=2.2)
    label = "accuracy, 95 % interval"
    axes.plot(scores["accuracy"], rows, "o", color=style.BLUE, ms=7, label=label)
    beside = {"va": "center", "transform": axes.get_yaxis_transform(), "fontsize": 9.5}
    for row, score in enumerate(scores.itertuples()):
        axes.text(0.008, row, score.largest_class, va="center", fontsize=9, color=style.DARK)
        axes.text(1.02, row, f"{score.accuracy:.3f}   lift {score.lift:+.3f}", **beside)
    axes.set_yticks(rows, [style.task_title(task) for task in scores.index])
    axes.set(xlim=(0, 1), ylim=(len(scores) - 0.5, -0.5))
    axes.grid(axis="x")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
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
