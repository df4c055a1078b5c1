"""What 09_train_person_attributes accepts as an answer, and the hints."""

from helpers.workshop import Exercise

EXERCISES: dict[str, Exercise] = {
    "09-outputs": Exercise(
        2 + 3 + 5 + 4 + 3 + 3 + 4 + 3,
        "every class of every task has an output; hvc.TASKS holds the classes of each task.",
    ),
    "09-work": Exercise(
        4, "how many times as many pixels does a 200x200 image have as a 100x100 one?"
    ),
    "09-floor": Exercise(
        lambda answer, scores: scores["lift"][answer] == scores["lift"].min(),
        "the answer is the name of a row of scores; its column lift has an idxmin().",
    ),
}
