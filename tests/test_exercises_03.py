import numpy as np
import pytest

from helpers.workshop import exercises


def test_f1_is_a_function_of_the_confusion_matrix():
    def f1(counts):
        return 2 * np.diag(counts) / (counts.sum(axis=0) + counts.sum(axis=1))

    assert exercises.is_right("03-f1", f1)
    assert not exercises.is_right("03-f1", lambda counts: np.diag(counts) / counts.sum(axis=1))
    assert not exercises.is_right("03-f1", np.eye(4))


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and people: 40 people of class 1, half of whom are always found."""
    person = np.repeat(np.arange(60), 5)
    truth = (person < 40).astype(int)
    return truth, np.where(person < 20, 1, 0), person


def test_interval_draws_people_of_that_class(answers):
    truth, predicted, _ = answers
    assert exercises.is_right("03-interval", (0.35, 0.65), *answers, 1)
    over_images = 0.5 + np.array([-1, 1]) * 1.96 * np.sqrt(0.25 / 200)
    assert not exercises.is_right("03-interval", over_images, *answers, 1)
    assert not exercises.is_right("03-interval", (predicted == truth).mean(), *answers, 1)


def test_prior_is_taken_out_of_every_row_alike():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=50)
    targets = np.repeat([0, 1, 2, -1], [60, 30, 10, 40])
    fractions = np.array([0.6, 0.3, 0.1])
    for power in (0.5, 1):
        evened = probabilities / fractions**power
        normal = evened / evened.sum(axis=1, keepdims=True)
        assert exercises.is_right("03-prior", normal, probabilities, targets)
        assert not exercises.is_right("03-prior", evened, probabilities, targets)
    assert not exercises.is_right("03-prior", probabilities, probabilities, targets)
    wrong = probabilities * fractions
    wrong /= wrong.sum(axis=1, keepdims=True)
    assert not exercises.is_right("03-prior", wrong, probabilities, targets)
