"""Splits a manifest by group, so that every split gets its fraction of every class."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from helpers.common import expected
from helpers.manifest.labels import SPLIT, SPLITS
from helpers.manifest.table import Manifest

MOST_COUNTS = 100_000_000  # a number for every group and class; 1.6 GB while it works


def split_by_group(
    manifest: Manifest, shares: Mapping[str, float] | None = None, seed: int = 0
) -> Manifest:
    """Splits images so that no group is in two splits and classes are as frequent in all splits.

    `shares` (.7, .15, .15 where None) is split name to fraction. A split that the manifest has is
    replaced; where only some rows have one (a given test set), those keep it, their groups follow,
    and the others are split. Wrong fractions and too few groups raise `WorkshopError`.
    (StratifiedGroupKFold is for one task, and 30 times as slow.)
    """
    shares = _checked_shares(shares)
    if manifest.has_split and (manifest.frame[SPLIT] == "").any():
        split = _given_splits(manifest, shares)
        free = split == ""
        part = _with_split(manifest.rows(free), "")
        split[free] = split_by_group(part, shares, seed).frame[SPLIT].to_numpy()
        return _with_split(manifest, split)
    counts, group_of_row = _group_counts(manifest)
    side = assign_groups(counts, np.array([*shares.values()]), np.random.default_rng(seed))
    if empty := [name for number, name in enumerate(shares) if number not in side]:
        wanted = f"groups for {len(shares)} splits, and every class in train"
        found = f"{len(counts)}, which leave none for {' and '.join(empty)}"
        raise expected(wanted, found, "Add groups, or ask for fewer splits.", manifest.name)
    return _with_split(manifest, np.array(list(shares))[side][group_of_row])


def _given_splits(manifest: Manifest, shares: Mapping[str, float]) -> np.ndarray:
    """Returns the split of every row (n,), that of its group where it has none; else empty."""
    given = manifest.frame[SPLIT].to_numpy(str)
    if mixed := [name for name in shares if name != "train" and (given == name).any()]:
        wanted = f"no fraction for {' and '.join(mixed)}, which is given for some rows"
        fix = "Divide only the other rows, such as with --split 0.8,0.2,0"
        raise expected(wanted, shares, fix, manifest.name)
    known = dict(zip(manifest.groups[given != ""], given[given != ""]))
    of_group = [known.get(group, "") for group in manifest.groups]
    return np.where(given != "", given, of_group).astype(object)


def assign_groups(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the split of every group (groups,), 0 being train, which gets every class.

    `counts` (groups, columns) holds the images of each group: all of them in column 0 (scaled by
    the weight of the size), then those of each class. No column may be all 0. `shares` (splits,)
    adds up to 1, train first. `rng` orders groups of equal size.

    Largest first, a group goes to the split that it brings nearest to its fraction of every column,
    by chi-square distance, so that rare classes count as much: iterative stratification (Sechidis,
    Tsoumakas and Vlahavas, ECML PKDD 2011) over groups instead of images.
    """
    wish = shares[:, None] * counts.sum(axis=0)  # (splits, classes)
    have = np.zeros_like(wish)
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order, 0], kind="stable")]
    side = np.empty(len(counts), int)
    for group in order:
        count = counts[group]
        # how much (have - wish)^2 / wish grows if the group goes to each split
        growth = ((2 * (have - wish) + count) * count / wish).sum(axis=1)
        side[group] = best = int(np.argmin(growth))
        have[best] += count
    return _every_class_everywhere(counts, side, len(shares))


def _every_class_everywhere(counts: np.ndarray, side: np.ndarray, splits: int) -> np.ndarray:
    """Moves the smallest group of each class to train where that lacks it; then to other splits.

    To those only if its own split can spare it. Otherwise a class of three groups would often be
    missing from validation and have no score.
    """
    holds = counts > 0
    holders = np.stack([holds[side == split].sum(axis=0) for split in range(splits)])
    for wanting in ([0], [*range(1, splits)]):
        for number in np.flatnonzero((holders[wanting] == 0).any(axis=0)):
            groups = np.flatnonzero(holds[:, number])
            groups = groups[np.argsort(counts[groups, 0], kind="stable")]
            for split in wanting:
                # no class of the group is lost to its own split: another group there has it, too
                movable = [
                    g for g in groups if split == 0 or (holders[side[g], holds[g]] > 1).all()
                ]
                if movable and not holders[split, number]:
                    group = movable[0]
                    holders[side[group]] -= holds[group]
                    holders[split] += holds[group]
                    side[group] = split
    return side


def _checked_shares(shares: Mapping[str, float] | None) -> dict[str, float]:
    if shares is None:
        shares = {"train": 0.7, "validation": 0.15, "test": 0.15}
    good = set(shares) <= set(SPLITS) and "train" in shares and min(shares.values()) > 0
    if not good or not abs(sum(shares.values()) - 1) <= 1e-6:
        wanted = "fractions above 0 that add up to 1, for train and any of validation and test"
        raise expected(wanted, shares, "Use for example 0.7, 0.15, 0.15.")
    return {name: shares[name] for name in SPLITS if name in shares}


def _group_counts(manifest: Manifest) -> tuple[np.ndarray, np.ndarray]:
    """Returns per group the images and those of each class (groups, 1 + classes), and (n,)."""
    group_of_row, groups = pd.factorize(manifest.groups)
    targets = {task: manifest.targets(task) for task in manifest.tasks}
    present = {task: np.unique(numbers[numbers >= 0]) for task, numbers in targets.items()}
    if (size := len(groups) * sum(map(len, present.values()))) > MOST_COUNTS:
        task = max(present, key=lambda task: len(present[task]))
        wanted = f"groups times classes to be at most {MOST_COUNTS:,}"
        fix = f"If {task!r} ({len(present[task]):,} classes) is no task, name the others: --tasks"
        raise expected(wanted, f"{size:,}", fix, manifest.name)
    columns = [np.bincount(group_of_row, minlength=len(groups))[:, None]]
    for task, numbers in targets.items():
        known, width = numbers >= 0, len(present[task])
        cells = group_of_row[known] * width + np.searchsorted(present[task], numbers[known])
        table = np.bincount(cells, minlength=len(groups) * width)
        columns.append(table.reshape(len(groups), width))
    counts = np.hstack(columns).astype(float)
    # the size of a split weighs as much as one whole task
    counts[:, 0] *= max(1.0, (counts.shape[1] - 1) / max(1, len(manifest.tasks)))
    return counts, group_of_row


def _with_split(manifest: Manifest, split: np.ndarray | str) -> Manifest:
    return replace(manifest, frame=manifest.frame.assign(**{SPLIT: split}))
