"""What 09_train_person_attributes accepts as an answer, and the hints."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from helpers.workshop import Exercise, near

LOSSES = (2.0, 1.5, 1.6, 1.4, 1.5, 1.7)  # of epochs: it rises three times
RATES = (0.8, 0.8, 0.4, 0.4, 0.2, 0.1)  # after each of them


def _callback(answer: Any) -> bool:
    from helpers.common import keras

    watcher, optimizer = answer(), SimpleNamespace(learning_rate=keras.Variable(0.8))
    watcher.set_model(SimpleNamespace(optimizer=optimizer))
    watcher.on_train_begin()
    for epoch, (loss, rate) in enumerate(zip(LOSSES, RATES)):
        watcher.on_epoch_end(epoch, {"val_loss": loss})
        if not near(optimizer.learning_rate, rate, 1e-4):
            return False
    return isinstance(watcher, keras.callbacks.Callback)


def _idea(answer: Any) -> bool:
    from helpers.common import keras

    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 8).astype(np.float32)
    targets = np.array([0, 1, 2, 3, 0, 1, -1, -1], np.int32)
    plain = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1, reduction="none")
    p = probabilities[np.arange(6), targets[:6]]
    wanted = (-((1 - p) ** 2) * np.log(p)).mean()
    loss = answer.loss("age", plain, np.ones(4))
    given = (targets, targets[:, None])  # Keras hands over (batch, 1)
    return all(near(loss.call(rows, probabilities), wanted, 1e-4) for rows in given)


def _stage(answer: Any, published: Any) -> bool:
    *before, last = answer.stages
    model = published.stages[-1]
    rate = model.learning_rate / 10
    wanted = model.replace(freeze_backbone=False, learning_rate=last.learning_rate, epochs=10)
    unchanged = answer.replace(stages=published.stages) == published
    return (
        tuple(before) == published.stages
        and unchanged
        and near(last.learning_rate, rate, rate / 100)
        and last.epochs <= 10
        and last.replace(epochs=10) == wanted
    )


EXERCISES: dict[str, Exercise] = {
    "09-callback": Exercise(
        _callback,
        "keep the loss of the epoch before in self, starting from `float('inf')`. Then compare "
        "it with the val_loss in logs; on_epoch_end is the method, and rates have assign().",
    ),
    "09-idea": Exercise(
        _idea,
        "Keras hands over targets of shape (batch, 1); `np.reshape([[-1], [2]], -1)` makes them "
        "flat. keras.ops.take_along_axis takes p at `np.maximum([-1, 2], 0)`. Then divide the sum "
        "over the labelled images by their number.",
    ),
    "09-stage": Exercise(
        _stage,
        "`published.stages[-1].replace(epochs=10)` is the last stage with another number. "
        "stages is a tuple: `(*published.stages, published.stages[-1])` has six.",
    ),
}
