"""What 00_start_here accepts as an answer, and the hints."""

from typing import Any

from helpers.workshop import Exercise


def _manifest(answer: Any) -> bool:
    columns = {"image_path", "group", "kind", "color"}
    four = len(answer) == 4 and answer["image_path"].nunique() == 4
    pairs = sorted(answer["group"].value_counts()) == [2, 2]
    kinds = set(answer["kind"]) == {"sneaker", "boot"}
    one_missing = (answer["color"] == "").sum() == 1
    return set(answer.columns) == columns and four and pairs and kinds and one_missing


EXERCISES: dict[str, Exercise] = {
    "00-outputs": Exercise(
        3 + 12 + 12,
        "every class of every task gets a probability of its own; male, female and unknown are "
        "`len(['male', 'female', 'unknown'])` of them. Add the classes up.",
    ),
    "00-manifest": Exercise(
        _manifest,
        "four columns: image_path, group, kind, color. The two shoes of a pair share a group; the "
        "missing color is an empty text, `''`.",
    ),
}
