"""Matches anchors and proposals with objects, and the losses (Ren et al. 2015).

A few are drawn for each image: nearly all of the others are easy background.
"""

from typing import NamedTuple

from helpers.common import keras, tf

ANCHOR_HIGH, ANCHOR_LOW = 0.6, 0.3  # IoU from which an anchor is an object; below, background
PROPOSAL_HIGH = 0.5  # the same for a proposal, without a gap
ANCHORS, ANCHORS_FOUND = 128, 64  # sampled per image, and how many of them may be objects
DRAWN, DRAWN_FOUND = 32, 12  # the same for proposals


class Chosen(NamedTuple):
    """The sampled anchors or proposals, and their targets."""

    anchors: tf.Tensor  # (..., 4), the anchors or proposals themselves
    boxes: tf.Tensor  # (..., 4), the object of each; the nearest one where it is background
    labels: tf.Tensor  # int32 (...), place of the object's class from 1 on, 0 for background
    found: tf.Tensor  # float (...), 1 where an object is to be found and it was drawn
    used: tf.Tensor  # float (...), 1 where it was drawn


def match(
    anchors: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor, high: float, low: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds for each anchor, (anchors, 4) or (batch, anchors, 4), the object it overlaps most.

    Returns the object of each anchor and its label, int32 (batch, anchors), and the IoU of all
    pairs (batch, anchors, most). A label is 0, background, below an IoU of `low`, and -1, left
    alone, below `high`. Boxes and labels are those of a batch of `Example`.
    """
    iou = keras.utils.bounding_boxes.compute_iou(anchors, boxes, "yxyx")
    iou = tf.where((labels != 0)[:, None], iou, 0.0)
    best = tf.reduce_max(iou, axis=-1)
    which = tf.argmax(iou, axis=-1, output_type=tf.int32)
    label = tf.gather(labels, which, batch_dims=1)
    return which, tf.where(best >= high, label, tf.where(best < low, 0, -1)), iou


def choose_anchors(
    anchors: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> Chosen:
    """Draws `ANCHORS` anchors of every image, but returns all; every object has its best one."""
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
    room = ANCHORS - tf.math.count_nonzero(found, axis=1, dtype=tf.int32)
    used = found | _draw(label == 0, dice, room)
    all_anchors = tf.broadcast_to(anchors, (*tf.unstack(tf.shape(label)), 4))
    objects = tf.gather(boxes, which, batch_dims=1)
    objects = tf.where(found[..., None], objects, all_anchors)  # a background's delta is 0
    return Chosen(all_anchors, objects, label, *(tf.cast(x, tf.float32) for x in (found, used)))


def choose_proposals(
    proposals: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> Chosen:
    """Draws `DRAWN` proposals of every image and returns those; `used` is 0 where too few."""
    which, label, _ = match(proposals, boxes, labels, PROPOSAL_HIGH, PROPOSAL_HIGH)
    real = tf.reduce_all(proposals[..., 2:] > proposals[..., :2], axis=-1)  # not padded
    dice = tf.random.stateless_uniform(tf.shape(label), seed)
    found = _draw((label > 0) & real, dice, tf.fill(tf.shape(label)[:1], DRAWN_FOUND))
    order = tf.where(found, 2.0 + dice, tf.where((label == 0) & real, 1.0 + dice, 0.0))
    best, take = tf.math.top_k(order, DRAWN)
    found = tf.cast(tf.gather(found, take, batch_dims=1), tf.float32)
    mine = tf.gather(proposals, take, batch_dims=1)
    objects = tf.gather(boxes, tf.gather(which, take, batch_dims=1), batch_dims=1)
    objects = tf.where(found[..., None] > 0, objects, mine)
    label = tf.where(found > 0, tf.gather(label, take, batch_dims=1), 0)
    return Chosen(mine, objects, label, found, tf.cast(best >= 1.0, tf.float32))


def _draw(candidates: tf.Tensor, dice: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Draws up to `count` (batch,) of the candidates (batch, n): bool (batch, n)."""
    dice = tf.where(candidates, dice, -1.0)
    ordered = tf.sort(dice, axis=-1, direction="DESCENDING")
    last = tf.gather(ordered, tf.clip_by_value(count, 1, tf.shape(dice)[1]) - 1, batch_dims=1)
    return candidates & (dice >= last[:, None]) & (count > 0)[:, None]


def _mean(loss: tf.Tensor, used: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(loss * used) / tf.maximum(tf.reduce_sum(used), 1.0)


def objectness_loss(logits: tf.Tensor, chosen: Chosen) -> tf.Tensor:
    """Binary cross-entropy over the anchors that were drawn: is there something?"""
    truth = tf.cast(chosen.labels > 0, tf.float32)
    return _mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, logits), chosen.used)


def class_loss(logits: tf.Tensor, chosen: Chosen) -> tf.Tensor:
    """Cross-entropy over the proposals that were drawn: which class, or background?"""
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(chosen.labels, logits)
    return _mean(loss, chosen.used)


def box_loss(deltas: tf.Tensor, wanted: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """Smooth L1 (Girshick 2015) over the objects: how far is each side off? Mean of objects."""
    error = tf.abs(deltas - wanted)
    loss = tf.where(error < 1.0, 0.5 * error**2, error - 0.5)
    return _mean(tf.reduce_sum(loss, axis=-1), found)
