"""The classes of a manifest."""

import pandas as pd
from matplotlib.figure import Figure

import helpers.plots.style as style
from helpers.manifest import Manifest
from helpers.plots.panels import NOT_KNOWN, paint_bars, panels_of_rows


@style.styled
def class_shares(manifest: Manifest) -> Figure:
    """Draws how many images each class has, most frequent first, and how many are not known."""
    tables = {}
    for task, classes in manifest.labels.tasks.items():
        counts = manifest.frame[task].value_counts().reindex(classes, fill_value=0)
        counts = counts.sort_values(ascending=False, kind="stable")
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
