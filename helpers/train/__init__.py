"""A `Manifest` and a `Recipe` become a `Run`: a folder with a model for every epoch."""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.train.callbacks import seed_dropout
    from helpers.train.flags import (
        EXPORT_SECONDS,
        RUN,
        build_parser,
        read_and_check,
        recipe_from,
        where,
    )
    from helpers.train.loop import open_or_create, stage_plan, start_from_before, train
    from helpers.train.recipe import PUBLISHED, Recipe, Stage, change, find_recipe, in_minutes
    from helpers.train.runs import Run, check_folder, check_labels, open_run
    from helpers.train.schedules import PLANNED_STEPS, Clock, OneCycle, learning_rate
    from helpers.train.stages import (
        Idea,
        build_stage_model,
        compile_model,
        predict_manifest,
        stage_batches,
        trace_once,
    )
    from helpers.train.state import State

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
