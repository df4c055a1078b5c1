"""Faster R-CNN (Ren et al. 2015) with a feature pyramid (Lin et al. 2017), in Keras 3.

pixels -> backbone -> pyramid -> region proposals -> RoIAlign -> box head -> boxes, classes, scores

Boxes are float32 (..., 4): ymin, xmin, ymax, xmax in pixels of the network's image ("yxyx").
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import helpers.detection.targets as targets
from helpers.common import keras, layers, tf
from helpers.detection.config import SMALL, STRIDES, Config
from helpers.model import build_backbone, street_features

SMALL_WIDTHS = (32, 64, 128, 192)  # channels of the small backbone at strides 4, 8, 16 and 32
CHANNELS = 64  # of every level of the pyramid
HIDDEN = 256  # units of the box head's two layers
CELLS = 7  # RoIAlign gives CELLS x CELLS features of each box (Ren et al. 2015)
SAMPLES = 2  # points on each side of a cell whose mean is its feature (He et al. 2017)
BASE_SIZE = 112.0  # a box of this side is read from the second level, as 7 x 7 of its cells
BEFORE_NMS, PROPOSALS = 256, 64  # top anchors before suppression, proposals after it
PROPOSAL_IOU, ANSWER_IOU = 0.7, 0.5  # of boxes that overlap more, only the best stays
LARGEST_GROWTH = 4.0  # log of the factor by which a delta may change a side: more overflows
SCALES = (0.1, 0.1, 0.2, 0.2)  # of deltas, so that all four losses have a similar scale


class Answer(NamedTuple):
    """The predictions for a batch of images, best first, padded with zeros."""

    boxes: tf.Tensor  # (batch, most, 4)
    scores: tf.Tensor  # (batch, most), 0 to 1
    classes: tf.Tensor  # int32 (batch, most), index of the class name, from 0
    count: tf.Tensor  # int32 (batch,), how many were found


def build_anchors(
    image_size: tuple[int, int], sizes: Sequence[float], ratios: Sequence[float]
) -> np.ndarray:
    """Returns the boxes that proposals start from, float32 (anchors, 4): level, row, column, ratio.

    An anchor is `ratios` times as high as wide and has the area of a square of its level's size.
    """
    anchors = []
    for stride, size in zip(STRIDES, sizes):
        rows, columns = (side // stride for side in image_size)
        y, x = np.mgrid[:rows, :columns].reshape(2, -1, 1) * stride + stride / 2
        half = np.sqrt(ratios) * size / 2, size / np.sqrt(ratios) / 2  # height, width
        edges = [y - half[0], x - half[1], y + half[0], x + half[1]]
        anchors.append(np.stack(edges, axis=-1).reshape(-1, 4))
    return np.concatenate(anchors).astype(np.float32)


def encode(anchors: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Returns the deltas that turn each anchor into its box: (..., 4)."""
    encode = keras.utils.bounding_boxes.encode_box_to_deltas
    return encode(anchors, boxes, "yxyx", "yxyx", variance=SCALES)


def decode(anchors: tf.Tensor, deltas: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Applies deltas to anchors and clips the boxes to the image: (..., 4)."""
    growth = tf.minimum(deltas[..., 2:], LARGEST_GROWTH / SCALES[2])
    deltas = tf.concat([deltas[..., :2], growth], axis=-1)
    decode = keras.utils.bounding_boxes.decode_deltas_to_boxes
    boxes = decode(anchors, deltas, "yxyx", "yxyx", variance=SCALES)
    return tf.clip_by_value(boxes, 0.0, tf.constant([*image_size] * 2, tf.float32))


def build_pyramid(
    image_size: tuple[int, int], backbone: str = SMALL, weights: str | None = None
) -> keras.Model:
    """Builds backbone and pyramid: pixels to a map of `CHANNELS` for each of `STRIDES`."""
    image = keras.Input((*image_size, 3), name="pixels")
    stages = _stages(image, image_size, backbone, weights)
    maps = [layers.Conv2D(CHANNELS, 1, name=f"lateral_{s}")(x) for s, x in zip(STRIDES, stages)]
    # coarse maps carry semantics, fine maps location: each level adds the coarser one
    for level in (1, 0):
        coarser = layers.UpSampling2D(2, name=f"enlarge_{STRIDES[level + 1]}")(maps[level + 1])
        maps[level] = layers.Add(name=f"merge_{STRIDES[level]}")([maps[level], coarser])
    smooth = [
        layers.Conv2D(CHANNELS, 3, padding="same", activation="relu", name=f"level_{s}")(x)
        for s, x in zip(STRIDES, maps)
    ]
    return keras.Model(image, smooth, name="pyramid")


def _stages(image, image_size: tuple[int, int], name: str, weights: str | None) -> list:
    """Returns the last map of the backbone at each stride."""
    x = image
    if name == SMALL:
        scaled = layers.Rescaling(1 / 127.5, offset=-1)(image)
        network = keras.Model(image, street_features(scaled, SMALL_WIDTHS))
    else:
        whole = build_backbone(image_size, name, weights)
        network = keras.Model(whole.layers[-1].input, whole.layers[-1].output)
        for scale in whole.layers[1:-1]:
            x = scale(x)
        if weights:  # batches are too small for statistics of their own
            for layer in network.layers:
                layer.trainable = not isinstance(layer, layers.BatchNormalization)
    outputs = (layer.output for layer in network.layers)
    last = {image_size[0] // one.shape[1]: one for one in outputs if len(one.shape) == 4}
    return keras.Model(network.input, [last[s] for s in STRIDES], name="backbone")(x)


def build_proposer(anchors_per_cell: int) -> keras.Model:
    """Builds the region proposal network (RPN): objectness logits and deltas (anchors, 4)."""
    features = keras.Input((None, None, CHANNELS))
    x = layers.Conv2D(CHANNELS, 3, padding="same", activation="relu", name="look")(features)
    objectness = layers.Conv2D(anchors_per_cell, 1, name="objectness")(x)
    deltas = layers.Conv2D(4 * anchors_per_cell, 1, name="proposal_deltas")(x)
    flat = layers.Reshape((-1,))(objectness), layers.Reshape((-1, 4))(deltas)
    return keras.Model(features, flat, name="proposer")


def build_box_head(classes: int) -> keras.Model:
    """Builds the head for one box: logits (1 + classes), the background first, and deltas (4)."""
    features = keras.Input((CELLS, CELLS, CHANNELS))
    x = layers.Flatten()(features)
    for number in (1, 2):
        x = layers.Dense(HIDDEN, activation="relu", name=f"hidden_{number}")(x)
    logits = layers.Dense(1 + classes, name="class_logits", dtype="float32")(x)
    deltas = layers.Dense(4, name="box_deltas", dtype="float32")(x)
    return keras.Model(features, [logits, deltas], name="box_head")


def levels_of(boxes: tf.Tensor) -> tf.Tensor:
    """Returns the level of the pyramid on which each box is read: int32 (...)."""
    sides = tf.maximum(boxes[..., 2:] - boxes[..., :2], 1e-3)
    size = tf.sqrt(tf.reduce_prod(sides, axis=-1))
    level = 1 + tf.cast(tf.floor(tf.math.log(size / BASE_SIZE) / tf.math.log(2.0)), tf.int32)
    return tf.clip_by_value(level, 0, len(STRIDES) - 1)


def roi_align(maps: Sequence[tf.Tensor], boxes: tf.Tensor) -> tf.Tensor:
    """Extracts the features of every box from the level for its size (He et al. 2017).

    Maps are (batch, rows, columns, channels) for each of `STRIDES`, boxes (batch, boxes, 4), and
    the result is (batch * boxes, CELLS, CELLS, channels).
    """
    batch = tf.shape(boxes)[0]
    rows, columns = maps[0].shape[1] + 2, maps[0].shape[2] + 2
    padded = []
    for one in maps:
        # a copy of the edge around each map: a point outside has the value of the nearest cell
        edged = tf.pad(one, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
        room = [[0, 0], [0, rows - edged.shape[1]], [0, columns - edged.shape[2]], [0, 0]]
        padded.append(tf.pad(edged, room))
    # levels as images of one batch, (levels * batch, ...): a single `tf.image.crop_and_resize`
    # serves all of them with shapes that never change
    stack = tf.concat(padded, axis=0)
    level = levels_of(boxes)
    stride = tf.gather(tf.constant(STRIDES, tf.float32), level)[..., None]
    # the first sample lies half a step inside the box; the middle of a cell is at its number
    low, high = boxes[..., :2] / stride, boxes[..., 2:] / stride
    half = (high - low) / (2 * CELLS * SAMPLES)
    corners = tf.concat([low + half + 0.5, high - half + 0.5], axis=-1)  # + 1 edge - .5 center
    corners /= tf.constant([rows - 1, columns - 1] * 2, tf.float32)
    where = tf.reshape(level * batch + tf.range(batch)[:, None], (-1,))
    size = (CELLS * SAMPLES, CELLS * SAMPLES)
    crops = tf.image.crop_and_resize(stack, tf.reshape(corners, (-1, 4)), where, size)
    crops = tf.ensure_shape(crops, (None, *size, maps[0].shape[-1]))
    return tf.nn.avg_pool2d(crops, SAMPLES, SAMPLES, "VALID")


class FasterRCNN(keras.Model):
    """The detector; `classes` does not count the background."""

    def __init__(self, config: Config, classes: int):
        super().__init__(name="faster_rcnn")
        self.image_size, self.classes = tuple(config.image_size), classes
        self.backbone = config.backbone
        self.anchors = build_anchors(self.image_size, config.anchor_sizes, config.anchor_ratios)
        self.pyramid = build_pyramid(self.image_size, config.backbone, config.weights)
        self.proposer = build_proposer(len(config.anchor_ratios))
        self.box_head = build_box_head(classes)

    def propose(self, pixels: tf.Tensor, training: bool = False) -> tuple:
        """Returns the maps, and objectness (batch, anchors) and deltas of every anchor."""
        maps = self.pyramid(pixels, training=training)
        parts = zip(*(self.proposer(one, training=training) for one in maps))
        return maps, *(tf.concat(part, axis=1) for part in parts)

    def best_proposals(self, objectness: tf.Tensor, deltas: tf.Tensor) -> tf.Tensor:
        """Returns the RPN's top boxes, (batch, PROPOSALS, 4), padded with zeros."""
        best = tf.math.top_k(objectness, min(BEFORE_NMS, len(self.anchors)))
        anchors = tf.gather(tf.constant(self.anchors), best.indices)
        boxes = decode(anchors, tf.gather(deltas, best.indices, batch_dims=1), self.image_size)
        scores = tf.sigmoid(best.values)[..., None]
        return tf.stop_gradient(_suppress(boxes, scores, PROPOSALS, PROPOSAL_IOU).nmsed_boxes)

    def read_boxes(self, maps: list, boxes: tf.Tensor, training: bool = False) -> tuple:
        """Returns logits (batch, n, 1 + classes) and deltas of boxes (batch, n, 4)."""
        logits, deltas = self.box_head(roi_align(maps, boxes), training=training)
        shape = (-1, tf.shape(boxes)[1])
        return tf.reshape(logits, (*shape, 1 + self.classes)), tf.reshape(deltas, (*shape, 4))

    def detect(self, pixels: tf.Tensor, threshold: float = 0.05, most: int = 100) -> Answer:
        """Finds objects in images (batch, height, width, 3), RGB 0 to 255."""
        maps, objectness, deltas = self.propose(pixels)
        proposals = self.best_proposals(objectness, deltas)
        logits, deltas = self.read_boxes(maps, proposals)
        boxes = decode(proposals, deltas, self.image_size)
        real = tf.reduce_any(proposals > 0, axis=-1, keepdims=True)  # not padded
        scores = tf.where(real, tf.nn.softmax(logits)[..., 1:], 0.0)
        found = _suppress(boxes, scores, most, ANSWER_IOU, threshold)
        classes = tf.cast(found.nmsed_classes, tf.int32)
        return Answer(found.nmsed_boxes, found.nmsed_scores, classes, found.valid_detections)

    def losses(
        self, pixels: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns the four losses of a batch: this, too, is a multi-task network.

        The arguments are those of a batch of `Example`; a difficult object, -1, is learned
        neither as an object nor as background. `seed`, int32 (2,), draws anchors and proposals.
        """
        maps, objectness, deltas = self.propose(pixels, training=True)
        anchors = tf.constant(self.anchors)
        chosen = targets.choose_anchors(anchors, boxes, labels, seed)
        proposals = tf.concat([self.best_proposals(objectness, deltas), boxes], axis=1)
        rois = targets.choose_proposals(proposals, boxes, labels, seed)
        logits, moved = self.read_boxes(maps, rois.anchors, training=True)
        return {
            "objectness": targets.objectness_loss(objectness, chosen),
            "proposal_box": targets.box_loss(deltas, encode(anchors, chosen.boxes), chosen.found),
            "class": targets.class_loss(logits, rois),
            "box": targets.box_loss(moved, encode(rois.anchors, rois.boxes), rois.found),
        }


def _suppress(boxes: tf.Tensor, scores: tf.Tensor, most: int, iou: float, least: float = -np.inf):
    """Keeps the best boxes (batch, n, 4) by their scores (batch, n, classes), class by class."""
    return tf.image.combined_non_max_suppression(
        boxes[:, :, None], scores, most, most, iou, least, clip_boxes=False
    )
