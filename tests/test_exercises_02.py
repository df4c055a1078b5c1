import pytest

from helpers.common import keras, layers, tf
from helpers.workshop import exercises

CLASSES = {"gender": 3, "top_color": 12, "bottom_color": 12}
crossentropy = keras.losses.SparseCategoricalCrossentropy


def over_all_rows(targets, probabilities):
    wanted = tf.one_hot(targets, probabilities.shape[-1])  # of -1: a row of zeros
    return keras.losses.CategoricalCrossentropy()(wanted, probabilities)


def test_the_masked_loss_divides_by_the_labelled_rows():
    assert exercises.is_right("02-mask", crossentropy(ignore_class=-1))
    assert not exercises.is_right("02-mask", over_all_rows)
    assert not exercises.is_right("02-mask", lambda targets, probabilities: 0.0)


def network(pooling=layers.GlobalMaxPooling2D, classes=CLASSES, tower=False):
    pixels = keras.Input((16, 8, 3))
    backbone = keras.Model(pixels, layers.Conv2D(4, 3)(pixels), name="backbone")
    image = keras.Input((16, 8, 3))
    vector = pooling()(backbone(image))
    if tower:
        vector = layers.Dense(8)(vector)
    heads = {t: layers.Dense(n, activation="softmax", name=t)(vector) for t, n in classes.items()}
    return keras.Model(image, heads)


def test_pooling_wants_the_maximum_alone_and_no_tower():
    assert exercises.is_right("02-pooling", network())
    assert not exercises.is_right("02-pooling", network(layers.GlobalAveragePooling2D))
    assert not exercises.is_right("02-pooling", network(tower=True))
    assert not exercises.is_right("02-pooling", network(classes=CLASSES | {"age": 5}))


@pytest.mark.parametrize("frozen, steps, right", [(True, 1, True), (False, 1, False), (True, 0, 0)])
def test_the_fourth_task_is_trained_on_a_frozen_backbone(frozen, steps, right):
    model = network(classes=CLASSES | {"age": 5})
    model.get_layer("backbone").trainable = not frozen
    model.compile(loss={task: crossentropy() for task in model.output})
    if steps:
        targets = {task: tf.zeros(2, tf.int32) for task in model.output}
        model.fit(tf.zeros((2, 16, 8, 3)), targets, verbose=0)
    assert exercises.is_right("02-fourth", model) == bool(right)


def test_a_loss_of_the_entropy_of_the_labels_has_learned_their_frequencies():
    assert exercises.is_right("02-loss", "the class frequencies")
    assert not exercises.is_right("02-loss", "nothing")
