"""Figures of scores: against the largest class, calibrated, by group, and of speed."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.panels import (
    draw_dots,
    draw_points,
    grid_of_panels,
    name_rows,
    new_figure,
    text_width,
)
from helpers.plots.style import (
    BLUE,
    DARK,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    RED,
    SHADE,
    WIDTH,
    clipped,
    signed,
    styled,
    task_title,
    three_digits,
)
from helpers.scores import Threshold

MEASURED = {"promised": "promised by its validation pictures", "unseen": "unseen persons"}
# Trainings beside each other: how far aside each is drawn, so that no interval hides another one.
LENGTHS = {"equally long": (1, BLUE, "o-"), "half as long": (1.2, ORANGE, "s-")}


@styled
def scores_against_floor(scores: pd.DataFrame) -> Figure:
    """Draws each task's accuracy, with its interval, beside the share of the largest class.

    Args:
        scores: a table of `metrics.score_manifest`.
    """
    scores = scores[scores["labelled"] > 0]
    figure = new_figure(0.42 * len(scores) + 1.2)
    axes = figure.subplots()
    rows, floor = np.arange(len(scores)), scores["largest_class_share"]
    axes.barh(rows, floor, color=SHADE, height=0.62, label="always the largest class")
    draw_dots(axes, rows, scores, BLUE, "accuracy, 95 % interval")
    for row, name in zip(rows, scores["largest_class"]):
        axes.text(0.008, row, name, va="center", fontsize=9, color=DARK)
    values = zip(scores["accuracy"], scores["lift"])
    notes = [f"{accuracy:.3f}   lift {signed(lift)}" for accuracy, lift in values]
    name_rows(axes, [task_title(task) for task in scores.index], notes)
    axes.set_xlim(0, 1)
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
    draw_dots(axes, np.arange(len(table)), table, BLUE, "accuracy")
    values = zip(table["accuracy"], table["labelled"])
    name_rows(axes, table.index, [f"{accuracy:.3f}  of {n:,.0f}" for accuracy, n in values])
    axes.margins(x=0.08)
    axes.set_title(title)
    return figure


@styled
def two_scores_by(table: pd.DataFrame, title: str = "") -> Figure:
    """Draws two accuracies with their intervals for each value of another column.

    Args:
        table: two of `metrics.score_by` side by side, in columns of two levels: which of the two
            (its name is shown), and labelled, accuracy, accuracy_low, accuracy_high.
        title: what is scored by what.
    """
    figure = new_figure(0.42 * len(table) + 1.1, 7.5)
    axes = figure.subplots()
    first, second = dict.fromkeys(table.columns.get_level_values(0))
    for kind, shift, color in ((first, -0.14, BLUE), (second, 0.14, ORANGE)):
        draw_dots(axes, np.arange(len(table)) + shift, table[kind], color, kind)
    gaps = table[second]["accuracy"] - table[first]["accuracy"]
    notes = [f"{signed(gap)}  of {n:,.0f}" for gap, n in zip(gaps, table[first]["labelled"])]
    name_rows(axes, table.index, notes)
    axes.margins(x=0.08)
    axes.set_title(title)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


@styled
def learning_curve(table: pd.DataFrame) -> Figure:
    """Draws the scores of networks that have learned from fewer and from more persons.

    Args:
        table: a row per task and training, with the columns task; persons that it was trained on;
            trained, a key of `LENGTHS`; accuracy; accuracy_low and accuracy_high.
    """
    persons = sorted(set(table["persons"]))
    figure, grid = _panel_per_task(table)
    for axes, (_, part) in zip(grid, table.groupby("task", sort=False)):
        for trained, (aside, color, style) in LENGTHS.items():
            rows = part[part["trained"] == trained].sort_values("persons")
            draw_points(axes, rows["persons"] * aside, rows, style, color, trained)
        axes.set_xscale("log", base=2)
        axes.set_xticks(persons, [f"{number:,}" for number in persons])
        axes.minorticks_off()
        axes.set_xlabel("persons")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


@styled
def leak(table: pd.DataFrame) -> Figure:
    """Draws what each kind of split promises, and what unseen persons then give.

    Args:
        table: a row per task, kind of split and measurement, with the columns task; split (as
            "at random", "by person"); measured ("promised" on the split's own validation
            pictures, "unseen" on new persons); accuracy; accuracy_low and accuracy_high.
    """
    figure, grid = _panel_per_task(table)
    for axes, (_, part) in zip(grid, table.groupby("task", sort=False)):
        splits = list(dict.fromkeys(part["split"]))
        places = np.arange(len(splits))
        promised, unseen = (
            part[part["measured"] == measured].set_index("split").loc[splits]
            for measured in MEASURED
        )
        for place, *both in zip(places, promised["accuracy"], unseen["accuracy"]):
            axes.plot([place - 0.13, place + 0.13], both, color=GRAY, lw=1, zorder=1)
        draw_points(axes, places - 0.13, promised, "s", ORANGE, MEASURED["promised"])
        draw_points(axes, places + 0.13, unseen, "o", BLUE, MEASURED["unseen"])
        gaps = unseen["accuracy"] - promised["accuracy"]
        axes.set_xticks(places, [f"{split}\ngap {signed(gap)}" for split, gap in gaps.items()])
        axes.set_xlim(-0.6, len(splits) - 0.4)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def _panel_per_task(table: pd.DataFrame) -> tuple[Figure, list[Axes]]:
    """Makes a panel of accuracies for each task of a table, in the table's order."""
    tasks = table["task"].unique()
    figure, grid = grid_of_panels(len(tasks), 4, (5, 3.2), sharey=True)
    grid[0].set_ylabel("accuracy")
    for axes, task in zip(grid, tasks):
        axes.grid(axis="y")
        axes.set_title(task_title(task))
    return figure, grid


@styled
def confusion_matrix(confusion: pd.DataFrame, title: str = "") -> Figure:
    """Draws which class was taken for which: counts, colored by the share of their row.

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
    bar = figure.colorbar(mesh, ax=axes, shrink=0.7, aspect=18, format="{x:.0%}")
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
    columns = min(4, len(curves))
    figure, grid = grid_of_panels(len(curves), 4, (3.3, min(3.3, WIDTH / columns) + 0.5))
    for axes, (task, tables) in zip(grid, curves.items()):
        axes.plot([0, 1], [0, 1], color=GRAY, lw=1, ls="--")
        for (label, curve), color, marker in zip(tables.items(), (ORANGE, BLUE, GREEN), "os^"):
            weight = curve["count"] / max(curve["count"].sum(), 1)
            error = (weight * (curve["confidence"] - curve["accuracy"]).abs()).sum()
            style = {"color": color, "marker": marker}
            points = curve["confidence"], curve["accuracy"]
            axes.plot(*points, lw=1.5, ms=4, label=f"{label}: error {error:.3f}", **style)
            axes.scatter(*points, 16 + 160 * weight, zorder=3, **style)
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
    curves: Mapping[str, pd.DataFrame], thresholds: Mapping[str, Threshold] | None = None
) -> Figure:
    """Draws what a confidence threshold brings (accuracy) and costs (pictures without answer).

    Args:
        curves: a table of `metrics.coverage_curve` per task.
        thresholds: what `metrics.choose_threshold` chose, per task; marked.
    """
    figure, grid = grid_of_panels(len(curves), 3, (5.5, 3.1))
    for axes, (task, table) in zip(grid, curves.items()):
        for column, style, color, label in (
            ("accuracy", "-", BLUE, "answers that are right"),
            ("coverage", "--", ORANGE, "pictures answered"),
        ):
            axes.plot(table["threshold"], table[column], style, color=color, lw=2, label=label)
        if thresholds and task in thresholds:
            _mark_threshold(axes, thresholds[task])
        axes.set(xlabel="answer from this confidence on", ylim=(0, 1.02), xlim=(None, 1.0))
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.grid()
        axes.set_title(task_title(task))
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return figure


def _mark_threshold(axes: Axes, chosen: Threshold) -> None:
    corner = {"x": 0.03, "y": 0.05, "transform": axes.transAxes}
    if not chosen.reached:
        axes.text(s=f"{chosen.wanted_accuracy:.0%} cannot be reached", color=RED, **corner)
        return
    place, both = chosen.threshold, [chosen.accuracy, chosen.coverage]
    axes.axvline(place, color=INK, lw=1, ls=":")
    axes.plot([place] * 2, both, "o", color=INK, ms=6, zorder=4)
    text = (
        f"from {place:.2f} on:\nanswers {chosen.coverage:.0%},\n{chosen.accuracy:.0%} of them right"
    )
    axes.text(s=text, va="bottom", fontsize=9, **corner)


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
        axes.barh(rows, values, color=[GRAY] + [BLUE] * (len(table) - 1), height=0.62)
        for row, value in zip(rows, values):
            factor = value / values.iloc[0]
            times = f"   ×{factor:.{0 if factor >= 10 else 1}f}" if row else ""
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
