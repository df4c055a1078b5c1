"""What 00_start_here accepts as an answer, and the hints."""

from helpers.workshop import Exercise

EXERCISES: dict[str, Exercise] = {
    "00-outputs": Exercise(
        3 + 12 + 12, "every class of every task gets a probability of its own. Add the classes up."
    ),
}
