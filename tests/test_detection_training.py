"""A run from its config to boxes: checkpoints, a kill, another start, export, and people."""

import base64
import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from helpers.common import WorkshopError, tf
from helpers.detection import (
    Config,
    FasterRCNN,
    describe,
    evaluate,
    export,
    inference,
    runs,
    serving,
    training,
)
from helpers.detection.drawing import with_boxes
from helpers.detection.images import fit_image
from helpers.detection.train import main as train_main
from helpers.predict import litert
from tests.detection_data import SIZE, make_records


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return make_records(tmp_path_factory.mktemp("detection"), 16)


@pytest.fixture(scope="module")
def config(records) -> Config:
    return Config(
        label_map=str(records.folder / "label_map.pbtxt"),
        train=records.pattern("train"),
        val=records.pattern("val"),
        image_size=(64, 96),
        anchor_sizes=(16, 24, 48),
        batch_size=2,
        num_steps=6,
        checkpoint_every=2,
        keep=2,
    )


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """Killed in step 5, between two checkpoints, and resumed."""
    folder = tmp_path_factory.mktemp("run") / "run"
    whole = training.Session._learn

    def stop(self, *given):
        if self.step == 4:
            raise KeyboardInterrupt
        return whole.__get__(self, type(self))(*given)

    training.Session._learn = stop
    try:
        with pytest.raises(KeyboardInterrupt, match="--resume"):
            training.train(config, folder)
    finally:
        training.Session._learn = whole
    assert [p.stem for p in runs.checkpoints_in(folder)] == ["step-000002", "step-000004"]
    return training.train(config, folder, resume=True)


def test_killed_run_goes_on_and_keeps_the_newest(run):
    assert [p.stem for p in run.checkpoints] == ["step-000004", "step-000006"]
    assert list(run.log["step"]) == [2, 4, 6]
    assert (run.log["AP50"].between(0, 1)).all() and run.log["seconds"].is_monotonic_increasing
    assert list((run.folder / "tensorboard").glob("events*"))
    assert runs.open_run(run.folder).config == run.config


def test_checkpoint_brings_back_the_same_answers(run):
    first, second = run.network(), run.network()
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("f4")
    a, b = first.detect(pixels, 0.0, 5), second.detect(pixels, 0.0, 5)
    np.testing.assert_array_equal(a.boxes, b.boxes)
    assert (a.boxes.numpy()[..., 2] <= 64).all() and int(a.count[0]) <= 5


def test_other_number_of_classes_makes_the_head_anew_and_says_so(run):
    network = FasterRCNN(run.config, 5)
    told = runs.start_from(run.folder, network)
    anew = [line for line in told if line.startswith("made anew")]
    assert len(anew) == 2 and all("class_logits" in line for line in anew)
    mine = {name: v.numpy() for name, v in runs.named_variables(network).items()}
    theirs = {name: v.numpy() for name, v in runs.named_variables(run.network()).items()}
    same = [path for path in theirs if "class_logits" not in path]
    assert all((mine[path] == theirs[path]).all() for path in same)


def test_what_cannot_be_used_is_said(run, config, tmp_path):
    with pytest.raises(WorkshopError, match="--resume to go on"):
        training.train(config, run.folder)
    with pytest.raises(WorkshopError, match="another learning_rate"):
        training.train(config.replace(learning_rate=1e-5), run.folder, resume=True)
    bad = tmp_path / "step-000001.npz"
    bad.write_bytes(b"no archive")
    with pytest.raises(WorkshopError, match="expected a checkpoint"):
        runs.start_from(bad, FasterRCNN(config, 2))
    with pytest.raises(WorkshopError, match="batch_size = 99"):
        training.train(config.replace(batch_size=99), tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"num_step": 20}, "Did you mean 'num_steps'"),
        ({"num_steps": 0}, "num_steps: expected steps of the whole run .1 to 1"),
        ({"num_steps": "20"}, "num_steps"),
        ({"image_size": [100, 100]}, "multiples of 32"),
        ({"backbone": "VGG"}, "one of small"),
        ({"weights": "imagenet"}, "Choose ResNet50"),
        ({"anchor_sizes": [1, 2]}, "anchor_sizes"),
        ({"loss_weights": {"box": 1}}, "loss_weights"),
        ({"train": ""}, "expected 'train'"),
        ({"flip": 1}, "true or false"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_mistakes_in_the_config(change, match):
    with pytest.raises(WorkshopError, match=match):
        Config.from_dict({"label_map": "map", "train": "glob"} | change)


def test_config_file_round_trip(config, tmp_path):
    config.write(tmp_path / "config.yaml")
    assert Config.read(tmp_path / "config.yaml") == config
    (tmp_path / "config.yaml").write_text("label_map: a/map\ntrain: a/*\nnum_classes: 7\n")
    read = Config.read(tmp_path / "config.yaml")
    assert read.train == (f"{tmp_path}/a/*",)
    relative = config.replace(train="here/*")
    relative.write(tmp_path / "other" / "config.yaml")
    assert Config.read(tmp_path / "other" / "config.yaml").train == (f"{Path.cwd()}/here/*",)
    wrong = config.replace(num_classes=7)
    with pytest.raises(WorkshopError, match="num_classes: expected 2"):
        wrong.read_label_map()
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(WorkshopError, match="expected YAML"):
        Config.read(tmp_path / "config.yaml")


@pytest.fixture(scope="module")
def detector(run) -> serving.Detector:
    return serving.Detector(serving.export_run(run))


def image(size=SIZE, kind="JPEG") -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(file, kind)
    return file.getvalue()


def test_export_answers_a_batch_in_pixels_of_each_image(run, detector):
    files = [image((300, 100)), image((40, 200), "PNG")]
    answers = detector.detect_bytes(files, threshold=0.0, most=7)
    network = run.network()
    for data, answer, (width, height) in zip(files, answers, ((300, 100), (40, 200))):
        pixels, _ = fit_image(tf.constant(data), (64, 96))
        found = network.detect(tf.cast(pixels, tf.float32)[None], 0.0, 7)
        count = int(found.count[0])
        assert len(answer.scores) == count == len(answer.names) > 0
        scale = min(64 / height, 96 / width)
        wanted = np.minimum(found.boxes[0, :count] / scale, [height, width] * 2)
        np.testing.assert_allclose(answer.boxes, wanted, atol=0.05)
        np.testing.assert_allclose(answer.normalized * ([height, width] * 2), answer.boxes, 1e-4)
        assert set(answer.names) <= set(run.label_map.names)
    assert len(detector.detect_bytes(files, 0.0, 2)[0].scores) <= 2
    assert len(detector.detect_bytes(files, 1.0, 5)[0].scores) == 0
    with pytest.raises(WorkshopError, match="expected a whole image"):
        detector.detect_bytes([b"no image"])


class Context(SimpleNamespace):
    rest_uri = "unused"
    custom_attributes = ""


def answered(body: bytes, context) -> dict:
    limits = inference.MAX_IMAGES, inference.BATCH
    return inference.requested.answer_files(body, context, *limits, inference.answer_request)


def serving_stand_in(detector):
    """TensorFlow Serving's REST API in its columnar form, over the real export."""

    def post(uri: str, body: str) -> tuple[int, bytes]:
        inputs = json.loads(body)["inputs"]
        files = [base64.b64decode(one["b64"]) for one in inputs["image_bytes"]]
        try:
            found = detector._detect(
                image_bytes=tf.constant(files),
                threshold=tf.constant(inputs["threshold"], tf.float32),
                most=tf.constant(inputs["most"]),
            )
        except tf.errors.InvalidArgumentError:
            return 400, b"no image"
        outputs = {name: value.numpy().tolist() for name, value in found.items()}
        outputs["names"] = [[name.decode() for name in row] for row in outputs["names"]]
        return 200, json.dumps({"outputs": outputs}).encode()

    return post


def test_endpoint_answers_each_image_and_names_the_broken_one(detector, monkeypatch):
    stand_in = serving_stand_in(detector)
    monkeypatch.setattr(inference.requested, "_post", stand_in)
    good, broken = image(), image()[:-500]
    instances = [{"b64": base64.b64encode(f).decode()} for f in (good, broken, b"text", good)]
    body = json.dumps({"instances": instances, "threshold": 0, "max_boxes": 3}).encode()
    context = Context(request_content_type="application/json")
    answers = answered(body, context)["predictions"]
    assert answers[0] == answers[3] and (answers[0]["width"], answers[0]["height"]) == SIZE
    assert 0 < len(answers[0]["objects"]) <= 3
    assert set(answers[0]["objects"][0]) == {"class", "score", "box", "box_normalized"}
    assert answers[1]["error"].startswith("image 1: ") and "damaged" in answers[1]["error"]
    assert "neither" in answers[2]["error"]
    one = Context(request_content_type="image/jpeg", custom_attributes="threshold=1,max_boxes=2")
    (alone,) = answered(good, one)["predictions"]
    assert alone["objects"] == []


JSON = "application/json"


@pytest.mark.parametrize(
    ("body", "kind", "attributes", "status", "match"),
    [
        (b"", "image/jpeg", "", 400, "empty body"),
        (b"text", "image/jpeg", "", 400, "neither"),
        (image(), "text/csv", "", 415, "content type"),
        (image(), "image/jpeg", "threshold=2", 400, "threshold from 0 to 1"),
        (image(), "image/jpeg", "max_boxes=nan", 400, "max_boxes"),
        (b'{"instances": [""], "max_boxes": ' + b"9" * 400 + b"}", JSON, "", 400, "max_boxes"),
        (b'{"instances": [""], "threshold": -' + b"9" * 400 + b"}", JSON, "", 400, "threshold"),
        (b'{"instances": [""], "max_boxes": ' + b"9" * 9000 + b"}", JSON, "", 400, "no JSON"),
        (image(), "image/jpeg", "max_boxes=" + "9" * 400, 400, "max_boxes"),
        (b'{"instances": "x"}', "application/json", "", 400, "instances"),
        (b"[" * 90_000, "application/json", "", 400, "no JSON"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\1\0\0" * 2,
            "image/png",
            "",
            413,
            "million pixels",
        ),
    ],
)
def test_bad_requests_are_refused(body, kind, attributes, status, match):
    context = Context(request_content_type=kind, custom_attributes=attributes)
    with pytest.raises(inference.requested.RefusedError, match=match) as caught:
        answered(body, context)
    assert caught.value.status == status


def test_status_reaches_the_container():
    res = SimpleNamespace(status="200 OK")
    context = Context(request_content_type="text/csv")
    body, kind = inference.handler(io.BytesIO(b"x"), context)
    assert res.status == "415 Unsupported Media Type" and kind == "application/json"
    assert "content type" in json.loads(body)["error"]


def test_commands(run, config, tmp_path, command):
    code, out, _ = command(evaluate.main, "--run", run.folder)
    assert code == 0 and "AP50" in out and "lamp" in out
    code, _, err = command(train_main, "--out", tmp_path / "x", "--num-steps", 5)
    assert code == 2 and "'label_map'" in err
    code, _, err = command(train_main, "--config", tmp_path / "no.yaml", "--out", tmp_path / "x")
    assert code == 2 and "Check --config" in err
    code, out, _ = command(export.main, "--run", run.folder, "--archive", tmp_path / "model")
    assert code == 0
    with tarfile.open(out.split("packed: ")[1].strip()) as file:
        names = set(file.getnames())
    scripts = {"code/inference.py", "code/image_requests.py"}
    assert {"1/saved_model.pb"} | scripts <= names


@pytest.mark.parametrize(
    ("box", "cut"), [((10, 30, 50, 45), False), ((40, 0, 64, 12), True), ((0, 90, 20, 96), False)]
)
def test_cut_out_has_the_shape_of_the_attribute_network(box, cut):
    pixels = np.random.default_rng(1).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    crop = describe.cut_out(Image.fromarray(pixels), np.array(box, float), (160, 64))
    assert crop.shape == (160, 64, 3)
    flat = Image.fromarray(np.full((64, 96, 3), 77, np.uint8))
    assert (describe.cut_out(flat, np.array(box, float), (160, 64)) == 77).all()


@pytest.mark.parametrize(
    "box", [(10, 30, 50, 45), (-5, -8, 40, 10), (30, 85, 64, 97), (-9, 20, 70, 60)]
)
def test_cut_out_shows_the_person_and_repeats_the_edge(box):
    """The slope of an image tells for each pixel of the crop where it comes from."""
    columns, rows = np.meshgrid(np.arange(96.0), np.arange(64.0))
    pixels = np.stack([2 * columns, 3 * rows, 0 * rows], -1).astype(np.uint8)
    crop = describe.cut_out(Image.fromarray(pixels), np.array(box, float), (160, 64))
    is_cut = box[2] >= 0.99 * 64
    tall = (box[2] - box[0]) / (describe.BODY_CUT if is_cut else describe.BODY)
    bottom = box[2] if is_cut else box[2] + (1 - describe.FEET) * tall
    place_y = np.clip(bottom - tall + (np.arange(160) + 0.5) / 160 * tall - 0.5, 0, 63)
    wide = tall * describe.ASPECT
    left = (box[1] + box[3]) / 2 - wide / 2
    place_x = np.clip(left + (np.arange(64) + 0.5) / 64 * wide - 0.5, 0, 95)
    assert np.abs(crop[..., 0] / 2 - place_x).max() < 1.5  # pixels of the image
    assert np.abs(crop[..., 1] / 3 - place_y[:, None]).max() < 1.5


def test_cut_out_of_a_whole_image_is_how_the_classifier_reads_its_file():
    rng = np.random.default_rng(2)
    image = Image.fromarray(rng.integers(0, 256, (24, 10, 3)).astype(np.uint8)).resize((200, 480))
    tall = describe.BODY * 480
    box = np.array([describe.FEET * 480 - tall, 60, describe.FEET * 480, 140])
    file = io.BytesIO()
    image.save(file, "PNG")
    expected = litert.decode_image(file.getvalue(), (160, 64)).astype(int)
    assert np.ptp(expected) > 100
    assert np.abs(describe.cut_out(image, box, (160, 64)) - expected).max() <= 1


@pytest.mark.parametrize("box", [(10, 200, 50, 230), (200, 10, 260, 40), (5, -90, 40, -70)])
def test_cut_out_of_a_box_beside_the_image(box):
    flat = Image.fromarray(np.full((64, 96, 3), 77, np.uint8))
    assert (describe.cut_out(flat, np.array(box, float), (160, 64)) == 77).all()


def test_boxes_are_drawn_where_they_are():
    dark = Image.new("RGB", (200, 100))
    drawn = np.asarray(with_boxes(dark, np.array([[40, 50, 90, 120]]), ["cup"], ["#FF0000"]))
    assert tuple(drawn[60, 50]) == (255, 0, 0) and tuple(drawn[89, 80]) == (255, 0, 0)
    assert not drawn[70, 80].any() and not drawn[5, 180].any()
    assert not np.asarray(dark).any()


def test_an_empty_caption_is_not_drawn():
    dark = Image.new("RGB", (200, 100))
    drawn = np.asarray(with_boxes(dark, np.array([[40, 50, 90, 120]]), [""], ["#FF0000"]))
    assert drawn[60, 50].any() and not drawn[:40].any()
