"""What 08_deploy_and_predict accepts as an answer, and the hints."""

from helpers.workshop import Exercise

EXERCISES: dict[str, Exercise] = {
    "08-limit": Exercise(
        4 * 1024 * 1024 // (60_000 // 3 * 4),
        "how many letters does one file become? A part of a file does not fit.",
    ),
    "08-precision": Exercise(
        lambda answer, by_class: by_class["precision"][answer] == by_class["precision"].min(),
        "by_class['precision'].idxmin() leaves out what is nan.",
    ),
    "08-status": Exercise(
        lambda answer: int(answer) == 413,
        "4xx is the sender's mistake; which of them says that a body is too large?",
    ),
}
