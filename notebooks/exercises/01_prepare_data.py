"""What 01_prepare_data accepts as an answer, and the hints."""

from typing import Any

from helpers.workshop import Exercise, near


def _majority(manifest: Any, task: str) -> float:
    names = manifest.frame[task]
    return names[names != ""].value_counts(normalize=True).max()


def _disagreement(answer: Any, manifest: Any) -> bool:
    known = manifest.frame["top_color"] != ""
    colors = manifest.frame["top_color"][known].groupby(manifest.groups[known])
    return answer == (colors.nunique() > 1).sum()


def _halves(answer: Any) -> bool:
    train, test = answer.subset("train"), answer.subset("test")
    whole = len(train) + len(test) == len(answer)
    even = abs(len(train) / len(answer) - 0.5) < 0.08  # people are not cut in two
    return whole and even and not set(train.groups) & set(test.groups)


def _signs(answer: Any) -> bool:
    changes = (answer.shift, answer.zoom, answer.rotation, answer.brightness, answer.contrast)
    return answer.flip == 0 and any(changes) and answer.rotation <= 20 and answer.tint <= 0.2


EXERCISES: dict[str, Exercise] = {
    "01-largest-class": Exercise(
        lambda answer, manifest: near(answer, _majority(manifest, "age")),
        "a fraction between 0 and 1: the images of the largest class among those with a label.",
    ),
    "01-disagreement": Exercise(
        _disagreement,
        "leave the empty cells out, then count the different labels within each group.",
    ),
    "01-halves": Exercise(
        _halves,
        "split_by_group takes a dict of fractions; name the two sides that you want and no other.",
    ),
    "01-signs": Exercise(
        _signs,
        "what does a mirror, a quarter turn or another color make of a sign? Some change is fine.",
    ),
}
