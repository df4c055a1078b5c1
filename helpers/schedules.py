"""Learning rates as a function of the step."""

import math

from helpers.model import keras
from helpers.recipe import Stage

WARM_UP_SHARE = 0.3  # of all steps, in a one-cycle schedule (fastai's default)
START_DIVISOR = 25.0  # the first rate is the highest divided by this (fastai's default)
END_DIVISOR = 1e4  # and the last rate by this


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Up to the highest rate and down to almost nothing, both along a cosine.

    Source: Smith & Topin 2018, "Super-convergence", in the form that fastai gave it.

    Args:
        highest: the highest rate.
        steps: length of the whole cycle.
    """

    def __init__(self, highest: float, steps: int):
        self.highest, self.steps = highest, steps

    def __call__(self, step):
        """Returns the rate of a step, counted from 0."""
        ops = keras.ops
        step = ops.cast(step, "float32")
        top = WARM_UP_SHARE * self.steps
        up = ops.clip(step / top, 0.0, 1.0)
        down = ops.clip((step - top) / max(self.steps - top, 1.0), 0.0, 1.0)
        rise = _cosine(self.highest / START_DIVISOR, self.highest, up)
        return ops.where(step < top, rise, _cosine(self.highest, self.highest / END_DIVISOR, down))

    def get_config(self) -> dict:
        """Returns what rebuilds the schedule."""
        return {"highest": self.highest, "steps": self.steps}


def _cosine(start: float, end: float, share):
    return end + (start - end) * (1 + keras.ops.cos(math.pi * share)) / 2


def learning_rate(stage: Stage, steps: int):
    """Returns what an optimizer takes as its rate for a stage of `steps` steps in all."""
    if stage.schedule == "one-cycle":
        return OneCycle(stage.learning_rate, steps)
    if stage.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(stage.learning_rate, steps)
    return stage.learning_rate  # "plateau" is lowered after an epoch, see helpers.training
