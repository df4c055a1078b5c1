"""The measurement of an endpoint: what is sent, what is counted, what the networks take."""

import json
import tarfile
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from benchmarks import endpoint as bench
from benchmarks.endpoint import compare, encode
from helpers.cloud import EndpointClient
from helpers.common import WorkshopError, tf
from helpers.model import load_model
from tests.test_cloud_things import Runtime


def test_the_bench_compares_ways(monkeypatch):
    monkeypatch.setattr(bench, "SIZES", ((8, 8),))
    image = Image.new("RGB", (20, 10), "red")
    bodies = encode(image, (8, 8))
    assert json.loads(bodies[bench.PIXELS])["instances"][0][0][0] == [255, 0, 0]
    assert json.loads(bodies[bench.FRACTIONS])["instances"][0][0][0] == [1, 0, 0]
    clients = {name: EndpointClient(Runtime(), name) for name in bench.WAYS}
    too_large = WorkshopError("the endpoint refused the request (413): it is larger than it may be")
    monkeypatch.setattr(clients[bench.FRACTIONS], "send", Mock(side_effect=too_large))
    table = compare(clients, [image], seconds=0.01).loc["8x8"]
    files, pixels, fractions = (table.loc[shown] for shown, _ in bench.WAYS.values())
    assert files["files: times"] == 1
    assert pixels["files: times"] == pytest.approx(files["requests/s"] / pixels["requests/s"], 2)
    assert fractions["kB"] > 0 and fractions.drop("kB").isna().all()


def test_both_archives_of_pixels_answer_as_the_network(trained, tmp_path):
    model = load_model(trained.best_path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *model.input_shape[1:])).astype("f4")
    expected = model.predict(pixels, verbose=0)
    for white in (255, 1):
        packed = bench.archive_of_pixels(trained, tmp_path / str(white), white)
        with tarfile.open(packed) as archive:
            archive.extractall(tmp_path / f"model-{white}", filter="data")
        served = tf.saved_model.load(str(tmp_path / f"model-{white}" / "1"))
        found = served.signatures["serving_default"](pixels=tf.constant(pixels * (white / 255)))
        for task, values in expected.items():
            np.testing.assert_allclose(found[task], values, atol=1e-5)
