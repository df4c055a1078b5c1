"""Learning rates as a function of the step, or of the clock."""

import math
import time

import numpy as np

from helpers.common import keras
from helpers.train.recipe import Stage

WARM_UP_SHARE = 0.3  # of all steps, in a one-cycle schedule (fastai's default)
START_DIVISOR = 25.0  # the first rate is the highest divided by this (fastai's default)
END_DIVISOR = 1e4  # and the last rate by this
CYCLES = 4  # of a cyclic schedule
PLANNED_STEPS = 1000  # of a schedule that follows the clock: steps so small that none is seen
RESERVED_SHARE = 0.02  # of a stage's minutes, until a validation has been timed


class _Planned(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule from a step, counted from 0, to its rate."""

    def __init__(self, highest: float, steps: int):
        self.highest, self.steps = highest, steps

    def get_config(self) -> dict:
        return {"highest": self.highest, "steps": self.steps}


class OneCycle(_Planned):
    """Up and down to almost nothing along a cosine (Smith & Topin 2018, as fastai has it)."""

    def __call__(self, step):
        """Returns the rate of a step."""
        ops, top = keras.ops, WARM_UP_SHARE * self.steps
        step = ops.cast(step, "float32")
        away = ops.where(step < top, 1 - step / top, (step - top) / max(self.steps - top, 1.0))
        height = (1 + ops.cos(math.pi * ops.clip(away, 0.0, 1.0))) / 2
        lowest = self.highest * ops.where(step < top, 1 / START_DIVISOR, 1 / END_DIVISOR)
        return lowest + (self.highest - lowest) * height


class Cyclic(_Planned):
    """Up and down along lines, each time half as high (Smith 2017, "triangular2")."""

    def __call__(self, step):
        """Returns the rate of a step."""
        ops = keras.ops
        place = ops.clip(ops.cast(step, "float32") / self.steps, 0.0, 1.0) * CYCLES
        cycle = ops.minimum(ops.floor(place), CYCLES - 1.0)
        height = (1 - ops.abs(2 * (place - cycle) - 1)) * 0.5**cycle
        lowest = self.highest / START_DIVISOR
        return lowest + (self.highest - lowest) * height


def learning_rate(stage: Stage, steps: int):
    """Returns what an optimizer takes as its rate for a stage of `steps` steps."""
    cosine = keras.optimizers.schedules.CosineDecay
    planned = {"one-cycle": OneCycle, "cyclic": Cyclic, "cosine": cosine}
    # `Clock` changes the rate of a stage with minutes, and `EpochRecorder` that of a plateau.
    if stage.minutes or stage.schedule not in planned:
        return stage.learning_rate
    return planned[stage.schedule](stage.learning_rate, steps)


class Clock(keras.callbacks.Callback):
    """Leads a stage with `minutes` through its schedule by the clock, and ends it in time.

    The stage `began` on `time.monotonic`, `used` so many seconds before an interruption, and leaves
    some `afterwards` for what follows the training.
    """

    def __init__(self, stage: Stage, began: float, used: float = 0.0, afterwards: float = 0.0):
        super().__init__()
        self._began, self._used = began, used
        self._seconds = 60 * stage.minutes - afterwards
        self._reserve = RESERVED_SHARE * self._seconds  # for the last validation
        plan = learning_rate(stage.replace(minutes=0.0), PLANNED_STEPS)
        # A "plateau" is lowered after an epoch, and "constant" stays: neither follows the clock.
        self._rates = None
        if callable(plan):
            self._rates = keras.ops.convert_to_numpy(plan(np.arange(PLANNED_STEPS + 1)))
        self._epoch_ended = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds that the stage has taken."""
        return self._used + time.monotonic() - self._began

    @property
    def share(self) -> float:
        """How much of the time for training is over: 0 to 1, and more when it is late."""
        return self.elapsed / max(self._seconds - self._reserve, 1e-3)

    def on_epoch_begin(self, epoch, logs=None):
        """Measures the validation of the epoch before."""
        if self._epoch_ended:
            self._reserve = time.monotonic() - self._epoch_ended

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the rate of this moment."""
        if self._rates is not None:
            place = min(int(self.share * PLANNED_STEPS), PLANNED_STEPS)
            self.model.optimizer.learning_rate = float(self._rates[place])

    def on_train_batch_end(self, batch, logs=None):
        """Ends the stage when the time is over."""
        if self.share >= 1:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        """Notes when validation began."""
        self._epoch_ended = time.monotonic()
