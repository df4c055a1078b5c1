"""Ideas that are measured and no part of the core, one a file: how each changes a training.

Yours is a subclass of `helpers.train.Idea`: `python -m benchmarks ablation --idea-file FILE.py`.
"""

import runpy
from importlib import import_module

from helpers.common import expected

IDEAS = {  # the module and the class, imported when a training asks for it, and TensorFlow with it
    "MixUp": "mixup.MixUp",
    "mixed features": "mixed_features.MixedFeatures",
    "focal loss": "focal.Focal",
    "logit adjustment": "logit_adjustment.LogitAdjustment",
    "balanced sampling": "rarest.Rarest",
}
DISTILLED = "distilled"  # with its teacher, a saved model, after a colon


def find_idea(name: str):
    """Returns an idea by its name, or the one that a Python file defines."""
    if not name.endswith(".py"):
        name, *arguments = name.split(":", 1)
        module, kind = (IDEAS | {DISTILLED: "distilled.Distilled"})[name].split(".")
        return getattr(import_module(f"benchmarks.ideas.{module}"), kind)(*arguments)
    defined = runpy.run_path(name, run_name="own_idea").values()
    own = [value for value in defined if getattr(value, "__module__", "") == "own_idea"]
    ideas = [value for value in own if hasattr(value, "network")]
    if len(ideas) != 1:
        raise expected("one subclass of helpers.train.Idea", len(ideas), "Define one.", name)
    return ideas[0]()
