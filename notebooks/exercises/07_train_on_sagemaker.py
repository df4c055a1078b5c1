"""What 07_train_on_sagemaker accepts as an answer, and the hints."""

import re
from typing import Any

from helpers.workshop import Exercise, near


def _tracks(answer: Any, manifest: Any) -> bool:
    counts = manifest.frame["sign"].value_counts()
    rarest = counts.index[counts == counts.min()]  # several may be as rare
    return answer in set(manifest.frame.groupby("sign")["group"].nunique()[rarest])


def _pattern(answer: Any) -> bool:
    line = "validation sign accuracy=0.9310; test sign accuracy=0.9240;"
    found = re.search(answer, line)
    return float(found[1]) == 0.924 and re.search(answer, line.split(";")[0]) is None


EXERCISES: dict[str, Exercise] = {
    "07-tracks": Exercise(
        _tracks,
        "value_counts() of the column sign names the rarest; count the different groups of its "
        "rows with nunique().",
    ),
    "07-price": Exercise(
        lambda answer: near(answer, 4 * 0.75 * 0.204),
        "prices.price_per_hour gives the price of one machine for an hour. How many machine-hours "
        "are 4 machines in 45 minutes?",
    ),
    "07-pattern": Exercise(
        _pattern,
        "a text with the name of the metric, an equals sign, and ([0-9.]+) for the number. It must "
        "not find the validation accuracy.",
    ),
}
