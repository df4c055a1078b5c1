"""Which anchor answers for which object, and the four losses (Ren et al. 2015).

Anchors, or proposals, are matched with objects by intersection over union (IoU). A few of them
are drawn for each image, since nearly all of the others are easy background.
"""

from typing import NamedTuple

from keras.utils import bounding_boxes

from helpers.common import tf

ANCHOR_HIGH, ANCHOR_LOW = 0.6, 0.3  # IoU from which an anchor is an object; below, background
PROPOSAL_HIGH = 0.5  # likewise of a proposal, without a gap
ANCHORS, ANCHORS_FOUND = 128, 64  # drawn for each image, and of these objects at most
DRAWN, DRAWN_FOUND = 32, 12  # likewise of the proposals


class Chosen(NamedTuple):
    """What is drawn of anchors or proposals, and what they should have predicted."""

    anchors: tf.Tensor  # (..., 4), the anchors or proposals themselves
    boxes: tf.Tensor  # (..., 4), the object of each; the nearest one where it is background
    labels: tf.Tensor  # int32 (...), place of the object's class from 1 on, 0 for background
    found: tf.Tensor  # float (...), 1 where an object is to be found and it was drawn
    used: tf.Tensor  # float (...), 1 where it was drawn


def match(
    anchors: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor, high: float, low: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds for each anchor, (anchors, 4) or (batch, anchors, 4), the object it overlaps most.

    It answers for that from an IoU of `high` on; below `low` it is background, and in between it
    is left alone. Boxes and labels are those of a batch of `Example`.

    Returns:
        The object of each anchor (batch, anchors), int32; its label, 0 for background and -1 for
        what is left alone (batch, anchors); and the IoU of all pairs (batch, anchors, most).
    """
    iou = bounding_boxes.compute_iou(anchors, boxes, "yxyx")
    iou = tf.where((labels != 0)[:, None], iou, 0.0)
    best = tf.reduce_max(iou, axis=-1)
    which = tf.argmax(iou, axis=-1, output_type=tf.int32)
    label = tf.gather(labels, which, batch_dims=1)
    label = tf.where(best >= high, label, tf.where(best < low, 0, -1))
    return which, label, iou


def choose_anchors(
    anchors: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> Chosen:
    """Draws `ANCHORS` of every image's anchors; every object has at least its best one.

    All anchors are returned, (batch, anchors, ...); `used` says which were drawn.
    """
    which, label, iou = match(anchors, boxes, labels, ANCHOR_HIGH, ANCHOR_LOW)
    # an object that no anchor overlaps by much gets those that overlap it most
    top = tf.reduce_max(iou, axis=1, keepdims=True)  # (batch, 1, most)
    is_best = (iou >= top - 1e-4) & (top > 0.1) & (labels > 0)[:, None]
    forced = tf.argmax(tf.where(is_best, iou, -1.0), axis=-1, output_type=tf.int32)
    any_best = tf.reduce_any(is_best, axis=-1)
    which = tf.where(any_best, forced, which)
    label = tf.where(any_best, tf.gather(labels, which, batch_dims=1), label)
    dice = tf.random.stateless_uniform(tf.shape(label), seed)
    found = _draw(label > 0, dice, tf.fill(tf.shape(label)[:1], ANCHORS_FOUND))
    room = ANCHORS - tf.reduce_sum(tf.cast(found, tf.int32), axis=1)
    used = found | _draw(label == 0, dice, room)
    all_anchors = tf.broadcast_to(anchors, (*tf.unstack(tf.shape(label)), 4))
    objects = tf.gather(boxes, which, batch_dims=1)
    objects = tf.where(found[..., None], objects, all_anchors)  # a background's delta is 0
    found, used = tf.cast(found, tf.float32), tf.cast(used, tf.float32)
    return Chosen(all_anchors, objects, label, found, used)


def choose_proposals(
    proposals: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> Chosen:
    """Draws `DRAWN` proposals of every image, at most `DRAWN_FOUND` of them objects.

    Only those are returned, (batch, DRAWN, ...); `used` is 0 where there were too few.
    """
    which, label, _ = match(proposals, boxes, labels, PROPOSAL_HIGH, PROPOSAL_HIGH)
    real = tf.reduce_all(proposals[..., 2:] > proposals[..., :2], axis=-1)  # not padded
    dice = tf.random.stateless_uniform(tf.shape(label), seed)
    found = _draw((label > 0) & real, dice, tf.fill(tf.shape(label)[:1], DRAWN_FOUND))
    order = tf.where(found, 2.0 + dice, tf.where((label == 0) & real, 1.0 + dice, 0.0))
    best = tf.math.top_k(order, DRAWN)
    take = best.indices
    found = tf.cast(tf.gather(found, take, batch_dims=1), tf.float32)
    mine = tf.gather(proposals, take, batch_dims=1)
    objects = tf.gather(boxes, tf.gather(which, take, batch_dims=1), batch_dims=1)
    objects = tf.where(found[..., None] > 0, objects, mine)
    used = tf.cast(best.values >= 1.0, tf.float32)
    label = tf.gather(label, take, batch_dims=1)
    return Chosen(mine, objects, tf.where(found > 0, label, 0), found, used)


def _draw(candidates: tf.Tensor, dice: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Draws up to `count` (batch,) of the candidates (batch, n): bool (batch, n)."""
    dice = tf.where(candidates, dice, -1.0)
    ordered = tf.sort(dice, axis=-1, direction="DESCENDING")
    last = tf.clip_by_value(count, 1, tf.shape(dice)[1]) - 1
    last = tf.gather(ordered, last, batch_dims=1)[:, None]
    return candidates & (dice >= last) & (count > 0)[:, None]


def objectness_loss(logits: tf.Tensor, chosen: Chosen) -> tf.Tensor:
    """Binary cross-entropy over the anchors that were drawn: is there something?"""
    truth = tf.cast(chosen.labels > 0, tf.float32)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(truth, logits)
    return tf.reduce_sum(loss * chosen.used) / tf.maximum(tf.reduce_sum(chosen.used), 1.0)


def class_loss(logits: tf.Tensor, chosen: Chosen) -> tf.Tensor:
    """Cross-entropy over the proposals that were drawn: which class, or background?"""
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(chosen.labels, logits)
    return tf.reduce_sum(loss * chosen.used) / tf.maximum(tf.reduce_sum(chosen.used), 1.0)


def box_loss(deltas: tf.Tensor, wanted: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """Smooth L1 (Girshick 2015) over the objects: how far is each side off? Mean of objects."""
    error = tf.abs(deltas - wanted)
    loss = tf.where(error < 1.0, 0.5 * error**2, error - 0.5)
    loss = tf.reduce_sum(loss, axis=-1) * found
    return tf.reduce_sum(loss) / tf.maximum(tf.reduce_sum(found), 1.0)
