"""What a stage trains: its network, compiled, and its batches; and where an idea enters them."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from helpers.common import expected, keras, steady, tf
from helpers.manifest import Labels, Manifest, did_you_mean
from helpers.model import (
    MaskedAccuracy,
    MaskedCrossentropy,
    balance,
    build_model,
    compute_sampling_weights,
    parse_task_weights,
    weigh_by_uncertainty,
)
from helpers.pipeline import AUGMENTATIONS, batches_in_order, training_batches
from helpers.train.recipe import Recipe, Stage
from helpers.train.schedules import learning_rate

# of a recipe, as `build_model` takes them
NETWORK = ("backbone", "weights", "pooling", "tower", "dropout", "initialization", "pixels")


class Idea:
    """Something to try in a training: override what it changes; the rest is the recipe's.

    A run that resumes needs the same idea again, and a layer of your own in a saved model needs
    `keras.saving.register_keras_serializable`.
    """

    def weights(self, training: Manifest) -> np.ndarray | None:
        """Returns the sampling weight of every row, (n,), sums to 1; None: as the recipe says."""
        return None

    def batches(self, batches: tf.data.Dataset, labels: Labels) -> tf.data.Dataset:
        """Returns the batches to train on; targets may become float (batch, classes)."""
        return batches

    def network(self, model: keras.Model) -> keras.Model:
        """Returns the network to train, from that of `build_model`, before it is compiled."""
        return model

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray) -> keras.losses.Loss:
        """Returns the loss of a task; `counts` are the training rows of each class, (classes,)."""
        return loss


def build_stage_model(
    labels: Labels, recipe: Recipe, stage: Stage, idea: Idea | None = None
) -> keras.Model:
    """Builds the network of a stage with the recipe's initial weights."""
    uncertainty = recipe.task_weights == "uncertainty"
    options = {name: getattr(recipe, name) for name in NETWORK}
    model = build_model(labels, stage.image_size, task_uncertainty=uncertainty, **options)
    if idea:
        model = idea.network(model)
    if stage.freeze_backbone:
        model.get_layer("backbone").trainable = False
    elif stage.frozen_until:
        freeze_until(model.get_layer("backbone"), stage.frozen_until)
    return model


def freeze_until(backbone: keras.Model, name: str) -> None:
    """Freezes the first layers of a backbone, up to the one of this name."""
    own = _layers_in_order(backbone)
    names = [layer.name for layer in own]
    if name not in names:
        fix = did_you_mean(name, names) or "See build_backbone(...).summary(expand_nested=True)."
        raise expected("--frozen-until with a layer of the backbone", repr(name), fix)
    for layer in own[: names.index(name) + 1]:
        layer.trainable = False


def _layers_in_order(model: keras.Model) -> list[keras.layers.Layer]:
    # not `_flatten_layers`, which turns the order of a network within another one round
    nested = (_layers_in_order(x) if hasattr(x, "layers") else [x] for x in model.layers)
    return [layer for layers in nested for layer in layers]


def compile_model(
    model: keras.Model,
    labels: Labels,
    counts: Mapping[str, np.ndarray],
    recipe: Recipe,
    stage: Stage,
    steps: int,
    idea: Idea | None = None,
) -> None:
    """Gives a network its optimizer for all `steps` of a stage, and losses; see `class_counts`."""
    optimizer = build_optimizer(recipe, stage, steps, model)
    losses, loss_weights = losses_of(model, labels, counts, recipe, idea)
    metrics = {task: [MaskedAccuracy(name="accuracy")] for task in labels.tasks}
    model.compile(optimizer, losses, loss_weights=loss_weights, metrics=metrics)


def losses_of(
    model: keras.Model,
    labels: Labels,
    counts: Mapping[str, np.ndarray],
    recipe: Recipe,
    idea: Idea | None = None,
) -> tuple[dict[str, keras.losses.Loss], dict[str, float]]:
    """Returns a loss for each task and its weight in the sum; arguments as in `compile_model`."""
    weights = balance(counts) if recipe.class_weights == "balanced" else {}
    losses = {
        task: MaskedCrossentropy(weights.get(task), recipe.label_smoothing, name=task)
        for task in labels.tasks
    }
    if idea:
        losses = {task: idea.loss(task, loss, counts[task]) for task, loss in losses.items()}
    if recipe.task_weights == "uncertainty":
        return weigh_by_uncertainty(model, losses), dict.fromkeys(losses, 1.0)
    return losses, parse_task_weights(recipe.task_weights, labels)


class TwoRates(keras.optimizers.AdamW):
    """AdamW whose steps are shorter, by a `factor`, in the `slow` ones of the model's variables."""

    def __init__(self, *args, slow: frozenset[int], factor: float, **kwargs):
        super().__init__(*args, **kwargs)
        self._slow, self._factor = slow, factor

    def update_step(self, gradient, variable, learning_rate):
        """Changes one variable."""
        factor = self._factor if self._get_variable_index(variable) in self._slow else 1.0
        super().update_step(gradient, variable, learning_rate * factor)


def build_optimizer(
    recipe: Recipe, stage: Stage, steps: int, model: keras.Model | None = None
) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a stage of `steps` steps in all, for a network."""
    kind, slow = keras.optimizers.AdamW, []
    if recipe.backbone_rate < 1:
        slow, variables = model.get_layer("backbone").trainable_variables, model.trainable_variables
        numbers = frozenset(i for i, v in enumerate(variables) if any(v is s for s in slow))
        kind = partial(TwoRates, slow=numbers, factor=recipe.backbone_rate)
    optimizer = kind(
        learning_rate(stage, steps),
        weight_decay=recipe.weight_decay,
        use_ema=recipe.ema > 0,
        ema_momentum=recipe.ema or 0.99,
        ema_overwrite_frequency=None,
        gradient_accumulation_steps=stage.accumulate if stage.accumulate > 1 else None,
    )
    # Scales, offsets and biases are left alone, as usual: decay would pull them to no purpose.
    # So is what was pretrained, which is to stay near what it was.
    names = ["gamma", "beta", "bias", "log_variance"]
    optimizer.exclude_from_weight_decay(var_list=slow, var_names=names)
    return optimizer


def stage_batches(
    training: Manifest, recipe: Recipe, stage: Stage, first_epoch: int = 0, idea: Idea | None = None
) -> tf.data.Dataset:
    """Returns a stage's batches from an epoch on, as `helpers.pipeline.training_batches` does."""
    weights = idea.weights(training) if idea else None
    if weights is None:
        weights = compute_sampling_weights(training, recipe.sampling)
    batches = training_batches(
        training,
        stage.image_size,
        stage.batch_size,
        augmentation=AUGMENTATIONS[stage.augmentation],
        sampling_weights=weights,
        seed=recipe.seed,
        first_epoch=first_epoch * stage.repeats,
    )
    return steady(idea.batches(batches, training.labels).prefetch(1)) if idea else batches


def trace_once(model: keras.Model, batches: tf.data.Dataset) -> None:
    """Lets `fit` trace its training step once: Keras traces twice, each time for seconds.

    It creates the metrics' variables in the first trace; here they are built beforehand.
    """
    model._symbolic_build(data_batch=next(iter(batches.take(1))))
    model.train_function = tf.function(lambda iterator: model.train_step(next(iterator)))


def predict_manifest(model: keras.Model, manifest: Manifest) -> dict[str, np.ndarray]:
    """Returns for each task float32 (images, classes), in order; rows that sum to 1."""
    return model.predict(batches_in_order(manifest, model.input_shape[1:3]), verbose=0)
