"""A `Manifest` and a `Recipe` become a `Run`: a folder with a model for every epoch."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "__main__": ["EXPORT_SECONDS", "RUN", "build_parser", "read_and_check", "where"],
        "callbacks": ["BatchLog", "EpochRecorder", "seed_dropout"],
        "flags": ["add_recipe_arguments", "recipe_from"],
        "idea": ["Idea"],
        "loop": ["ENDLESS", "open_or_create", "single_task_twins", "start_from_before", "train"],
        "rate_test": ["proposed_rate", "rate_range"],
        "recipe": ["Recipe", "Stage"],
        "recipes": [
            "PUBLISHED",
            "PUBLISHED_ATTRIBUTES",
            "RECIPES",
            "change",
            "find_recipe",
            "in_minutes",
            "scaled",
            "shares_of_work",
        ],
        "runs": ["Run", "can_go_on", "check_labels", "is_whole_run", "open_run"],
        "schedules": ["Clock", "OneCycle", "PLANNED_STEPS", "learning_rate"],
        "stages": [
            "build_optimizer",
            "build_stage_model",
            "compile_model",
            "compiled_model",
            "losses_of",
            "predict_manifest",
            "recipe_batches",
            "trace_once",
        ],
        "state": ["State"],
    },
)
