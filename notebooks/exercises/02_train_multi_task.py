"""What 02_train_multi_task accepts as an answer, and the hints."""

from typing import Any

import numpy as np

from helpers.workshop import Exercise, near

SIZES = {"gender": 3, "top_color": 12, "bottom_color": 12}


def _mask(answer: Any) -> bool:
    rng = np.random.default_rng(0)
    for labelled in (40, 7, 1):  # of 40
        probabilities = rng.dirichlet(np.ones(5), 40).astype(np.float32)
        targets = rng.integers(0, 5, 40).astype(np.int32)
        wanted = -np.log(probabilities[np.arange(labelled), targets[:labelled]]).mean()
        targets[labelled:] = -1
        order = rng.permutation(40)
        if not near(answer(targets[order], probabilities[order]), wanted, 1e-3):
            return False
    return True


def _outputs(model: Any) -> dict[str, int]:
    return {task: output.shape[-1] for task, output in model.output.items()}


def _kinds(model: Any) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def _pooling(answer: Any) -> bool:
    kinds = _kinds(answer)
    pooled = "GlobalMaxPooling2D" in kinds and "GlobalAveragePooling2D" not in kinds
    shared = "backbone" in [layer.name for layer in answer.layers]
    return pooled and shared and kinds.count("Dense") == 3 and _outputs(answer) == SIZES


def _fourth(answer: Any) -> bool:
    trained = int(answer.optimizer.iterations) > 0
    frozen = not answer.get_layer("backbone").trainable_weights
    return trained and frozen and _outputs(answer) == SIZES | {"age": 5}


EXERCISES: dict[str, Exercise] = {
    "02-mask": Exercise(
        _mask,
        "`tf.boolean_mask(probabilities, targets >= 0)` keeps the labelled rows. Then pick the "
        "probability of the right class in each of them.",
    ),
    "02-loss": Exercise(
        "the class frequencies",
        "`log(3) + 2 * log(12)` is the cost of guessing. What does a network pay that always gives "
        "each class its frequency? For a task with fractions f that is `-(f * log(f)).sum()`.",
    ),
    "02-pooling": Exercise(
        _pooling,
        "`layers.GlobalMaxPooling2D()(backbone(image))` is the vector. A Dense layer with softmax "
        "for each task follows, with the name of its task, and keras.Model takes a dict of them.",
    ),
    "02-fourth": Exercise(
        _fourth,
        "`read_manifest(path, tasks=[*tasks, 'age'])` has all four targets. Freeze the backbone "
        "before you compile, and keep its name.",
    ),
}
