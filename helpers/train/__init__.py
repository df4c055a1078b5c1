"""A `Manifest` and a `Recipe` become a `Run`: a folder with a model for every epoch."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "flags": ["recipe_from"],
        "idea": ["Idea"],
        "loop": [
            "BatchLog",
            "ENDLESS",
            "EpochRecorder",
            "State",
            "build_optimizer",
            "build_stage_model",
            "compile_model",
            "losses_of",
            "open_or_create",
            "predict_manifest",
            "seed_dropout",
            "single_task_twins",
            "start_from_before",
            "trace_once",
            "train",
        ],
        "rate_range": ["proposed_rate"],
        "recipe": ["PUBLISHED", "RECIPES", "Recipe", "Stage"],
        "recipes": [
            "PUBLISHED_ATTRIBUTES",
            "change",
            "find_recipe",
            "in_minutes",
            "scaled",
            "shares_of_work",
        ],
        "runs": ["Run", "check_labels", "open_run"],
        "schedules": ["Clock", "OneCycle", "PLANNED_STEPS", "learning_rate"],
    },
)
