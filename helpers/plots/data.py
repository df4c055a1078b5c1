"""Figures of a manifest: its classes, its splits and its groups."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import helpers.plots.style as style
from helpers.common import expected
from helpers.manifest import SPLITS, Manifest
from helpers.plots.panels import NOT_KNOWN, paint_bars, panels_of_rows


@style.styled
def class_shares(manifest: Manifest) -> Figure:
    """Draws how many images each class has, most frequent first, and how many are not known."""
    tables = {}
    for task in manifest.labels.tasks:
        counts = _counts(manifest, task).sort_values(ascending=False, kind="stable")
        unknown = len(manifest) - counts.sum()
        tables[task] = pd.concat([counts, pd.Series({NOT_KNOWN: unknown})]) if unknown else counts
    display = manifest.labels.display_name
    names = [[display(task, name) for name in table.index] for task, table in tables.items()]
    figure, panels = panels_of_rows(list(tables), [*map(len, names)])
    for axes, table, shown in zip(panels, tables.values(), names):
        bars = paint_bars(axes, table.index, shown, table.to_numpy())
        total = max(table.sum(), 1)
        axes.bar_label(bars, [f"{n:,}  {n / total:.1%}" for n in table], padding=4)
        axes.set_xlim(0, max(table.max(), 1))
    return figure


def _counts(manifest: Manifest, task: str) -> pd.Series:
    classes, targets = manifest.labels.tasks[task], manifest.targets(task)
    return pd.Series(np.bincount(targets[targets >= 0], minlength=len(classes)), index=classes)


@style.styled
def shares_by_split(manifest: Manifest) -> Figure:
    """Draws the fraction of each class in each split: in a fair split, the dots lie together."""
    if not manifest.has_split:
        fix = "Split it first: split_by_group(manifest)."
        raise expected("a column 'split'", "none", fix, manifest.name)
    splits = [name for name in SPLITS if (manifest.frame["split"] == name).any()]
    tables = [_split_shares(manifest, task, splits) for task in manifest.labels.tasks]
    figure, panels = panels_of_rows(list(manifest.labels.tasks), [*map(len, tables)])
    for axes, table in zip(panels, tables):
        rows = np.arange(len(table))
        axes.hlines(rows, table.min(axis=1), table.max(axis=1), color=style.GRAY, lw=1)
        looks = zip((style.BLUE, style.ORANGE, style.GREEN), "o^s", (-0.3, 0, 0.3))
        for name, (color, marker, lower) in zip(splits, looks):  # none hides another
            axes.plot(table[name], rows + lower, marker, color=color, ms=3.5, label=name)
        axes.set_yticks(rows, [style.clipped(name) for name in table.index])
        axes.set_xlim(-0.03 * table.to_numpy().max(), None)
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="both")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def _split_shares(manifest: Manifest, task: str, splits: list[str]) -> pd.DataFrame:
    """Returns the fraction of each class (rows, largest first) in each split (columns)."""
    table = pd.DataFrame({name: _counts(manifest.subset(name), task) for name in splits})
    table /= table.sum().clip(lower=1)
    table.index = [manifest.labels.display_name(task, name) for name in table.index]
    return table.iloc[np.argsort(-table.mean(axis=1).to_numpy(), kind="stable")]
