"""Each metric against scikit-learn, scipy or a count by hand, with missing labels in between."""

import math
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk

from helpers import scores as metrics
from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest

CLASSES = ("red", "green", "blue", "other", "never")


def predictions(rows=400, classes=4, seed=0, missing=0.2, skill=1.5):
    """Random targets with missing ones, and probabilities that know something of them."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, rows)
    logits = random.normal(size=(rows, classes))
    logits[np.arange(rows), targets] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets[random.random(rows) < missing] = -1
    return targets, probabilities


def one_hot(answers, classes, confidence=1.0):
    rest = (1 - confidence) / (classes - 1)
    probabilities = np.full((len(answers), classes), rest)
    probabilities[np.arange(len(answers)), answers] = confidence
    return probabilities


def test_score_task_equals_scikit_learn_on_the_labelled_rows():
    targets, probabilities = predictions()
    known = targets != -1
    truth, guess = targets[known], probabilities[known].argmax(axis=1)

    score = metrics.score_task(targets, probabilities, CLASSES[:4])

    assert score.labelled == known.sum() < len(targets)
    assert score.accuracy == pytest.approx(sk.accuracy_score(truth, guess))
    assert score.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(truth, guess))
    assert score.macro_f1 == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    ranks = np.argsort(-probabilities[known], axis=1)
    assert score.top2 == pytest.approx((ranks[:, :2] == truth[:, None]).any(axis=1).mean())
    assert score.top3 == pytest.approx((ranks[:, :3] == truth[:, None]).any(axis=1).mean())
    share = np.bincount(truth).max() / len(truth)
    assert score.largest_class == CLASSES[np.bincount(truth).argmax()]
    assert score.majority_baseline == pytest.approx(share)
    assert score.lift == pytest.approx(score.accuracy - share)
    assert score.accuracy_low < score.accuracy < score.accuracy_high
    assert score.lift_low < score.lift < score.lift_high


def test_rows_without_a_label_change_nothing():
    targets, probabilities = predictions(missing=0)
    noise = np.random.default_rng(1).dirichlet(np.ones(4), 50)
    more_targets = np.concatenate([targets, np.full(50, -1)])
    more = np.concatenate([probabilities, noise])

    alone = metrics.score_task(targets, probabilities, CLASSES[:4])

    assert metrics.score_task(more_targets, more, CLASSES[:4]) == alone
    args = (more_targets, more)
    assert metrics.fit_temperature(*args) == metrics.fit_temperature(targets, probabilities)
    assert metrics.per_class(*args, CLASSES[:4]).support.sum() == 400


def test_a_class_without_labels_is_left_out_of_balanced_accuracy_without_a_warning():
    targets = np.array([0, 0, 1, 1, -1])
    probabilities = one_hot([0, 4, 1, 1, 0], 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = metrics.score_task(targets, probabilities, CLASSES)
        table = metrics.per_class(targets, probabilities, CLASSES)
    assert score.accuracy == 0.75
    assert score.balanced_accuracy == 0.75  # (1/2 + 2/2) / 2
    assert score.macro_f1 == pytest.approx((2 / 3 + 1 + 0) / 3)  # red, green, never
    assert table.loc["red"].tolist() == pytest.approx([1.0, 0.5, 2 / 3, 2])
    assert math.isnan(table.loc["never", "recall"])
    assert table.loc["never", "precision"] == 0
    assert math.isnan(table.loc["blue", "precision"])


def test_a_task_without_labels_gives_nan_everywhere():
    targets, probabilities = np.full(3, -1), one_hot([0, 1, 2], 4)
    score = metrics.score_task(targets, probabilities, CLASSES[:4])
    assert score.labelled == 0
    assert math.isnan(score.accuracy) and math.isnan(score.lift_low)
    assert math.isnan(metrics.expected_calibration_error(targets, probabilities))
    assert metrics.fit_temperature(targets, probabilities) == 1.0
    assert metrics.likely_label_errors(targets, probabilities, CLASSES[:4]).empty
    assert metrics.per_class(targets, probabilities, CLASSES[:4]).support.tolist() == [0] * 4


def test_a_network_that_always_answers_the_largest_class_has_no_lift():
    targets = np.array([0] * 70 + [1] * 30)
    score = metrics.score_task(targets, one_hot([0] * 100, 2, 0.9), ("a", "b"))
    assert score.accuracy == score.majority_baseline == 0.7
    assert score.lift == score.lift_low == score.lift_high == 0
    assert score.balanced_accuracy == 0.5
    assert score.calibration_error == pytest.approx(0.2)
    assert math.isnan(score.top2) and math.isnan(score.top3)


def test_three_classes_have_a_top2_and_no_top3():
    targets, probabilities = predictions(classes=3)
    score = metrics.score_task(targets, probabilities, CLASSES[:3])
    assert score.top2 > score.accuracy
    assert math.isnan(score.top3)


@pytest.mark.parametrize(
    ("targets", "probabilities", "message"),
    [
        ([0, 1], one_hot([0, 1, 1], 2), r"expected probabilities of shape \(2, 2\).*\(3, 2\)"),
        ([0, 1], one_hot([0, 1], 3), r"shape \(2, 2\).*found \(2, 3\)"),
        ([0, 1], np.array([0.4, 0.6]), r"found \(2,\)"),
        ([0, 2], one_hot([0, 1], 2), "found 0 to 2"),
        ([0, -2], one_hot([0, 1], 2), "found -2 to 0"),
        ([0, 1], [[2.0, -3.0], [1.0, 4.0]], "softmax outputs, not logits"),
        ([0, 1], [[math.nan, math.nan], [0.5, 0.5]], "training diverged"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(targets, probabilities, message):
    with pytest.raises(WorkshopError, match=message):
        metrics.score_task(np.array(targets), np.array(probabilities), ("a", "b"))


def test_groups_of_another_length_are_refused():
    with pytest.raises(WorkshopError, match="one group or value per row"):
        metrics.score_task(np.array([0, 1]), one_hot([0, 1], 2), ("a", "b"), np.array(["p"]))


def test_interval_of_ungrouped_rows_equals_that_of_scipy():
    targets, probabilities = predictions(rows=300)
    known = targets != -1
    correct = (probabilities.argmax(axis=1) == targets)[known].astype(float)
    peer = stats.bootstrap(
        (correct,), np.mean, n_resamples=5000, method="percentile", random_state=1
    ).confidence_interval
    score = metrics.score_task(targets, probabilities, CLASSES[:4], bootstraps=5000)
    assert score.accuracy_low == pytest.approx(peer.low, abs=0.008)
    assert score.accuracy_high == pytest.approx(peer.high, abs=0.008)


def grouped(people=60, seed=0):
    """People with 1 to 12 images that are mostly right together or wrong together."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 13, people)
    groups = np.repeat([f"person-{number}" for number in range(people)], sizes)
    easy = np.repeat(random.random(people) < 0.7, sizes)
    targets = np.repeat(random.integers(0, 2, people), sizes)
    right = random.random(len(groups)) < np.where(easy, 0.97, 0.1)
    return targets, one_hot(np.where(right, targets, 1 - targets), 2, 0.8), groups


def test_interval_over_groups_equals_a_bootstrap_in_plain_loops():
    targets, probabilities, groups = grouped()
    correct = probabilities.argmax(axis=1) == targets
    largest = targets == np.bincount(targets).argmax()
    random = np.random.default_rng(5)
    rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    accuracies, lifts = [], []
    for _ in range(2000):
        drawn = np.concatenate([rows[i] for i in random.integers(0, len(rows), len(rows))])
        accuracies.append(correct[drawn].mean())
        lifts.append(accuracies[-1] - largest[drawn].mean())

    score = metrics.score_task(targets, probabilities, ("a", "b"), groups, bootstraps=2000)

    wanted = np.quantile(accuracies, [0.025, 0.975])
    assert [score.accuracy_low, score.accuracy_high] == pytest.approx(wanted, abs=0.02)
    wanted = np.quantile(lifts, [0.025, 0.975])
    assert [score.lift_low, score.lift_high] == pytest.approx(wanted, abs=0.035)


def test_interval_over_groups_is_wider_than_over_rows():
    targets, probabilities, groups = grouped()
    by_group = metrics.score_task(targets, probabilities, ("a", "b"), groups)
    by_row = metrics.score_task(targets, probabilities, ("a", "b"))
    width = by_group.accuracy_high - by_group.accuracy_low
    assert width > 1.5 * (by_row.accuracy_high - by_row.accuracy_low)


def test_a_single_group_has_no_interval():
    score = metrics.score_task(np.array([0, 1]), one_hot([0, 0], 2), ("a", "b"), np.zeros(2))
    assert score.accuracy == 0.5
    assert math.isnan(score.accuracy_low) and math.isnan(score.lift_high)


def test_a_thousand_bootstraps_of_5000_rows_are_quick():
    targets, probabilities = predictions(rows=5000, classes=4, missing=0)
    groups = np.arange(5000) // 3
    metrics.score_task(targets[:9], probabilities[:9], CLASSES[:4])
    start = time.process_time()
    metrics.score_task(targets, probabilities, CLASSES[:4], groups, bootstraps=1000)
    assert time.process_time() - start < 0.2


def test_calibration_error_counted_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.97, 0.03], [0.55, 0.45], [0.3, 0.7], [0.6, 0.4]])
    targets = np.array([0, 1, 0, -1, 1])
    # of 15 bins, .55 lies in (.533, .6] with .6, and .95 and .97 in (.933, 1]
    error = metrics.expected_calibration_error(targets, probabilities)
    assert error == pytest.approx((0.075 + 0.46) / 2)


def test_temperature_recovers_what_sharpened_the_probabilities():
    random = np.random.default_rng(3)
    honest = random.dirichlet(np.ones(4), 6000)
    targets = np.array([random.choice(4, p=row) for row in honest])
    sharp = honest**2.5 / (honest**2.5).sum(axis=1, keepdims=True)

    temperature = metrics.fit_temperature(targets, sharp)
    cooled = metrics.apply_temperature(sharp, temperature)

    assert temperature == pytest.approx(2.5, rel=0.08)
    assert cooled.sum(axis=1) == pytest.approx(np.ones(6000))
    assert (cooled.argmax(axis=1) == sharp.argmax(axis=1)).all()
    before = metrics.expected_calibration_error(targets, sharp)
    assert metrics.expected_calibration_error(targets, cooled) < before / 3
    losses = [
        sk.log_loss(targets, metrics.apply_temperature(sharp, temperature * factor))
        for factor in (0.9, 1, 1.1)
    ]
    assert losses[1] == min(losses)


def test_temperature_stands_probabilities_of_zero_and_refuses_zero_degrees():
    probabilities = one_hot([0, 1, 0], 2)
    assert np.isfinite(metrics.fit_temperature(np.array([0, 1, 1]), probabilities))
    with pytest.raises(WorkshopError, match="above 0"):
        metrics.apply_temperature(probabilities, 0)


def test_likely_label_errors_finds_the_labels_that_were_swapped():
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 600)
    probabilities = one_hot(truth, 4, 0.85) * random.uniform(0.9, 1.1, (600, 4))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    targets = truth.copy()
    swapped = random.choice(600, 30, replace=False)
    targets[swapped] = (targets[swapped] + 1) % 4
    targets[:20][~np.isin(np.arange(20), swapped)] = -1

    errors = metrics.likely_label_errors(targets, probabilities, CLASSES[:4])

    found = errors.row.to_numpy()
    # All that is listed was swapped, and nearly all that was swapped is listed.
    assert set(found) <= set(swapped)
    assert len(found) > 10
    assert errors.self_confidence.is_monotonic_increasing
    assert (errors.margin > 0).all()
    assert [CLASSES[label] for label in truth[found]] == errors.suggested.tolist()
    assert [CLASSES[label] for label in targets[found]] == errors.given.tolist()


def test_class_thresholds_of_confident_learning_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.4, 0.6], [0.45, 0.55]])
    targets = np.array([0, 0, 1, 1, 0])
    # Class 0: (0.9 + 0.5 + 0.45) / 3 = 0.617; class 1: (0.8 + 0.6) / 2 = 0.7.
    errors = metrics.likely_label_errors(targets, probabilities, ("a", "b"))
    assert errors.empty  # 0.55 is below 0.7: not sure enough to call the label wrong
    probabilities[4] = [0.15, 0.85]
    errors = metrics.likely_label_errors(targets, probabilities, ("a", "b"))
    assert errors.to_dict("records") == [
        {
            "row": 4,
            "given": "a",
            "suggested": "b",
            "self_confidence": 0.15,
            "margin": pytest.approx(0.7),
        }
    ]


def manifest_of(columns, tasks, tmp_path):
    return Manifest(pd.DataFrame(columns), Labels(tasks), tmp_path, None)


def test_score_manifest_has_a_row_per_task_in_order(tmp_path):
    columns = {
        "image_path": ["1.jpg", "2.jpg", "3.jpg", "4.jpg"],
        "color": ["red", "", "blue", "green"],
        "size": ["big", "small", "big", ""],
        "group": ["p", "p", "q", "r"],
    }
    tasks = {"size": ("small", "big"), "color": CLASSES[:4]}
    manifest = manifest_of(columns, tasks, tmp_path)
    probabilities = {"color": one_hot([0, 0, 2, 2], 4), "size": one_hot([1, 0, 0, 0], 2)}

    scores = metrics.score_manifest(manifest, probabilities)

    assert scores.index.tolist() == ["size", "color"]
    assert scores.accuracy.tolist() == pytest.approx([2 / 3, 2 / 3])
    assert scores.labelled.tolist() == [3, 3]
    assert scores.columns[:4].tolist() == ["labelled", "accuracy", "accuracy_low", "accuracy_high"]
    with pytest.raises(WorkshopError, match=r"found none for size.*select"):
        metrics.score_manifest(manifest, {"color": probabilities["color"]})
    with pytest.raises(WorkshopError, match=r"task color: expected probabilities"):
        metrics.score_manifest(manifest, probabilities | {"color": one_hot([0], 4)})


def test_score_lines_are_aligned_and_have_top_k_from_four_classes_on():
    scores = pd.DataFrame(
        {
            "labelled": [100, 100, 0, 100],
            "accuracy": [0.9531, 0.793, math.nan, 1.0],
            "top2": [math.nan, 0.901, math.nan, 1.0],
            "top3": [math.nan, 0.948, math.nan, math.nan],
        },
        index=["gender", "top_color", "age", "carryingbag"],
    )
    assert metrics.score_lines(scores) == [
        "  gender       accuracy .953",
        "  top_color    top-1 .793  top-2 .901  top-3 .948",
        "  age          no labels",
        "  carryingbag  accuracy 1.00",
    ]
