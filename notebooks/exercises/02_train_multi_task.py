"""What 02_train_multi_task accepts as an answer, and the hints."""

from helpers.workshop import Exercise

EXERCISES: dict[str, Exercise] = {
    "02-head": Exercise(
        lambda answer, model: answer == model.get_layer("top_color").count_params(),
        "a dense layer has a weight for each pair of unit and class. What else does it have?",
    ),
    "02-loss": Exercise(
        "nothing", "what does guessing cost? It is log(classes) for each task; add the three."
    ),
    "02-epoch": Exercise(
        lambda answer, log: (
            log.val_gender_accuracy[log.epoch == answer].eq(log.val_gender_accuracy.max()).any()
        ),
        "the column val_gender_accuracy; its idxmax() names a row, and that row has an epoch.",
    ),
}
