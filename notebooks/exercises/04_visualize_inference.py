"""What 04_visualize_inference accepts as an answer, and the hints."""

from typing import Any

import numpy as np

from helpers.workshop import Exercise


def _original(answer: Any) -> bool:
    features, slopes = np.random.default_rng(0).normal(size=(2, 3, 5, 2, 7)).astype("float32")
    places = np.asarray(answer(features, slopes))
    wanted = np.maximum((slopes.mean(axis=(1, 2), keepdims=True) * features).sum(axis=-1), 0)
    return places.shape == wanted.shape and np.allclose(places, wanted, atol=1e-4)


def _cheapest(answer: Any, targets: Any, probabilities: Any) -> bool:
    known = np.asarray(targets) != -1
    table, labels = np.asarray(probabilities)[known], np.asarray(targets)[known]
    confidence, wrong = table.max(axis=1), table.argmax(axis=1) != labels

    def cost(threshold: float) -> int:
        answered = confidence >= threshold
        return 10 * int((wrong & answered).sum()) + int((~answered).sum())

    cheapest = min(map(cost, [*confidence, np.inf]))
    # rounded to two digits it may let one answer more, or one less, through
    return cost(float(answer)) <= cheapest + 10


def _alone(answer: Any, model: Any, images: Any) -> bool:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(answer)).get_signature_runner()
    images = np.asarray(images[:2], "float32")
    (name,) = runner.get_input_details()
    ((task, found),) = runner(**{name: images}).items()
    return np.allclose(found, model.predict(images, verbose=0)[task], atol=1e-3)


EXERCISES: dict[str, Exercise] = {
    "04-grad-cam": Exercise(
        _original,
        "one number for each image and channel: `tf.reduce_mean(slopes, axis=(1, 2), "
        "keepdims=True)` takes the place of the slopes. The rest stays, the relu too.",
    ),
    "04-price": Exercise(
        _cheapest,
        "a cost for each threshold: `10 * wrong`, where wrong counts the wrong answers down to it, "
        "plus one for each image below it. `np.argmin(cost)` is the cheapest.",
    ),
    "04-one-task": Exercise(
        _alone,
        "`keras.Model(model.input, {task: model.output[task]})` has the output of one task. Then "
        "export it as above, as litert.",
    ),
}
