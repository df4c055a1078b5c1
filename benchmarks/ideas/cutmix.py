"""CutMix (Yun et al. 2019): a rectangle of another image in each, labels mixed by its area."""

import numpy as np

from benchmarks.ideas.mixing import Mixing


class CutMix(Mixing):
    """Pastes a rectangle into each image, of its shape and an area drawn evenly."""

    def mix(self, images: np.ndarray, rng: np.random.Generator) -> tuple:  # noqa: D102
        count, height, width, _ = images.shape
        partner = rng.permutation(count).astype(np.int32)
        mixed, side = images.copy(), np.sqrt(rng.random(count))
        tall, broad = np.round(side * height).astype(int), np.round(side * width).astype(int)
        top = (rng.random(count) * (height - tall + 1)).astype(int)
        left = (rng.random(count) * (width - broad + 1)).astype(int)
        for i, out in enumerate(mixed):
            box = np.s_[top[i] : top[i] + tall[i], left[i] : left[i] + broad[i]]
            out[box] = images[partner[i]][box]
        return mixed, partner, (1 - tall * broad / (height * width)).astype(np.float32)
