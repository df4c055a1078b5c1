"""Images, folders and videos to described people; a broken image does not stop the others."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers.common import WorkshopError
from helpers.detection import Describer, LabelMap, describe
from helpers.detection.serving import Detections
from helpers.manifest import Labels, decode, open_image

LABELS = Labels({"gender": ("male", "female"), "top_color": ("red", "blue")})


class StubDetector:
    """Finds a person wherever an image has a bright stripe, and a dog in every image."""

    label_map = LabelMap({"dog": 1, "person": 2})

    def detect_bytes(self, files, threshold, most):
        answers = []
        for data in files:
            image = Image.fromarray(decode(*open_image(data)))
            bright = np.asarray(image).mean(axis=(0, 2)) > 90
            starts = np.flatnonzero(np.diff(np.r_[0, bright.astype(int), 0]) == 1)
            ends = np.flatnonzero(np.diff(np.r_[0, bright.astype(int), 0]) == -1)
            boxes = np.array(
                [[0, 0, 9, 9], *[[10, a, 90, b] for a, b in zip(starts, ends)]], np.float32
            )
            sides = np.array([image.height, image.width] * 2)
            names = ["dog"] + ["person"] * len(starts)
            answers.append(Detections(boxes, boxes / sides, names, np.full(len(boxes), 0.9)))
        return answers


class StubPredictor:
    """Says red where the middle of a crop is red; notes how large its batches were."""

    labels, image_size = LABELS, (32, 16)

    def __init__(self):
        self.batches = []

    def predict_pixels(self, pixels):
        self.batches.append(len(pixels))
        red = pixels[:, 16, 8, 0] / 255.0
        return {
            "gender": np.tile([0.3, 0.7], (len(pixels), 1)),
            "top_color": np.stack([red, 1 - red], -1),
        }


@pytest.fixture
def describer() -> Describer:
    one = Describer.__new__(Describer)
    one.detector, one.predictor = StubDetector(), StubPredictor()
    one.threshold, one.most = 0.5, 50
    return one


def scene(*people: tuple[int, str]) -> Image.Image:
    image = Image.new("RGB", (400, 100))
    for x, color in people:
        image.paste({"red": (255, 60, 60), "blue": (60, 60, 255)}[color], (x, 0, x + 30, 100))
    return image


def test_people_get_their_own_attributes_in_one_batch(describer, tmp_path):
    scene((50, "red"), (150, "blue"), (300, "red")).save(tmp_path / "a.png")
    found = describer.describe_file(tmp_path / "a.png")
    assert describer.predictor.batches == [describe.BATCH]
    colors = [next(iter(one.attributes["top_color"])) for one in found.people]
    assert colors == ["red", "blue", "red"]
    table = found.table()
    assert list(table.top_color) == colors and list(table.xmin) == [50, 150, 300]
    assert list(table.gender_probability) == [0.7] * 3
    value = json.loads(json.dumps(found.to_json()))
    assert value["people"][1]["attributes"]["top_color"]["blue"] == pytest.approx(
        1 - 60 / 255, abs=1e-3
    )
    assert value["width"] == 400 and "dog" not in json.dumps(value)
    assert all(found.seconds[step] >= 0 for step in describe.STEPS)


def test_nine_people_are_two_batches_of_the_same_size(describer):
    crops = [np.zeros((32, 16, 3), np.uint8)] * 9
    assert len(describer.describe_crops(crops)) == 9
    assert describer.predictor.batches == [8, 8]
    assert describer.describe_crops([]) == []


@pytest.mark.parametrize("people", [0, 1, 12])
def test_cards_stand_beside_the_image(describer, people, tmp_path):
    image = scene(*[(32 * i + 1, "red") for i in range(people)])
    drawn = describer.describe_frame(np.asarray(image)).draw()
    assert (drawn.width > 1280) == (people > 0)
    shown = np.asarray(drawn)
    if people == 1:  # the card has the person's color, as the box has
        color = tuple(int("0072B2"[i : i + 2], 16) for i in (0, 2, 4))
        assert (shown[:, 1288:] == color).all(-1).any() and (shown[:, :1280] == color).all(-1).any()


def test_command_goes_through_folder_and_video(describer, tmp_path, command, monkeypatch):
    import cv2

    monkeypatch.setattr(describe, "Describer", lambda *_: describer)
    (tmp_path / "in").mkdir()
    scene((50, "red")).save(tmp_path / "in/a.jpg")
    (tmp_path / "in/b.jpg").write_bytes(b"no image")
    video = cv2.VideoWriter(
        str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (400, 100)
    )
    for x in range(10):
        video.write(np.asarray(scene((20 * x + 10, "blue")))[..., ::-1].copy())
    video.release()
    code, out, err = command(
        describe.main, "--detector", "d", "--attributes", "a", "--out", tmp_path / "out",
        tmp_path / "in", tmp_path / "v.avi",
    )  # fmt: skip
    assert code == 2 and "1 images could not be read" in err and "b.jpg" in err
    table = pd.read_csv(tmp_path / "out/people.csv")
    assert len(table) == 3 and table.image.str.contains("#").sum() == 2  # 2 of its 2 seconds
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 3
    assert "1 people; decode" in out and "describe" in out


def test_detector_without_people_is_refused(monkeypatch, tmp_path):
    class Dogs:
        label_map = LabelMap({"dog": 1})

        def __init__(self, _): ...

    monkeypatch.setattr(describe, "Detector", Dogs)
    monkeypatch.setattr(describe, "LiteRTPredictor", lambda _: None)
    with pytest.raises(WorkshopError, match="found dog"):
        Describer(tmp_path, tmp_path)
