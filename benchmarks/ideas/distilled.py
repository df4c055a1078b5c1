"""Distillation (Hinton et al. 2015): a small network learns from what a large one answers."""

from pathlib import Path

from helpers.common import CORES, expected, keras, tf
from helpers.manifest import Labels
from helpers.model import load_model, soft_targets
from helpers.train import Idea

OWN = 0.3  # part of a target that stays the label; the rest is the teacher's answer


class Distilled(Idea):
    """Asks the teacher about each image as the student sees it (Beyer et al. 2022)."""

    def __init__(self, teacher: str = ""):
        if not Path(teacher).is_file():
            fix = "Name it: --teacher runs/tuned/best.keras."
            raise expected("a teacher, a saved model", teacher or "none", fix)
        self._teacher = Path(teacher)

    def batches(self, batches: tf.data.Dataset, labels: Labels) -> tf.data.Dataset:
        """Makes soft labels; where a label is missing, the teacher's answer is all there is."""
        teacher = load_model(self._teacher)
        size, classes = teacher.input_shape[1:3], labels.tasks

        def answered(images: tf.Tensor, targets: dict) -> tuple:
            pixels = tf.image.resize(tf.cast(images, tf.float32), size)
            answers = teacher(pixels, training=False)
            return images, {task: self._mixed(targets[task], answers[task]) for task in classes}

        return batches.map(answered, num_parallel_calls=CORES)

    def _mixed(self, targets: tf.Tensor, answer: tf.Tensor) -> tf.Tensor:
        label = soft_targets(targets, answer.shape[-1])
        own = OWN * keras.ops.sum(label, axis=-1, keepdims=True)  # 0 where it is missing
        return own * label + (1 - own) * answer
