"""What 07_train_on_sagemaker accepts as an answer, and the hints."""

from typing import Any

from helpers.workshop import Exercise, near

LEARNING_RATE = 0.001  # of the notebook's own job


def _spot(answer: Any) -> bool:
    end = answer.stopping_condition
    flags = {name: float(value) for name, value in answer.hyperparameters.items()}
    return (
        flags == {"epochs": 8, "learning-rate": 0.0005}
        and answer.compute.enable_managed_spot_training is True
        and (end.max_runtime_in_seconds, end.max_wait_time_in_seconds) == (1200, 3600)
        and answer.checkpoint_config.s3_uri.startswith("s3://")
        and len(answer.tags) > 0
    )


def _price(answer: Any) -> bool:
    def costs(machines: int, billable: int, training: int, price: float, dollars: float) -> bool:
        resources = {"InstanceCount": machines, "InstanceType": "ml.c5.4xlarge"}
        job = {"ResourceConfig": resources, "BillableTimeInSeconds": billable}
        return near(answer(job | {"TrainingTimeInSeconds": training}, price), dollars, 1e-6)

    return costs(1, 3600, 3600, 0.8, 0.8) and costs(4, 900, 2700, 2.0, 2.0)


def _job(answer: Any) -> bool:
    metrics = {metric["MetricName"] for metric in answer["FinalMetricDataList"]}
    return (
        answer["TrainingJobStatus"] == "Completed"
        and float(str(answer["HyperParameters"]["learning-rate"]).strip('"')) != LEARNING_RATE
        and len(metrics - {"validation:accuracy", "test:accuracy"}) > 0
    )


EXERCISES: dict[str, Exercise] = {
    "07-spot": Exercise(
        _spot,
        "`answer.compute.enable_managed_spot_training` has to be True. The time with waiting, "
        "`answer.stopping_condition.max_wait_time_in_seconds`, includes the training itself. Keep "
        "the names of the flags: `answer.hyperparameters`.",
    ),
    "07-price": Exercise(
        _price,
        "seconds are not hours, and every machine is billed: see InstanceCount. Which of the two "
        "times in a description is the one that you pay for?",
    ),
    "07-job": Exercise(
        _job,
        "a job that has completed, with another learning rate and a metric with a name of its own. "
        "Look at `answer['TrainingJobStatus']`, `answer['HyperParameters']` and "
        "`answer['FinalMetricDataList']`: a pattern that finds nothing leaves no metric.",
    ),
}
