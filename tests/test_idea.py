"""An idea of one's own: it enters a training at four places, and in every stage."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.manifest import Labels, Manifest
from helpers.model import load_model, soft_targets
from helpers.train import Idea, train
from tests.conftest import small_recipe

pytestmark = pytest.mark.usefixtures("tiny_backbone")


class SoftAndDoubled(Idea):
    """Draws few images, makes their targets soft, and doubles the loss."""

    def __init__(self):
        self.counts: dict[str, np.ndarray] = {}
        self.seen: list[Labels] = []

    def weights(self, training: Manifest) -> np.ndarray:
        weights = np.arange(len(training)) < 5
        return weights / weights.sum()

    def batches(self, batches: tf.data.Dataset, labels: Labels) -> tf.data.Dataset:
        self.seen.append(labels)
        classes = {task: len(names) for task, names in labels.tasks.items()}

        def soft(images: tf.Tensor, targets: dict) -> tuple:
            return images, {task: soft_targets(targets[task], n) for task, n in classes.items()}

        return batches.map(soft)

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray) -> keras.losses.Loss:
        self.counts[task] = counts
        return Doubled(loss)


class Doubled(keras.losses.Loss):
    def __init__(self, loss: keras.losses.Loss):
        super().__init__(name=loss.name, reduction="none")
        self.inner = loss

    def call(self, targets, probabilities):
        return 2 * self.inner(targets, probabilities)


def test_an_idea_that_changes_nothing_changes_nothing(
    people: Manifest, trained, tmp_path: Path
) -> None:
    run = train(people, tmp_path / "run", small_recipe(), idea=Idea())
    assert np.allclose(run.log["loss"], trained.log["loss"], rtol=1e-3)


def test_an_idea_enters_every_stage(people: Manifest, tmp_path: Path) -> None:
    stage = small_recipe(epochs=1, augmentation="none").stages[0]
    recipe = small_recipe(class_weights="balanced").replace(stages=(stage, stage))
    people = people.select(["top_color", "gender"])
    idea = SoftAndDoubled()
    run = train(people, tmp_path / "run", recipe, idea=idea)
    training = people.subset("train")
    assert idea.seen == [people.labels] * 2
    for task in people.tasks:
        targets = training.targets(task)
        assert idea.counts[task].sum() == (targets >= 0).sum()
    plain = train(people, tmp_path / "plain", recipe.replace(stages=(stage,)))
    assert run.log["loss"][0] > 1.2 * plain.log["loss"][0]
    assert list(run.log["stage"]) == [1, 2]


def test_a_network_of_an_idea_is_saved_and_resumed(people: Manifest, tmp_path: Path) -> None:
    class Dropped(Idea):
        def network(self, model: keras.Model) -> keras.Model:
            model.get_layer("gender_dropout").rate = 0.5
            return model

    people, recipe = people.select(["gender"]), small_recipe(epochs=2)
    run = train(people, tmp_path / "run", recipe, idea=Dropped())
    assert load_model(run.epoch_path(2)).get_layer("gender_dropout").rate == 0.5
    assert train(people, run.folder, resume=True, idea=Dropped()) == run
