"""Figures of scores: against the largest class, calibrated, by group, and of speed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from helpers.plots.panels import draw_dots, grid_of_panels, new_figure, text_width
from helpers.plots.style import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    RED,
    WIDTH,
    as_times,
    clipped,
    signed,
    styled,
    task_title,
    three_digits,
)
from helpers.scores import Threshold

MEASURED = {"promised": "promised by its validation pictures", "unseen": "unseen persons"}
# Trainings beside each other: how far aside each is drawn, so that no interval hides another one.
LENGTHS = {"equally long": (1, BLUE, "o"), "half as long": (1.2, ORANGE, "s")}


@styled
def scores_against_floor(scores: pd.DataFrame) -> Figure:
    """Draws each task's accuracy, with its interval, beside the share of the largest class.

    Args:
        scores: a table of `metrics.score_manifest`.
    """
    scores = scores[scores["labelled"] > 0]
    figure = new_figure(0.42 * len(scores) + 1.2)
    axes = figure.subplots()
    rows = np.arange(len(scores))
    axes.barh(
        rows,
        scores["largest_class_share"],
        color="#D9D9D9",
        height=0.62,
        label="always the largest class",
    )
    draw_dots(axes, rows, scores, BLUE, "accuracy, 95 % interval")
    for row, (_, score) in zip(rows, scores.iterrows()):
        axes.text(0.008, row, score["largest_class"], va="center", fontsize=9, color="#555555")
        lift = f"{score['accuracy']:.3f}   lift {signed(score['lift'])}"
        axes.text(1.02, row, lift, va="center", fontsize=9.5)
    axes.set_yticks(rows, [task_title(task) for task in scores.index])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.grid(axis="x")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@styled
def scores_by(table: pd.DataFrame, title: str = "") -> Figure:
    """Draws the accuracy, with its interval, for each value of another column.

    Args:
        table: of `metrics.score_by`.
        title: what is scored by what.
    """
    figure = new_figure(0.34 * len(table) + 0.9, 7.5)
    axes = figure.subplots()
    rows = np.arange(len(table))
    draw_dots(axes, rows, table, BLUE, "accuracy")
    for row, (_, score) in zip(rows, table.iterrows()):
        text = f"{score['accuracy']:.3f}  of {score['labelled']:,.0f}"
        axes.text(1.02, row, text, va="center", transform=axes.get_yaxis_transform(), fontsize=9.5)
    axes.set_yticks(rows, table.index)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(axis="x")
    axes.set_title(title)
    return figure


@styled
def learning_curve(table: pd.DataFrame) -> Figure:
    """Draws the scores of networks that have learned from fewer and from more persons.

    Args:
        table: a row per task and training, with the columns task; persons that it was trained on;
            trained, a key of `LENGTHS`; accuracy; accuracy_low and accuracy_high.
    """
    tasks, persons = list(dict.fromkeys(table["task"])), sorted(set(table["persons"]))
    figure, grid, _ = grid_of_panels(len(tasks), 4, (5, 3.2), sharey=True)
    for axes, task in zip(grid, tasks):
        part = table[table["task"] == task].set_index("trained")
        for trained, (aside, color, marker) in LENGTHS.items():
            rows = part.loc[[trained]].sort_values("persons")
            places = rows["persons"] * aside
            axes.vlines(places, rows["accuracy_low"], rows["accuracy_high"], color=color, lw=2.2)
            axes.plot(places, rows["accuracy"], f"{marker}-", color=color, ms=8, label=trained)
        axes.set_xscale("log", base=2)
        axes.set_xticks(persons, [f"{number:,}" for number in persons])
        axes.minorticks_off()
        axes.set_xlabel("persons")
        axes.grid(axis="y")
        axes.set_title(task_title(task))
    grid[0].set_ylabel("accuracy")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


@styled
def two_scores_by(table: pd.DataFrame, title: str = "") -> Figure:
    """Draws two accuracies with their intervals for each value of another column.

    Args:
        table: a row per value; columns of two levels: which of the two (its name is shown), and
            labelled, accuracy, accuracy_low, accuracy_high.
        title: what is scored by what.
    """
    figure = new_figure(0.42 * len(table) + 1.1, 7.5)
    axes = figure.subplots()
    rows = np.arange(len(table))
    kinds = list(dict.fromkeys(table.columns.get_level_values(0)))
    for kind, shift, color in zip(kinds, (-0.14, 0.14), (BLUE, ORANGE)):
        draw_dots(axes, rows + shift, table[kind], color, kind)
    first, second = (table[kind]["accuracy"] for kind in kinds)
    for row, (value, gap) in zip(rows, (second - first).items()):
        text = f"{signed(gap)}  of {table[kinds[0]].loc[value, 'labelled']:,.0f}"
        axes.text(1.02, row, text, va="center", transform=axes.get_yaxis_transform(), fontsize=9.5)
    axes.set_yticks(rows, table.index)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(axis="x")
    axes.set_title(title)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


@styled
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
    shown = [clipped(str(name)) for name in confusion.index]
    names = text_width(shown, label)
    upright = names < 0.9 * side / number
    figure = new_figure(side + 0.8 + (0 if upright else names), min(WIDTH, side + names + 1.7))
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


@styled
def reliability(curves: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Draws how often predictions of each confidence are right; the diagonal is perfect.

    Args:
        curves: task: {label: table of `metrics.calibration_curve`}, for example
            {"gender": {"before": ..., "temperature 1.6": ...}}. The size of a dot is its count.
    """
    figure, grid, columns = grid_of_panels(
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
        axes.set_title(task_title(task))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.2, fontsize=9)
        axes.grid()
    for axes in grid[::columns]:
        axes.set_ylabel("share that is right")
    return figure


@styled
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
    figure, grid, _ = grid_of_panels(len(curves), 3, (5.5, 3.1))
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
        axes.set_title(task_title(task))
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


@styled
def leak(table: pd.DataFrame) -> Figure:
    """Draws what each kind of split promises, and what unseen persons then give.

    Args:
        table: a row per task, kind of split and measurement, with the columns task; split (as
            "at random", "by person"); measured ("promised" on the split's own validation
            pictures, "unseen" on new persons); accuracy; accuracy_low and accuracy_high.
    """
    tasks = list(dict.fromkeys(table["task"]))
    figure, grid, _ = grid_of_panels(len(tasks), 4, (5, 3.2), sharey=True)
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
        names = [f"{split}\ngap {signed(gap)}" for split, gap in gaps.items()]
        axes.set_xticks(range(len(splits)), names)
        axes.set_xlim(-0.6, len(splits) - 0.4)
        axes.grid(axis="y")
        axes.set_title(task_title(task))
    grid[0].set_ylabel("accuracy")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


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


@styled
def speed(table: pd.DataFrame) -> Figure:
    """Draws speeds or latencies side by side, with how many times the first row's each one is.

    Args:
        table: a row per way to predict; each column is one measurement and one panel, as
            "pictures per second, batch 1". Wide ranges get a logarithmic axis.
    """
    figure = new_figure(0.42 * len(table) + 0.9)
    panels = figure.subplots(1, len(table.columns), sharey=True, squeeze=False)[0]
    rows = np.arange(len(table))
    for axes, column in zip(panels, table.columns):
        values = table[column].astype(float)
        wide = values.max() > 20 * values.min() > 0
        colors = [GRAY] + [BLUE] * (len(table) - 1)
        axes.barh(rows, values, color=colors, height=0.62)
        for row, value in zip(rows, values):
            times = f"   {as_times(value / values.iloc[0])}" if row else ""
            axes.text(value, row, f" {three_digits(value)}{times}", va="center", fontsize=9.5)
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
