"""MixUp (Zhang et al. 2018): s x_i + (1 - s) x_j and s y_i + (1 - s) y_j, s from Beta(a, a)."""

import numpy as np

from benchmarks.ideas.mixing import Mixing

SPREAD = 0.2  # a: as in the paper for small data sets


class MixUp(Mixing):
    """Blends each image with another one; s is the larger part, so it stays more visible."""

    def mix(self, images: np.ndarray, rng: np.random.Generator) -> tuple:  # noqa: D102
        count = len(images)
        partner = rng.permutation(count).astype(np.int32)
        share = rng.beta(SPREAD, SPREAD, count)
        own = np.round(256 * np.maximum(share, 1 - share)).astype(np.uint16)
        mixed = np.empty_like(images)
        for i, out in enumerate(mixed):
            blend = images[i] * own[i] + images[partner[i]] * (256 - own[i])
            np.copyto(out, blend >> 8, casting="unsafe")
        return mixed, partner, (own / 256).astype(np.float32)
