"""What 10_prepare_detection_records writes in the open holds what the package's records hold."""

import pytest

from helpers.common import tf
from helpers.detection import LabelMap, read_annotations, read_records, shard_files
from tests.detection_data import make_records, make_voc
from tests.notebook_form import NOTEBOOKS, code_cells, read


@pytest.fixture
def names(tmp_path) -> dict:
    """What the notebook has before it parses: a folder of images and annotations."""
    make_voc(tmp_path / "voc", 12, classes=("lamp",))
    found, problems = read_annotations(tmp_path / "voc")
    assert not problems
    first = sorted((tmp_path / "voc" / "annotations").glob("*.xml"))[0]
    return {"first": first, "found": found, "tf": tf, "artifacts_folder": lambda name: tmp_path}


def run(names: dict, *marks: str) -> dict:
    """Runs the cells of the notebook that hold the marks, and returns all names."""
    sources, names = code_cells(read(NOTEBOOKS / "10_prepare_detection_records.ipynb")), dict(names)
    for mark in marks:
        (source,) = (source for source in sources if mark in source)
        exec(source, names)
    return names


PARSE = ("root = fromstring", 'root.iter("object")')
WRITE = ("root = fromstring", "def bytes_feature", "xmin = [", "features = {")
READ = ("TFRecordWriter", "any_number =", "fractions = tf.stack")


def test_parsed_boxes_are_those_of_the_package(names):
    ours = run(names, *PARSE)
    first = names["found"][0]
    assert (ours["width"], ours["height"]) == (first.width, first.height)
    edges = ("xmin", "ymin", "xmax", "ymax", "name", "difficult")
    assert [[row[edge] for edge in edges] for row in ours["rows"]] == [
        [getattr(box, edge) for edge in edges] for box in first.boxes
    ]


def test_example_has_the_features_of_the_package(names, tmp_path):
    ours = run(names, *WRITE)["example"].features.feature
    written = make_records(tmp_path / "package", val_share=0)
    for raw in tf.data.TFRecordDataset(shard_files(written.pattern("train"))).as_numpy_iterator():
        theirs = tf.train.Example.FromString(raw).features.feature
        if theirs["image/filename"].bytes_list.value[0] == b"000.jpg":
            break
    assert len(ours) >= 11
    for name in set(ours) - {"image/object/class/text", "image/object/class/label"}:
        assert ours[name] == theirs[name], name
    assert theirs["image/object/class/text"].bytes_list.value[0] == b"lamp"
    assert ours["image/object/class/text"] == theirs["image/object/class/text"]


def test_package_reads_the_record_as_the_notebook_does(names):
    ours = run(names, *WRITE, *READ)
    files = [str(ours["detection"] / "one.record")]
    (theirs,) = read_records(files, LabelMap({"lamp": 1})).as_numpy_iterator()
    assert ours["fractions"].numpy() == pytest.approx(theirs["boxes"])
    assert (ours["image"] == tf.io.decode_jpeg(theirs["encoded"]).numpy()).all()
    assert theirs["labels"].tolist() == [1] * len(theirs["boxes"])
