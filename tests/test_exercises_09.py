import pytest

from helpers.common import keras
from helpers.train import Idea, find_recipe
from helpers.workshop import exercises

ops = keras.ops


def halving(factor=0.5, worse=lambda now, before: now > before):
    class Halve(keras.callbacks.Callback):
        before = float("inf")

        def on_epoch_end(self, epoch, logs=None):
            rate = self.model.optimizer.learning_rate
            if worse(logs["val_loss"], self.before):
                rate.assign(rate * factor)
            self.before = logs["val_loss"]

    return Halve


def test_the_callback_halves_the_rate_only_after_a_worse_epoch():
    assert exercises.is_right("09-callback", halving())
    assert not exercises.is_right("09-callback", halving(0.7))
    assert not exercises.is_right("09-callback", halving(worse=lambda now, before: now < before))
    assert not exercises.is_right("09-callback", keras.callbacks.Callback)


def focal(exponent=2, over_all=False):
    class Focal(keras.losses.Loss):
        def call(self, targets, probabilities):
            targets = ops.reshape(ops.cast(targets, "int32"), (-1,))
            p = ops.take_along_axis(probabilities, ops.maximum(targets, 0)[:, None], axis=1)[:, 0]
            known = ops.cast(targets >= 0, p.dtype)
            loss = ops.sum(-((1 - p) ** exponent) * ops.log(p) * known)
            return loss / (len(targets) if over_all else ops.sum(known))

    class Own(Idea):
        def loss(self, task, loss, counts):
            return Focal()

    return Own()


def test_the_focal_loss_is_a_mean_over_the_labelled_images():
    assert exercises.is_right("09-idea", focal())
    assert not exercises.is_right("09-idea", focal(exponent=0))
    assert not exercises.is_right("09-idea", focal(over_all=True))
    assert not exercises.is_right("09-idea", Idea())


@pytest.mark.parametrize(
    "changes, right",
    [
        ({}, True),
        ({"freeze_backbone": True}, False),
        ({"learning_rate": 1e-3}, False),
        ({"epochs": 50}, False),
        ({"image_size": (100, 100)}, False),
    ],
)
def test_the_sixth_stage_trains_all_layers_slowly(changes, right):
    published = find_recipe("published-attributes")
    sixth = {"freeze_backbone": False, "learning_rate": 1e-4, "epochs": 10} | changes
    stages = (*published.stages, published.stages[-1].replace(**sixth))
    answer = published.replace(stages=stages)
    assert exercises.is_right("09-stage", answer, published) == right
    assert not exercises.is_right("09-stage", answer.replace(seed=1), published)
    assert not exercises.is_right("09-stage", published.replace(stages=stages[1:]), published)
