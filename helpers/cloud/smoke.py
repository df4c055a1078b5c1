"""The smallest real run: a job, an endpoint, a request, and the clean-up, for about five cents.

    python -m helpers.cloud.smoke

Writes minutes and dollars of each step, with the date, to artifacts/full/cloud/smoke-DATE.json. The
clean-up deletes all that is yours in the account, so nothing may be there before.
"""

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from helpers.cloud.cleanup import delete_all, list_all
from helpers.cloud.client import EndpointClient
from helpers.cloud.job import PRICES, plan_job, start_job
from helpers.cloud.script.shards import write_shards
from helpers.cloud.session import CloudSession, open_session, quiet_sdk
from helpers.cloud.source import SCRIPTS, upload_folder
from helpers.common import artifacts_folder, expected, read_json, run_command, write_json
from helpers.manifest import Labels, Manifest
from helpers.predict import archive_folder

FLAGS = {"epochs": 1, "image-size": "32x32", "batch-size": 16, "no-check": True}
LABELS = Labels({"light": ("dark", "bright")})
MACHINE = "ml.m5.large"  # of the endpoint


def serve(session: CloudSession, archive: Path, name: str) -> EndpointClient:
    """Puts an archive, of a folder of its own, behind an endpoint; waits until it answers."""
    quiet_sdk()
    from sagemaker.core import image_uris

    for kind in ("model", "endpoint config", "endpoint"):
        session.note(kind, name)
    session.note("log", f"/aws/sagemaker/Endpoints/{name}|")
    machine = {"instance_type": MACHINE, "image_scope": "inference"}
    image = image_uris.retrieve("tensorflow", session.region, **machine)
    address = f"{upload_folder(session, archive.parent, name)}/{archive.name}"
    sagemaker, both = session.client("sagemaker"), {"EndpointConfigName": name}
    common, tags = {"ModelName": name}, {"Tags": session.tags}
    container = {"Image": image, "ModelDataUrl": address}
    role = {"ExecutionRoleArn": session.role}
    sagemaker.create_model(PrimaryContainer=container, **common, **role, **tags)
    variant = {"VariantName": "all", "InstanceType": MACHINE, "InitialInstanceCount": 1, **common}
    sagemaker.create_endpoint_config(ProductionVariants=[variant], **both, **tags)
    sagemaker.create_endpoint(EndpointName=name, **both, **tags)
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=name, WaiterConfig=session.patience)
    return EndpointClient(session, name)


def run_smoke(session: CloudSession, folder: Path) -> dict[str, Any]:
    """Runs all but the clean-up; returns what it took, in minutes and dollars, and the answer."""
    marks = [time.monotonic()]
    manifest = _drawn(folder / "images")
    write_shards(manifest, folder / "shards", 1)
    channels = {"training": upload_folder(session, folder / "shards", "smoke")}
    marks.append(time.monotonic())
    job = start_job(session, plan_job(session, FLAGS, manifest.tasks), channels).follow()
    marks.append(time.monotonic())
    (folder / "archive").mkdir()
    export, place = job.download(folder / "export"), folder / "archive" / "model"
    client = serve(session, archive_folder(export, place, SCRIPTS), session.name("smoke"))
    marks.append(time.monotonic())
    answer = client.predict_files([Path(manifest.paths[0]).read_bytes()])
    marks.append(time.monotonic())
    minutes = dict(zip(("upload", "job", "endpoint", "request"), np.diff(marks).round(1) / 60))
    said, prices = job.describe(), read_json(PRICES)["per_hour"]
    training = prices[said["ResourceConfig"]["InstanceType"]] * said["BillableTimeInSeconds"] / 3600
    serving = prices[MACHINE] * (minutes["endpoint"] + minutes["request"]) / 60
    dollars = {"job": training, "endpoint": serving}
    return {"minutes": minutes, "dollars": dollars, "answer": answer}


def _drawn(folder: Path) -> Manifest:
    folder.mkdir()
    splits = ["train"] * 4 + ["validation"] * 2
    frame = pd.DataFrame({"light": LABELS.tasks["light"] * 24, "split": splits * 8})
    frame["image_path"] = [f"{number}.png" for number in frame.index]
    pixels = np.random.default_rng(0).integers(0, 100, (len(frame), 32, 32, 3), np.uint8)
    for number, path in enumerate(frame["image_path"]):
        Image.fromarray(pixels[number] + 150 * (number % 2)).save(folder / path)
    return Manifest(frame, LABELS, folder)


def main() -> None:
    """Runs it, cleans up whatever happens, and writes the record."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with open_session() as session, tempfile.TemporaryDirectory() as folder:
        if len(there := list_all(session)):
            fix = "Delete it first: python -m helpers.cloud.cleanup."
            raise expected("nothing of yours in the account", f"{len(there)} things", fix)
        try:
            record = run_smoke(session, Path(folder))
        finally:
            left = delete_all(session)
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    record |= {"date": date, "world": session.world, "region": session.region, "left": len(left)}
    path = artifacts_folder("cloud") / f"smoke-{date}.json"
    write_json(path, record)
    print(json.dumps(record, indent=2), f"\nwritten to {path}")


if __name__ == "__main__":
    run_command(main)
