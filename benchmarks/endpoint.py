"""Measures an endpoint in the rehearsal: JPEG files against pixels as JSON.

    python -m benchmarks endpoint --run RUN --manifest M

The network of a run is served three times: by the workshop's archive, which takes files, and by
two without a script, which take pixels as JSON, from 0 to 255 or from 0 to 1. One client sends one
request at a time.
"""

import io
import itertools
import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.command import markdown, shared
from helpers import common, model, predict
from helpers.cloud import (
    SCRIPTS,
    CloudSession,
    EndpointClient,
    delete_all,
    open_session,
    serve,
)
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


def run_bench(
    session: CloudSession, run: Run, manifest: Manifest, seconds: float = SECONDS
) -> pd.DataFrame:
    """Serves a run in each of `WAYS`, and compares them."""
    with tempfile.TemporaryDirectory() as folder:
        archive = predict.archive_folder(run.export_folder, Path(folder, FILES), SCRIPTS)
        clients = {FILES: serve(session, archive, FILES)}
        for name, white in ((PIXELS, 255), (FRACTIONS, 1)):
            packed = archive_of_pixels(run, Path(folder, name), white)
            clients[name] = serve(session, packed, name)
    return compare(clients, [Image.open(path) for path in manifest.paths[:8]], seconds)


FLAGS = {
    **shared("manifest"),
    "--run": {"type": Path, "required": True, "help": "an exported run"},
    "--seconds": common.number_flag("of each way in a round", 0.01, 3600.0, SECONDS),
}


def run(given) -> None:
    """Measures, and prints."""
    manifest = read_manifest(given.manifest, check_classes=False)
    with open_session("rehearsal") as session:
        table = run_bench(session, open_run(given.run), manifest, given.seconds).reset_index()
        print(markdown(table, lambda value: "refused" if np.isnan(value) else f"{value:.1f}"))
        delete_all(session)
