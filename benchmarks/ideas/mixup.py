"""MixUp: one image laid over another (Zhang et al. 2018).

x = s x_i + (1 - s) x_j, y = s y_i + (1 - s) y_j, s drawn from Beta(a, a); here s >= 1 - s.
"""

import numpy as np

from benchmarks.ideas.mixing import Mixing

SPREAD = 0.2  # a: as in the paper for small data sets


class MixUp(Mixing):
    """Blends each image with another one."""

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
