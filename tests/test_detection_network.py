"""Each part of the detector against a hand-computed or brute-force reference."""

import numpy as np
import pytest

from helpers.common import tf
from helpers.detection import Config, Example, average_precision, targets
from helpers.detection import network as net
from helpers.detection.images import augment, fit_image, scale_of
from tests.image_files import SCENE, encoded

RNG = np.random.default_rng(0)
SIZE = (64, 96)


def random_boxes(*shape: int, size=SIZE) -> np.ndarray:
    """(..., 4) boxes of 2 pixels and more inside an image."""
    corner = RNG.uniform(0, 0.7, (*shape, 2)) * size
    sides = 2 + RNG.uniform(0.02, 0.25, (*shape, 2)) * size
    return np.concatenate([corner, corner + sides], -1).astype(np.float32)


def iou(a, b) -> float:
    top, left = max(a[0], b[0]), max(a[1], b[1])
    bottom, right = min(a[2], b[2]), min(a[3], b[3])
    shared = max(bottom - top, 0) * max(right - left, 0)
    area = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return shared / (sum(area) - shared)


def test_anchors_by_hand():
    anchors = net.build_anchors((64, 96), (16, 32, 64), (1.0, 4.0))
    assert anchors.shape == (2 * (8 * 12 + 4 * 6 + 2 * 3), 4)
    np.testing.assert_allclose(anchors[0], [4 - 8, 4 - 8, 4 + 8, 4 + 8])
    np.testing.assert_allclose(anchors[1], [4 - 16, 4 - 4, 4 + 16, 4 + 4])  # twice as high, half
    np.testing.assert_allclose(anchors[2 * 12], [12 - 8, 4 - 8, 12 + 8, 4 + 8])  # the next row
    np.testing.assert_allclose(anchors[-1], [48 - 64, 80 - 16, 48 + 64, 80 + 16])


def test_decode_undoes_encode_and_stays_in_the_image():
    anchors, boxes = random_boxes(3, 20), random_boxes(3, 20)
    back = net.decode(anchors, net.encode(anchors, boxes), SIZE)
    np.testing.assert_allclose(back, boxes, atol=1e-3)
    wild = net.decode(anchors, tf.fill((3, 20, 4), 1e6), SIZE)
    assert np.isfinite(wild).all() and np.min(wild) >= 0 and np.max(wild) <= 96


def roi_align_by_hand(maps, box) -> np.ndarray:
    """He et al. 2017, in loops: the mean of 2 x 2 bilinear samples for each of 7 x 7 cells."""
    level = int(net.levels_of(tf.constant(box)))
    one, stride = maps[level], (8, 16, 32)[level]
    (y0, x0), (y1, x1) = box[:2] / stride, box[2:] / stride
    cells, samples = net.CELLS, net.SAMPLES
    out = np.zeros((cells, cells, one.shape[-1]))
    for i, j, a, b in np.ndindex(cells, cells, samples, samples):
        y = y0 + (y1 - y0) * (i * samples + a + 0.5) / (cells * samples) - 0.5
        x = x0 + (x1 - x0) * (j * samples + b + 0.5) / (cells * samples) - 0.5
        y, x = np.clip(y, 0, one.shape[0] - 1), np.clip(x, 0, one.shape[1] - 1)
        low, left = int(y), int(x)
        high, right = min(low + 1, one.shape[0] - 1), min(left + 1, one.shape[1] - 1)
        dy, dx = y - low, x - left
        top = one[low, left] * (1 - dx) + one[low, right] * dx
        bottom = one[high, left] * (1 - dx) + one[high, right] * dx
        out[i, j] += (top * (1 - dy) + bottom * dy) / samples**2
    return out


def test_roi_align_against_loops():
    size = (256, 384)
    maps = [RNG.normal(size=(2, size[0] // s, size[1] // s, 3)).astype("f4") for s in (8, 16, 32)]
    boxes = random_boxes(2, 6, size=size)
    boxes[0, 0] = (0, 0, *size)  # to the very edges, on the coarsest level
    boxes[0, 1] = (100, 200, 256, 384)  # to two edges, on the middle one
    assert set(np.ravel(net.levels_of(boxes))) == {0, 1, 2}
    crops = net.roi_align([tf.constant(one) for one in maps], tf.constant(boxes))
    crops = np.reshape(crops, (2, 6, *crops.shape[1:]))
    for image, number in np.ndindex(2, 6):
        wanted = roi_align_by_hand([one[image] for one in maps], boxes[image, number])
        np.testing.assert_allclose(crops[image, number], wanted, atol=1e-3)


def test_match_against_loops():
    anchors, boxes = random_boxes(40), random_boxes(2, 5)
    labels = np.array([[1, 2, -1, 0, 0], [3, 1, 1, 1, 0]], np.int32)
    boxes[labels == 0] = 0
    which, found, _ = targets.match(anchors, boxes, tf.constant(labels), 0.3, 0.1)
    for image, number in np.ndindex(2, 40):
        values = [
            iou(anchors[number], box) if label else 0
            for box, label in zip(boxes[image], labels[image])
        ]
        best = int(np.argmax(values))
        label = labels[image, best] if max(values) >= 0.3 else 0 if max(values) < 0.1 else -1
        assert found[image, number] == label
        if max(values) > 0:
            assert which[image, number] == best


def test_every_object_gets_an_anchor_and_a_difficult_one_none():
    anchors = net.build_anchors(SIZE, (16, 32, 64), (1.0,))
    boxes = np.array([[[10, 10, 15, 16], [20, 40, 60, 80], [0, 0, 0, 0]]], np.float32)
    labels = np.array([[2, -1, 0]], np.int32)
    chosen = targets.choose_anchors(tf.constant(anchors), boxes, tf.constant(labels), [0, 1])
    found = chosen.found.numpy()[0] > 0
    values = [iou(anchor, boxes[0, 0]) for anchor in anchors]
    assert found[int(np.argmax(values))] and (chosen.labels.numpy()[0][found] == 2).all()
    np.testing.assert_allclose(chosen.boxes[0][found], np.tile(boxes[0, 0], (found.sum(), 1)))
    near = np.array([iou(anchor, boxes[0, 1]) for anchor in anchors]) > targets.ANCHOR_LOW
    assert near.any() and not (chosen.used.numpy()[0] * near).any()
    assert 0 < chosen.used.numpy().sum() <= targets.ANCHORS


def test_drawn_proposals_are_objects_and_background_in_their_numbers():
    boxes = np.zeros((1, 4, 4), np.float32)
    boxes[0, 0] = (10, 10, 40, 40)
    labels = tf.constant([[1, 0, 0, 0]])
    good = np.tile(boxes[0, 0], (20, 1)) + RNG.uniform(-1, 1, (20, 4)).astype("f4")
    far = random_boxes(30) * 0.1 + 50
    empty = np.zeros((14, 4), np.float32)
    proposals = np.concatenate([good, far, empty])[None]
    chosen = targets.choose_proposals(proposals, boxes, labels, [0, 1])
    assert chosen.found.numpy().sum() == targets.DRAWN_FOUND
    used = chosen.used.numpy()[0] > 0
    assert used.sum() == targets.DRAWN
    assert (chosen.anchors.numpy()[0][used][:, 2] > 0).all()  # none that is padding
    few = targets.choose_proposals(
        np.concatenate([good[:3], np.zeros((61, 4), "f4")])[None], boxes, labels, [0, 1]
    )
    assert few.used.numpy().sum() == few.found.numpy().sum() == 3


def test_losses_by_hand():
    chosen = targets.Chosen(
        None, None, tf.constant([[1, 0, 2]]), tf.constant([[1.0, 0, 1]]), tf.constant([[1.0, 1, 0]])
    )
    logits = tf.constant([[[0.0, 0, 0], [2, 0, 0], [9, 9, 9]]])
    second = -np.log(np.exp(2) / (np.exp(2) + 2))
    assert float(targets.class_loss(logits, chosen)) == pytest.approx((np.log(3) + second) / 2)
    objectness = tf.constant([[0.0, 1.0, 5.0]])
    wanted = (np.log(2) + np.log(1 + np.exp(1))) / 2
    assert float(targets.objectness_loss(objectness, chosen)) == pytest.approx(wanted, rel=1e-5)
    deltas = tf.constant([[[0.5, 0, 0, 0], [9, 9, 9, 9], [3.0, 0, 0, -1]]])
    loss = targets.box_loss(deltas, tf.zeros((1, 3, 4)), chosen.found)
    assert float(loss) == pytest.approx((0.125 + 2.5 + 0.5) / 2)
    assert float(targets.box_loss(deltas, deltas * 2, tf.zeros((1, 3)))) == 0


def test_average_precision_by_hand():
    """Two objects; one found rightly, one answer wrong and surer: precision 1/2 at recall 1/2."""
    truths = [(np.array([[0, 0, 10, 10], [0, 50, 10, 60]], float), np.array([1, 1]))]
    answer = np.array([[0, 0, 10, 10], [40, 40, 50, 50]], float)
    table = average_precision(truths, [(answer, np.array([0.6, 0.9]), np.array([0, 0]))], ["cup"])
    assert table.loc["cup", "AP50"] == pytest.approx(0.5 * 51 / 101)
    perfect = (truths[0][0], np.array([0.9, 0.8]), np.array([0, 0]))
    assert average_precision(truths, [perfect], ["cup"]).loc["all", "AP"] == pytest.approx(1)
    nothing = (np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    assert average_precision(truths, [nothing], ["cup"]).loc["all", "AP50"] == 0
    difficult = [(truths[0][0], np.array([1, -1]))]
    table = average_precision(difficult, [perfect], ["cup"])
    assert table.loc["cup", "AP50"] == pytest.approx(1) and table.loc["cup", "boxes"] == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_fitted_image_keeps_its_shape(kind):
    data = encoded(SCENE.resize((400, 1000)), kind)
    image, size = fit_image(tf.constant(data), (96, 64))
    assert list(size) == [1000, 400] and float(scale_of(size, (96, 64))) == pytest.approx(0.096)
    wide = round(400 * 0.096)
    assert (image[:, wide:].numpy() == 127).all()
    wanted = np.asarray(SCENE.resize((wide, 96)), float)
    assert np.abs(image[:, :wide].numpy() - wanted).mean() < 12


def test_boxes_move_with_the_image():
    pixels = np.zeros((16, *SIZE, 3), np.uint8)
    boxes = np.zeros((16, 2, 4), np.float32)
    boxes[:, 0] = (20, 30, 44, 54)
    pixels[:, 20:44, 30:54] = 255
    batch = Example(pixels, boxes, np.tile([1, 0], (16, 1)), None, None)
    config = Config(label_map="x", train="y", image_size=SIZE, zoom=1.5, color=0.0)
    changed = augment(batch, tf.constant([0, 5]), config)
    moved = 0
    for image, box in zip(changed.pixels.numpy(), changed.boxes.numpy()[:, 0]):
        rows, columns = np.where((image > 200).all(-1))
        seen = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        np.testing.assert_allclose(box, seen, atol=1.6)
        moved += abs(box[1] - 30) > 3
    assert moved > 4
    assert (changed.boxes.numpy()[:, 1] == 0).all()


def test_published_backbone_gives_the_same_maps():
    pyramid = net.build_pyramid((64, 96), "ResNet50")
    shapes = [one.shape[1:] for one in pyramid.outputs]
    assert shapes == [(64 // s, 96 // s, net.CHANNELS) for s in (8, 16, 32)]
    last = pyramid.get_layer("backbone").outputs
    assert [one.shape[-1] for one in last] == [512, 1024, 2048]  # conv3, conv4 and conv5
    assert "scale_pixels" in " ".join(layer.name for layer in pyramid.layers)
