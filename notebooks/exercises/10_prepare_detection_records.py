"""What 10_prepare_detection_records accepts as an answer, and the hints."""

import numpy as np

from helpers.workshop import Exercise, near

ORDER = ("ymin", "xmin", "ymax", "xmax")
MOST_FILES = 100  # that the parser is tried on
SIMILAR = 12.0  # mean difference of two images of which one was compressed once more, of 255


def _parses(answer, found) -> bool:
    """Whether the parser returns the boxes of every annotation, without the difficult ones."""
    return all(
        [tuple(edges) for edges in answer(one.source)]
        == [(b.xmin, b.ymin, b.xmax, b.ymax) for b in one.boxes if not b.difficult]
        for one in found[:MOST_FILES]
    )


def _contents(raw: bytes) -> tuple[np.ndarray, np.ndarray, dict]:
    """Returns the image, the boxes (n, 4), and all other features of a record."""
    from helpers.common import tf

    features = dict(tf.train.Example.FromString(raw).features.feature)
    image = tf.io.decode_jpeg(features.pop("image/encoded").bytes_list.value[0]).numpy()
    edges = [features.pop(f"image/object/bbox/{edge}").float_list.value for edge in ORDER]
    return image.astype(float), np.stack(edges, axis=-1), features


def _mirrors(answer, raw: bytes) -> bool:
    """Whether image and boxes are mirrored, and nothing else has changed."""
    image, boxes, others = _contents(raw)
    mirrored, moved, kept = _contents(answer(raw))
    wanted = np.stack([boxes[:, 0], 1 - boxes[:, 3], boxes[:, 2], 1 - boxes[:, 1]], axis=-1)
    same_image = np.abs(mirrored - image[:, ::-1]).mean() < SIMILAR
    return same_image and np.allclose(moved, wanted, atol=1e-4) and kept == others


EXERCISES: dict[str, Exercise] = {
    "10-parse": Exercise(
        _parses,
        "search the tree for every object, such as "
        "`list(fromstring(found[0].source.read_text()).iter('object'))`, and leave out the "
        "difficult ones.",
    ),
    "10-mirror": Exercise(
        _mirrors,
        "`tf.train.Example.FromString(raw).features.feature['image/object/bbox/xmin']` has the "
        "left edges, and a left edge becomes a right edge.",
    ),
    "10-pixels": Exercise(
        lambda answer, fractions, width: near(
            answer, float(np.diff(fractions[0][1::2])[0]) * width, 0.6
        ),
        "`fractions[0]` has the order ymin, xmin, ymax, xmax, and x counts along the width.",
    ),
}
