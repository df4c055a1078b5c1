"""Figures of a manifest: its classes, its splits, its pictures and their groups."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers.common import WorkshopError
from helpers.manifest import SPLITS, Manifest
from helpers.plots.panels import (
    NOT_KNOWN,
    Picture,
    new_figure,
    packed_panels,
    paint_bars,
    read_picture,
    show_picture,
    text_width,
)
from helpers.plots.style import BLUE, GRAY, GREEN, ORANGE, WIDTH, clipped, styled, task_title


@styled
def class_shares(manifest: Manifest) -> Figure:
    """Draws how many pictures each class has: a panel per task, most frequent class first."""
    counts = {task: _counts(manifest, task) for task in manifest.labels.tasks}
    names = [
        [manifest.labels.display_name(task, name) for name in table.index]
        for task, table in counts.items()
    ]
    figure, panels, width = packed_panels(names, columns=min(3, len(names)))
    for axes, (task, table), shown in zip(panels, counts.items(), names):
        bars = paint_bars(axes, table.index, shown, table.to_numpy())
        shares = table / max(table.sum(), 1)
        axes.bar_label(bars, [f"{n:,}  {p:.1%}" for n, p in zip(table, shares)], padding=4)
        axes.set_xlim(0, max(table.max(), 1) * width / (width - 1.1))
        axes.set_title(task_title(task))
    return figure


def _counts(manifest: Manifest, task: str) -> pd.Series:
    """Counts the classes of a task, largest first; what is not known stands at the end."""
    classes = manifest.labels.tasks[task]
    targets = manifest.targets(task)
    counts = pd.Series(np.bincount(targets[targets >= 0], minlength=len(classes)), index=classes)
    counts = counts.sort_values(ascending=False, kind="stable")
    unknown = int((targets < 0).sum())
    return pd.concat([counts, pd.Series({NOT_KNOWN: unknown})]) if unknown else counts


@styled
def shares_by_split(manifest: Manifest) -> Figure:
    """Draws the share of each class in each split: dots that lie together are a fair split."""
    if not manifest.has_split:
        raise WorkshopError(
            f"{manifest.name}: expected a column 'split', found none. "
            "Split it first: split_by_group(manifest)."
        )
    splits = [name for name in SPLITS if (manifest.frame["split"] == name).any()]
    tables = [_split_shares(manifest, task, splits) for task in manifest.labels.tasks]
    figure, panels, _ = packed_panels(
        [[*table.index] for table in tables], min(3, len(tables)), axis=1
    )
    for axes, task, table in zip(panels, manifest.labels.tasks, tables):
        rows = np.arange(len(table))
        axes.hlines(rows, table.min(axis=1), table.max(axis=1), color=GRAY, lw=1)
        for name, color, marker in zip(splits, (BLUE, ORANGE, GREEN), "o^s"):
            axes.plot(table[name], rows, marker, color=color, ms=6, label=name, alpha=0.9)
        axes.set_yticks(rows, [clipped(name) for name in table.index])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(-0.03 * table.to_numpy().max(), None)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="both")
        axes.set_title(task_title(task))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def _split_shares(manifest: Manifest, task: str, splits: Sequence[str]) -> pd.DataFrame:
    """Returns the share of each class (rows, largest first) in each split (columns)."""
    classes = manifest.labels.tasks[task]
    columns = {}
    for name in splits:
        targets = manifest.subset(name).targets(task)
        counts = np.bincount(targets[targets >= 0], minlength=len(classes))
        columns[name] = counts / max(counts.sum(), 1)
    names = [manifest.labels.display_name(task, name) for name in classes]
    table = pd.DataFrame(columns, index=names)
    return table.iloc[np.argsort(-table.mean(axis=1).to_numpy(), kind="stable")]


@styled
def picture_grid(
    pictures: Sequence[Picture],
    titles: Sequence[str] | None = None,
    columns: int = 8,
    right: Sequence[bool | None] | None = None,
) -> Figure:
    """Draws pictures side by side.

    Args:
        pictures: uint8 arrays (height, width, 3), or paths.
        titles: a short caption for each; may have several lines.
        columns: pictures per row.
        right: True draws a thin green frame, False a thick red one, None no frame.

    Returns:
        The figure; without pictures, one that says so.
    """
    if not len(pictures):
        figure = new_figure(0.5, 3)
        figure.text(0.5, 0.5, "no pictures", ha="center", va="center")
        return figure
    arrays = [read_picture(picture) for picture in pictures]
    titles = titles if titles is not None else [""] * len(arrays)
    right = right if right is not None else [None] * len(arrays)
    columns = max(1, min(columns, len(arrays)))
    rows = math.ceil(len(arrays) / columns)
    words = [line for title in titles for line in title.split("\n")]
    lines = max((title.count("\n") + 1 for title in titles if title), default=0)
    tallest = max(array.shape[0] / array.shape[1] for array in arrays)
    width = min(WIDTH, columns * 2.2)  # few pictures are not blown up
    height = rows * ((width / columns - 0.12) * tallest + lines * 0.17 + 0.12)
    figure = new_figure(height, width)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    font = float(np.clip(9 * (width / columns - 0.06) / max(text_width(words, 9), 0.01), 6.5, 9))
    for axes, array, title, good in zip(grid, arrays, titles, right):
        show_picture(axes, array, good)
        axes.set_title(title, fontsize=font, fontweight="normal", loc="center", pad=4)
    return figure


@styled
def pictures_of_groups(manifest: Manifest, groups: Sequence[str], columns: int = 8) -> Figure:
    """Draws a row of pictures for each group: the same person seen several times."""
    of_row = manifest.groups
    paths = {group: manifest.rows(of_row == group).paths for group in groups}
    columns = max(1, min(columns, max((len(p) for p in paths.values()), default=1)))
    cells = {group: [read_picture(path) for path in paths[group][:columns]] for group in groups}
    tallest = max((a.shape[0] / a.shape[1] for row in cells.values() for a in row), default=1)
    size = min((WIDTH - 1) / columns, 1.3)
    figure = new_figure(len(groups) * ((size - 0.12) * tallest + 0.13), size * columns + 1)
    grid = figure.subplots(len(groups), columns, squeeze=False)
    for axes_row, (group, arrays) in zip(grid, cells.items()):
        for axes in axes_row:
            axes.axis("off")
        for axes, array in zip(axes_row, arrays):
            show_picture(axes, array)
        more = len(paths[group]) - len(arrays)
        caption = f"{group}\n{len(paths[group])} pictures" + (
            f"\n({more} not shown)" if more else ""
        )
        axes_row[0].text(
            -0.12, 0.5, caption, transform=axes_row[0].transAxes, ha="right", va="center"
        )
    return figure


@styled
def pictures_per_group(manifest: Manifest) -> Figure:
    """Draws how many groups (persons) have one picture, two, three..."""
    sizes = pd.Series(manifest.groups).value_counts()
    counts = sizes.value_counts().sort_index()
    figure = new_figure(2.8)
    axes = figure.subplots()
    bars = axes.bar(counts.index, counts.to_numpy(), color=BLUE, width=0.8)
    if len(counts) <= 25:
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=2, fontsize=9)
        axes.set_xticks(counts.index)
    axes.margins(y=0.12)
    axes.set_xlabel("pictures of the same group")
    axes.set_ylabel("groups")
    axes.set_title(f"{len(sizes):,} groups, {len(manifest):,} pictures, median {sizes.median():g}")
    return figure
