"""Measures an endpoint in the rehearsal: JPEG files against pixels as JSON, and broken bodies.

    python -m benchmarks endpoint --run RUN --manifest M [--requests 10000]

The network of a run is served three times: by the workshop's archive, which takes files, and by
two without a script, which take pixels as JSON, from 0 to 255 or from 0 to 1. One client sends one
request at a time. Then one in a hundred is broken, and all answers are checked.
"""

import contextlib
import io
import itertools
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.command import markdown, shared
from helpers import common, model, predict
from helpers.cloud import SCRIPTS, CloudSession, EndpointClient, delete_all, open_session
from helpers.manifest import Manifest, read_manifest
from helpers.train import Run, open_run

FILES, PIXELS, FRACTIONS = "workshop-files", "workshop-pixels", "workshop-fractions"  # endpoints
WAYS = {  # what is sent to each endpoint, and its type
    FILES: ("JPEG", "image/jpeg"),
    PIXELS: ("pixels as JSON, 0 to 255", "application/json"),
    FRACTIONS: ("pixels as JSON, 0 to 1", "application/json"),
}
SIZES = ((32, 32), (240, 100), (480, 640))  # height, width: the network's, a person's, a camera's
SECONDS = 4.0  # of each way in a round
ROUNDS = 3
BROKEN_SHARE = 100  # one request of so many is broken
CLOSE = 2e-4  # between two computations of a probability


def encode(image: Image.Image, size: tuple[int, int]) -> dict[str, bytes]:
    """Returns the body of a request to each endpoint: an image in a size, as `WAYS` has it."""
    sized, file = image.convert("RGB").resize(size[::-1]), io.BytesIO()
    sized.save(file, "JPEG", quality=90)
    pixels = np.asarray(sized)
    return {
        FILES: file.getvalue(),
        PIXELS: json.dumps({"instances": [pixels.tolist()]}).encode(),
        FRACTIONS: json.dumps({"instances": [(pixels / np.float32(255)).tolist()]}).encode(),
    }


def compare(
    clients: dict[str, EndpointClient], images: Sequence[Image.Image], seconds: float = SECONDS
) -> pd.DataFrame:
    """Measures each size and each of `WAYS` in turn; only its kB where a request is too large."""
    calls, sizes = [], {}
    with common.progress_bar(total=len(SIZES) * ROUNDS, unit="round") as bar:
        for size in SIZES:
            bodies = [encode(image, size) for image in images]
            for number, (name, (shown, kind)) in itertools.product(range(ROUNDS), WAYS.items()):
                sent = [body[name] for body in bodies]
                key = f"{size[0]}x{size[1]}", shown
                sizes[key] = sum(map(len, sent)) / len(sent) / 1e3
                took = _seconds_of_calls(clients[name], kind, itertools.cycle(sent), seconds)
                calls += [(*key, number, second) for second in took]
                bar.update(name == FRACTIONS)
    keys = ["size", "sent as"]
    calls = pd.DataFrame(calls, columns=[*keys, "round", "s"])
    rounds = calls.groupby([*keys, "round"], sort=False)["s"].mean().rdiv(1)
    latency = 1e3 * calls.groupby(keys, sort=False)["s"].quantile([0.5, 0.99]).unstack()
    files = rounds.xs(WAYS[FILES][0], level="sent as")
    table = pd.Series(sizes, name="kB").rename_axis(keys).to_frame()
    table["requests/s"] = rounds.groupby(keys).median()
    table["p50 ms"], table["p99 ms"] = latency[0.5], latency[0.99]
    table["files: times"] = (1 / rounds.div(files)).groupby(keys).median()
    return table


def _seconds_of_calls(client: EndpointClient, kind: str, bodies, seconds: float) -> list[float]:
    """Sends again and again; returns how long each took, nothing where it is too large."""
    try:
        client.send(next(bodies), kind)  # the first one opens connections and traces, too
    except common.WorkshopError as error:
        if "(413)" not in str(error):
            raise
        return []
    took, end = [], time.perf_counter() + seconds
    while not took or time.perf_counter() < end:
        began = time.perf_counter()
        client.send(next(bodies), kind)
        took.append(time.perf_counter() - began)
    return took


def broken_bodies(file: bytes) -> list[tuple[bytes, str, int]]:
    """Returns bodies that are wrong, each with its content type and the status that it deserves."""
    return [
        (file[: len(file) // 2], "image/jpeg", 400),
        (b"", "image/jpeg", 400),
        (b"I am a text.", "image/png", 400),
        (file, "text/csv", 415),
        (b'{"instances": [', "application/json", 400),
        (b'{"instances": [{"b64": "***"}]}', "application/json", 400),
        (json.dumps({"instances": [""] * 600}).encode(), "application/json", 413),
    ]


def endure(
    client: EndpointClient, files: Sequence[bytes], predictor: Any, count: int, memory: Callable
) -> dict[str, Any]:
    """Counts what goes wrong; `predictor` is the network without a server, `memory` returns MB."""
    expected, classes = predictor.predict_bytes(files), predictor.labels.tasks
    bad, after_a_tenth = broken_bodies(files[0]), 0.0
    counts = Counter({"wrong answers": 0, "5xx": 0, "broken, not refused as it should be": 0})
    for number in common.progress_bar(iterable=range(count), unit="request"):
        if number % BROKEN_SHARE == 0:
            body, kind, status = bad[number // BROKEN_SHARE % len(bad)]
            found = _status_of(client, body, kind)
            counts["broken"] += 1
            counts["5xx"] += found >= 500
            counts["broken, not refused as it should be"] += found != status
        else:
            row = number % len(files)
            counts["good"] += 1
            try:
                answer = client.send(files[row], "image/jpeg", top=1)["predictions"][0]
                wanted = {task: values[row] for task, values in expected.items()}
                counts["wrong answers"] += not _is_right(answer, wanted, classes)
            except common.WorkshopError:
                counts["5xx"] += 1
        if number == count // 10:
            after_a_tenth = memory()
    return {**counts, "MB after a tenth": after_a_tenth, "MB at the end": memory()}


def _status_of(client: EndpointClient, body: bytes, kind: str) -> int:
    try:
        client.send(body, kind)
    except common.WorkshopError as error:
        found = re.search(r"\((\d{3})\)", str(error))
        return int(found[1]) if found else 599
    return 200


def _is_right(answer: dict, expected: dict[str, np.ndarray], classes: dict) -> bool:
    for task, values in expected.items():
        best = answer[task][0]
        own = values[classes[task].index(best["class"])]
        if not abs(best["probability"] - own) < CLOSE or values.max() - own > CLOSE:
            return False
    return True


def memory_of(session: CloudSession) -> float:
    """Returns the memory that the rehearsal's servers hold, in MB: all its processes together."""
    parents, memory = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found = dict(re.findall(r"(PPid|VmRSS):\s*(\d+)", status.read_text()))
            number = int(status.parent.name)
            parents[number], memory[number] = int(found["PPid"]), int(found.get("VmRSS", 0))
    inside = {session.rehearsal.pid}
    for _ in range(8):  # deeper than the rehearsal starts processes
        inside |= {number for number, parent in parents.items() if parent in inside}
    return sum(memory.get(number, 0) for number in inside) / 1024


def archive_of_pixels(run: Run, path: Path, white: float) -> Path:
    """Packs the network without a script: it takes pixels from 0 to `white`, of any size."""
    tf, network = common.tf, model.load_model(run.best_path)
    spec = tf.TensorSpec((None, None, None, 3), tf.float32, name="pixels")

    @partial(tf.function, input_signature=[spec])
    def answer(pixels):
        sized = tf.image.resize(pixels * (255 / white), network.input_shape[1:3])
        return network(sized, training=False)

    archive = common.keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serving_default", answer)
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(f"{folder}/{common.SAVED_MODEL}", verbose=False)
        return predict.archive_folder(Path(folder), path)


def serve(session: CloudSession, archive: Path, name: str) -> EndpointClient:
    """Puts an archive behind an endpoint of the rehearsal, and waits until it answers."""
    for kind in ("model", "endpoint config", "endpoint"):
        session.note(kind, name)
    place = session.uri("models", name)
    session.note("s3 prefix", place)
    bucket, _, key = f"{place}/model.tar.gz".removeprefix("s3://").partition("/")
    session.client("s3").upload_file(str(archive), bucket, key)
    sagemaker, variant = session.client("sagemaker"), {"VariantName": "all", "ModelName": name}
    variant |= {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    container = {"Image": "tensorflow-inference", "ModelDataUrl": f"{place}/model.tar.gz"}
    role = {"ExecutionRoleArn": session.role}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, **role)
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    return EndpointClient(session, name)


def run_bench(
    session: CloudSession, run: Run, manifest: Manifest, count: int, seconds: float = SECONDS
) -> dict[str, Any]:
    """Serves a run in each of `WAYS`, prints what `compare` finds, returns what `endure` finds."""
    images = [Image.open(path) for path in manifest.paths[:50]]
    files = [encode(image, image.size[::-1])[FILES] for image in images]
    predictor = predict.SavedModelPredictor(run.export_folder)
    with tempfile.TemporaryDirectory() as folder:
        archive = predict.archive_folder(run.export_folder, Path(folder, FILES), SCRIPTS)
        clients = {FILES: serve(session, archive, FILES)}
        for name, white in ((PIXELS, 255), (FRACTIONS, 1)):
            packed = archive_of_pixels(run, Path(folder, name), white)
            clients[name] = serve(session, packed, name)
    table = compare(clients, images[:8], seconds).reset_index()
    shown = markdown(table, lambda value: "refused" if np.isnan(value) else f"{value:.1f}")
    print(shown, flush=True)  # the second part takes minutes
    return endure(clients[FILES], files, predictor, count, partial(memory_of, session))


FLAGS = {
    **shared("manifest"),
    "--run": {"type": Path, "required": True, "help": "an exported run"},
    "--requests": common.number_flag("with broken ones", 1, 10_000_000, 10_000),
    "--seconds": common.number_flag("of each way in a round", 0.01, 3600.0, SECONDS),
}


def run(given) -> None:
    """Measures, and prints."""
    manifest = read_manifest(given.manifest, check_classes=False)
    with open_session("rehearsal") as session:
        counts = run_bench(session, open_run(given.run), manifest, given.requests, given.seconds)
        print(json.dumps(counts, indent=2))
        delete_all(session)
