"""What 07's exercises take and refuse."""

from types import SimpleNamespace

import pytest

from helpers.workshop import exercises

CHECKPOINTS = {"s3_uri": "s3://bucket/checkpoints", "local_path": "/opt/ml/checkpoints"}


def trainer(spot=True, runtime=1200, wait=3600, epochs=8, tags=("tag",)):
    return SimpleNamespace(
        compute=SimpleNamespace(enable_managed_spot_training=spot),
        stopping_condition=SimpleNamespace(
            max_runtime_in_seconds=runtime, max_wait_time_in_seconds=wait
        ),
        hyperparameters={"epochs": epochs, "learning-rate": 0.0005},
        checkpoint_config=SimpleNamespace(**CHECKPOINTS),
        tags=list(tags),
    )


def test_a_spot_job_is_complete():
    assert exercises.is_right("07-spot", trainer())


@pytest.mark.parametrize(
    "change",
    [
        {"spot": None},
        {"wait": None},
        {"wait": 1200},
        {"runtime": 3600},
        {"epochs": 5},
        {"tags": ()},
    ],
)
def test_a_spot_job_that_lacks_something_is_not(change):
    assert not exercises.is_right("07-spot", trainer(**change))


def test_a_price_counts_billable_time_and_every_machine():
    def right(job, price):
        return job["BillableTimeInSeconds"] / 3600 * job["ResourceConfig"]["InstanceCount"] * price

    def training_time(job, price):
        return job["TrainingTimeInSeconds"] / 3600 * job["ResourceConfig"]["InstanceCount"] * price

    def one_machine(job, price):
        return job["BillableTimeInSeconds"] / 3600 * price

    assert exercises.is_right("07-price", right)
    assert not exercises.is_right("07-price", training_time)
    assert not exercises.is_right("07-price", one_machine)


def job(status="Completed", rate="0.002", names=("validation:accuracy", "train:accuracy")):
    metrics = [{"MetricName": name, "Value": 0.5} for name in names]
    said = {"TrainingJobStatus": status, "FinalMetricDataList": metrics}
    return said | {"HyperParameters": {"epochs": "2", "learning-rate": rate}}


def test_a_job_of_your_own_has_ended_well_and_differs():
    assert exercises.is_right("07-job", job())
    assert exercises.is_right("07-job", job(rate='"0.002"'))
    assert not exercises.is_right("07-job", job(status="Failed"))
    assert not exercises.is_right("07-job", job(rate="0.001"))
    assert not exercises.is_right("07-job", job(names=("validation:accuracy", "test:accuracy")))
