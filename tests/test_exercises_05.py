import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from helpers.workshop import exercises

PEOPLE = np.repeat(np.arange(40), 6)
POOL = np.arange(len(PEOPLE))
AGE = np.array(["young", "old"])[(PEOPLE % 4 == 0).astype(int)]


def test_measure_counts_images():
    def leaked(train, validation):
        return np.isin(validation, train).mean()

    assert exercises.is_right("05-measure", leaked)
    of_people = lambda train, validation: np.isin(np.unique(validation), train).mean()  # noqa: E731
    assert not exercises.is_right("05-measure", of_people)
    assert not exercises.is_right("05-measure", lambda train, validation: leaked(validation, train))
    assert not exercises.is_right("05-measure", 0.5)


def test_oversample_wants_copies_on_both_sides():
    rare = POOL[:20]
    answer = train_test_split(np.concatenate([POOL, rare]), test_size=0.3, random_state=0)
    assert exercises.is_right("05-oversample", answer, POOL, rare)
    train, validation = train_test_split(POOL, test_size=0.3, random_state=0)
    assert not exercises.is_right("05-oversample", (train, validation), POOL, rare)
    fixed = np.concatenate([train, np.intersect1d(train, rare)]), validation
    assert not exercises.is_right("05-oversample", fixed, POOL, rare)


@pytest.mark.parametrize("leaky", ["first", "second"])
def test_find_names_the_split_with_people_on_both_sides(leaky: str):
    splits = {"first": (POOL[:120], POOL[120:]), "second": (POOL[:120], POOL[120:])}
    splits[leaky] = POOL[::2], POOL[1::2]
    other = "second" if leaky == "first" else "first"
    assert exercises.is_right("05-find", leaky, *splits.values(), PEOPLE)
    assert not exercises.is_right("05-find", other, *splits.values(), PEOPLE)


def test_fix_wants_people_apart_and_ages_even():
    train, validation = next(StratifiedGroupKFold(4).split(POOL, AGE, PEOPLE))
    assert exercises.is_right("05-fix", (train, validation), POOL, PEOPLE, AGE)
    at_random = train_test_split(POOL, test_size=0.25, random_state=0)
    assert not exercises.is_right("05-fix", at_random, POOL, PEOPLE, AGE)
    uneven = np.isin(PEOPLE, np.arange(0, 40, 4))
    assert not exercises.is_right("05-fix", (POOL[~uneven], POOL[uneven]), POOL, PEOPLE, AGE)
    assert not exercises.is_right("05-fix", (train, validation[1:]), POOL, PEOPLE, AGE)
