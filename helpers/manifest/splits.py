"""Which group goes to which split, so that every split gets its share of every class."""

import numpy as np


def assign_groups(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the split of every group.

    A group goes as a whole to the split that it brings nearest to its wish, largest groups first.
    The wish of a split is its share of every column's total; nearness is the chi-square distance,
    so that a rare class counts as much as a frequent one. It is the greedy idea of iterative
    stratification (Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data,
    ECML PKDD 2011) over groups instead of pictures.

    Args:
        counts: Pictures of each group (groups, columns): all of them in column 0 (scaled by the
            weight of the size), then those of each class. No column may be all 0.
        shares: Share of each split (splits,), train first; adds up to 1.
        rng: Decides the order of groups of equal size.

    Returns:
        The number of the split (groups,), 0 is train. Every class is in train, and in the others
        where it has groups enough.
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
    return _every_class_elsewhere(counts, _every_class_in_train(counts, side), len(shares))


def fewer_groups(groups: np.ndarray, among: np.ndarray, share: float) -> np.ndarray:
    """Returns which rows stay when only a share of the groups among some rows is kept.

    A smaller share keeps a part of what a larger one keeps, so that what the groups between them
    bring can be told.

    Args:
        groups: of each row (n,).
        among: the rows (n,), bool, whose groups may go; all others stay.
        share: of these groups, 0 to 1, rounded up.

    Returns:
        (n,), bool.
    """
    own = np.unique(groups[among])
    kept = np.random.default_rng(0).permutation(own)[: int(np.ceil(share * len(own)))]
    return ~among | np.isin(groups, kept)


def _every_class_in_train(counts: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Moves the smallest group of each class that train (split 0) lacks to train."""
    for number in range(counts.shape[1]):
        holders = np.flatnonzero(counts[:, number])
        if not (side[holders] == 0).any():
            side[holders[np.argmin(counts[holders, 0])]] = 0
    return side


def _every_class_elsewhere(counts: np.ndarray, side: np.ndarray, splits: int) -> np.ndarray:
    """Moves a small group of each class to each split that lacks it, if none lacks one after it.

    A class of three groups would else often be in no validation, and nobody would know its score.
    """
    holds = counts > 0
    for number in range(1, counts.shape[1]):
        for split in range(1, splits):
            if holds[side == split, number].any():
                continue
            for group in np.flatnonzero(holds[:, number])[np.argsort(counts[holds[:, number], 0])]:
                others = (side == side[group]) & (np.arange(len(side)) != group)
                if holds[others].any(axis=0)[holds[group]].all():
                    side[group] = split
                    break
    return side
