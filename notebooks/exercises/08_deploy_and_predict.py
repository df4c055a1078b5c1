"""What 08_deploy_and_predict accepts as an answer, and the hints."""

from typing import Any

import numpy as np

from helpers.workshop import Exercise


def _serverless(answer: Any) -> bool:
    (variant,) = answer["ProductionVariants"]
    name = answer["EndpointConfigName"]
    return (
        variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 2}
        and not {"InstanceType", "InitialInstanceCount"} & set(variant)
        and name == f"{variant['ModelName']}-serverless"
        and len(variant["VariantName"]) > 0
        and len(answer["Tags"]) > 0
    )


def _scaling(answer: Any, name: str) -> bool:
    return answer == {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 1,
        "MaxCapacity": 3,
    }


def _precision(answer: Any, result: Any) -> bool:
    wanted = {
        name: np.mean([sign == name for sign in result["sign"][result["predicted"] == name]])
        for name in set(result["predicted"])
    }
    return set(answer.index) == set(wanted) and all(
        np.isclose(value, wanted[name]) for name, value in answer.items()
    )


EXERCISES: dict[str, Exercise] = {
    "08-serverless": Exercise(
        _serverless,
        "`answer['ProductionVariants']` is a list with one variant. A serverless one has neither "
        "InstanceType nor InitialInstanceCount; it has a ServerlessConfig with two numbers.",
    ),
    "08-scaling": Exercise(
        _scaling,
        "five arguments. The resource is endpoint/<its name>/variant/<the variant's name>; what "
        "grows is the variant's DesiredInstanceCount. Compare with `answer['ResourceId']`.",
    ),
    "08-precision": Exercise(
        _precision,
        "recall groups by the label. Which column do you group by if you ask about predictions? "
        "`result.columns` has the names.",
    ),
}
