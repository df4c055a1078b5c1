"""What 08's exercises take and refuse."""

import pandas as pd
import pytest

from helpers.workshop import exercises

CONFIG = {"MemorySizeInMB": 3072, "MaxConcurrency": 2}


def config(**changes):
    variant = {"VariantName": "AllTraffic", "ModelName": "signs", "ServerlessConfig": CONFIG}
    return {
        "EndpointConfigName": "signs-serverless",
        "ProductionVariants": [variant | changes],
        "Tags": [{"Key": "workshop", "Value": "x"}],
    }


def test_a_serverless_configuration_has_no_machine():
    assert exercises.is_right("08-serverless", config())
    assert not exercises.is_right("08-serverless", config(InstanceType="ml.m5.large"))
    assert not exercises.is_right("08-serverless", config(ServerlessConfig={"MaxConcurrency": 2}))
    assert not exercises.is_right("08-serverless", config() | {"Tags": []})
    assert not exercises.is_right("08-serverless", config() | {"EndpointConfigName": "signs"})


@pytest.mark.parametrize(
    ("change", "right"),
    [({}, True), ({"MaxCapacity": 4}, False), ({"ResourceId": "endpoint/signs"}, False)],
)
def test_a_scalable_target_names_variant_and_limits(change, right):
    answer = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/signs/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 1,
        "MaxCapacity": 3,
    }
    assert exercises.is_right("08-scaling", answer | change, "signs") is right


def test_precision_groups_by_the_prediction():
    result = pd.DataFrame(
        {"sign": ["stop", "stop", "yield"], "predicted": ["stop", "yield", "yield"]}
    )
    result["right"] = result["sign"] == result["predicted"]
    precision = result.groupby("predicted")["right"].mean()
    assert exercises.is_right("08-precision", precision, result)
    assert not exercises.is_right("08-precision", result.groupby("sign")["right"].mean(), result)
    assert not exercises.is_right("08-precision", precision[:1], result)
