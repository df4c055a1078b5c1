"""What 12_detect_and_describe accepts as an answer, and the hints."""

from helpers.workshop import Exercise

EXERCISES: dict[str, Exercise] = {
    "12-strict": Exercise(
        lambda answer, found: answer == sum(person.score >= 0.9 for person in found.people),
        "go through found.people and look at the score of each.",
    ),
    "12-batch": Exercise(24, "a batch that is not full is padded; how many does a batch hold?"),
}
