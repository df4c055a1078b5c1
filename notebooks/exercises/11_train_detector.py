"""What 11_train_detector accepts as an answer, and the hints."""

from pathlib import Path

import numpy as np

from helpers.workshop import Exercise, near

TRIALS = 20
STEPS = 20  # of the second run


def _random_boxes(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 40, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 40, (count, 2))], axis=1)


def _is_iou(answer) -> bool:
    """Whether a function gives the IoU of Keras, for boxes that overlap and boxes that do not."""
    from helpers.common import keras

    boxes = np.concatenate([_random_boxes(TRIALS, 0), [[0, 0, 5, 5], [60, 60, 70, 70]]])
    wanted = np.asarray(keras.utils.bounding_boxes.compute_iou(boxes, boxes, "yxyx"))
    return all(
        near(answer(a, b), wanted[i, j], 1e-3)
        for i, a in enumerate(boxes)
        for j, b in enumerate(boxes)
    )


def _is_nms(answer) -> bool:
    """Whether a function keeps what TensorFlow keeps."""
    from helpers.common import tf

    for seed in range(TRIALS):
        boxes, scores = _random_boxes(30, seed), np.random.default_rng(seed).permutation(30) / 30
        for threshold in (0.3, 0.6):
            wanted = tf.image.non_max_suppression(boxes, scores, 30, threshold).numpy()
            if list(answer(boxes, scores, threshold)) != wanted.tolist():
                return False
    return True


def _is_second(answer, first: Path, config) -> bool:
    """Whether a run of so many steps started from the first, with twice the weight for boxes."""
    weights = dict(config.loss_weights)
    weights["box"] *= 2
    return (
        Path(answer.config.checkpoint) in (Path(first), *Path(first).glob("checkpoints/*"))
        and Path(answer.folder) != Path(first)
        and dict(answer.config.loss_weights) == weights
        and near(answer.config.learning_rate, 1e-4, 1e-6)
        and int(answer.log["step"].iloc[-1]) == STEPS
    )


EXERCISES: dict[str, Exercise] = {
    "11-iou": Exercise(
        _is_iou,
        "the intersection is a box as well: it begins at the larger of the two `max(3, 5)` and "
        "ends at the smaller of the two ends, and it is never less than nothing. The union counts "
        "it once.",
    ),
    "11-nms": Exercise(
        _is_nms,
        "sort the indices by score, such as `sorted(range(3), key=lambda i: -[0.2, 0.9, 0.5][i])`. "
        "A box is only compared with those that were kept.",
    ),
    "11-start": Exercise(
        _is_second,
        "`config.replace(num_steps=20)` changes one setting and keeps the others; "
        "`config.loss_weights | {'box': 2.0}` are the weights.",
    ),
}
