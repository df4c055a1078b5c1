"""An archive behind an endpoint: made and waited for."""

import hashlib
import time
from pathlib import Path
from typing import Any

from helpers.cloud.checks import check_name_is_free, check_quota
from helpers.cloud.prices import describe_price, describe_serverless_price
from helpers.cloud.session import TAG, CloudSession, quiet_sdk
from helpers.common import WorkshopError, expected, progress_bar

SCRIPT = Path(__file__).with_name("inference.py")  # what goes into an archive beside the network
IMAGE_REQUESTS = Path(__file__).with_name("image_requests.py")  # what a request may be
SCRIPTS = (SCRIPT, IMAGE_REQUESTS)
IMAGE = {"framework": "tensorflow", "version": "2.20.0"}
INSTANCE = "ml.m5.large"  # 2 cores, 8 GB
POLL_SECONDS = {"rehearsal": 0.3, "aws": 10}  # between two looks


def upload_archive(session: CloudSession, archive: Path) -> str:
    """Sends an archive to S3 under a name made of its content; returns its address."""
    data = Path(archive).read_bytes()
    place = session.uri("models", hashlib.sha256(data).hexdigest()[:16])
    session.note("s3 prefix", place)
    bucket, _, key = f"{place}/model.tar.gz".removeprefix("s3://").partition("/")
    s3 = session.client("s3")
    if not s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"]:
        with progress_bar(total=len(data), unit="B", unit_scale=True, desc="sending") as bar:
            s3.upload_file(str(archive), bucket, key, Callback=bar.update)
    return f"{place}/model.tar.gz"


def deploy(
    session: CloudSession,
    archive: Path,
    name: str,
    *,
    serverless: bool = False,
    asynchronous: bool = False,
    instance_type: str = INSTANCE,
) -> str:
    """Puts an archive behind an endpoint and waits until it answers.

    A `serverless` one has no machine of its own: it costs nothing while it is idle, and the first
    answer after a pause takes long. Requests and answers of an `asynchronous` one lie in S3, and
    may be large and slow. Returns its kind: "real-time", "serverless" or "asynchronous".

    Raises:
        WorkshopError: the name is taken, the quota is too small, or the endpoint did not start.
    """
    if serverless and asynchronous:
        raise expected("serverless or asynchronous", "both", "Choose one.")
    check_name_is_free(session, name)
    if serverless:
        print(describe_serverless_price(session))
    else:
        check_quota(session, instance_type, "endpoint usage")
        print(describe_price(session, instance_type, what="endpoint"))
    kind = "serverless" if serverless else "asynchronous" if asynchronous else "real-time"
    _create(session, upload_archive(session, archive), name, kind, instance_type)
    _wait(session, name)
    return kind


def _create(session: CloudSession, uri: str, name: str, kind: str, instance_type: str) -> None:
    quiet_sdk()
    from sagemaker.core import image_uris

    machine = {"region": session.region, "instance_type": instance_type}
    image = image_uris.retrieve(**IMAGE, **machine, image_scope="inference")
    for what in ("model", "endpoint config", "endpoint"):
        session.note(what, name)
    session.note("log", f"/aws/sagemaker/Endpoints/{name}|")
    sagemaker = session.client("sagemaker")
    model = {"ExecutionRoleArn": session.role, "Tags": [TAG]}
    model["PrimaryContainer"] = {"Image": image, "ModelDataUrl": uri}
    sagemaker.create_model(ModelName=name, **model)
    variant = {"VariantName": "AllTraffic", "ModelName": name}
    config: dict[str, Any] = {"ProductionVariants": [variant], "Tags": [TAG]}
    if kind == "serverless":  # TensorFlow takes about 1 GB
        variant["ServerlessConfig"] = {"MemorySizeInMB": 3072, "MaxConcurrency": 2}
    else:
        variant |= {"InitialInstanceCount": 1, "InstanceType": instance_type}
    if kind == "asynchronous":
        place = session.uri("answers", name)
        session.note("s3 prefix", place)
        output = {"S3OutputPath": place, "S3FailurePath": place}
        config["AsyncInferenceConfig"] = {"OutputConfig": output}
    sagemaker.create_endpoint_config(EndpointConfigName=name, **config)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=[TAG])


def _wait(session: CloudSession, name: str) -> None:
    began = time.monotonic()
    with progress_bar(bar_format="{desc}", total=0) as bar:
        while True:
            said = session.client("sagemaker").describe_endpoint(EndpointName=name)
            status = said["EndpointStatus"]
            bar.set_description_str(f"{name}: {status}, {time.monotonic() - began:.0f} s")
            if status not in ("Creating", "Updating", "SystemUpdating"):
                break
            time.sleep(POLL_SECONDS[session.world])
    if status != "InService":
        raise WorkshopError(
            f"expected the endpoint {name} to start, found it {status}: "
            f"{said.get('FailureReason', 'no reason was given')} Look at the archive, delete the "
            "endpoint with helpers.cloud.cleanup.delete_all(session), and deploy again."
        )
    print(f"{name} is in service after {time.monotonic() - began:.0f} s")
