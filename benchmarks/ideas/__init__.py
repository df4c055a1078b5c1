"""Ideas that are measured and no part of the core, one a file: how each changes a training.

Write your own as a subclass of `helpers.train.Idea` in a file of yours, and compare it with
`python -m benchmarks ablation --idea-file FILE.py`.
"""

import runpy
from importlib import import_module
from typing import TYPE_CHECKING

from helpers.common import expected

if TYPE_CHECKING:
    from helpers.train import Idea

# Where each stands: only what a training needs is imported, and TensorFlow with it.
IDEAS = {
    "balanced gradients": "balanced_gradients.BalancedGradients",
    "MixUp": "mixup.MixUp",
    "CutMix": "cutmix.CutMix",
    "group normalization": "group_normalization.GroupNormalized",
    "focal loss": "focal.Focal",
    "logit adjustment": "logit_adjustment.LogitAdjustment",
    "balanced sampling": "rarest.Rarest",
}


def find_idea(name: str) -> "Idea":
    """Returns an idea by its name in `IDEAS`, or the one that a Python file defines."""
    if not name.endswith(".py"):
        module, _, kind = IDEAS[name].partition(".")
        return getattr(import_module(f"benchmarks.ideas.{module}"), kind)()
    from helpers.train import Idea

    kinds = [value for value in runpy.run_path(name).values() if isinstance(value, type)]
    own = [kind for kind in kinds if issubclass(kind, Idea) and kind.__module__ == "<run_path>"]
    if len(own) != 1:
        raise expected("one subclass of helpers.train.Idea", len(own), "Define one.", name)
    return own[0]()
