"""What notebook 10 accepts as an answer."""

import numpy as np
import pytest

from helpers.common import tf
from helpers.detection import read_annotations
from helpers.workshop import exercises
from tests.detection_data import make_voc, voc_xml
from tests.notebook_form import NOTEBOOKS, code_cells, read

SOLUTION = code_cells(read(NOTEBOOKS / "solutions" / "10_prepare_detection_records.ipynb"))


def solved(name: str):
    """The function of that name in the solution."""
    from defusedxml.ElementTree import fromstring

    names = {"tf": tf, "fromstring": fromstring}
    (source,) = (source for source in SOLUTION if f"def {name}(" in source)
    exec(source, names)
    return names[name]


def test_parser_must_leave_difficult_boxes_out(tmp_path):
    folder = make_voc(tmp_path, 3)
    boxes = [("cup", 1, 2, 20, 30), ("cup", 30, 5, 50, 40, 1)]
    (folder / "annotations/000.xml").write_text(voc_xml("000.jpg", boxes))
    found, _ = read_annotations(folder)
    assert exercises.is_right("10-parse", solved("parse_boxes"), found)
    with_all = {one.source: [(b.xmin, b.ymin, b.xmax, b.ymax) for b in one.boxes] for one in found}
    assert not exercises.is_right("10-parse", with_all.get, found)
    assert not exercises.is_right("10-parse", lambda path: [], found)


@pytest.fixture
def raw() -> bytes:
    """A record of two boxes in an image that is brighter on the right."""
    ramp = np.tile(np.linspace(0, 255, 48).astype(np.uint8)[None, :, None], (32, 1, 3))
    edges = {"xmin": [0.1, 0.5], "xmax": [0.3, 0.9], "ymin": [0.2, 0.0], "ymax": [0.8, 0.5]}
    example = tf.train.Example()
    feature = example.features.feature
    feature["image/encoded"].bytes_list.value.append(tf.io.encode_jpeg(ramp).numpy())
    feature["image/width"].int64_list.value.append(48)
    for edge, values in edges.items():
        feature[f"image/object/bbox/{edge}"].float_list.value.extend(values)
    return example.SerializeToString()


def test_mirrored_record_needs_image_boxes_and_all_else(raw):
    mirror = solved("mirror")
    assert exercises.is_right("10-mirror", mirror, raw)
    assert not exercises.is_right("10-mirror", lambda raw: raw, raw)
    before, after = (tf.train.Example.FromString(one) for one in (raw, mirror(raw)))
    boxes_only, names = tf.train.Example.FromString(mirror(raw)), "image/encoded"
    boxes_only.features.feature[names].CopyFrom(before.features.feature[names])
    assert not exercises.is_right("10-mirror", lambda _: boxes_only.SerializeToString(), raw)
    del after.features.feature["image/width"]
    assert not exercises.is_right("10-mirror", lambda _: after.SerializeToString(), raw)


def test_pixels_are_counted_along_the_width():
    fractions = np.array([[0.1, 0.25, 0.6, 0.75], [0, 0, 1, 1]])
    assert exercises.is_right("10-pixels", 240, fractions, 480)
    assert not exercises.is_right("10-pixels", 135, fractions, 480)
