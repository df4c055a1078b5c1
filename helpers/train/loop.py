"""Trains a network by a recipe: stages, a saved model for every epoch, and a way to go on."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from helpers.common import expected, keras
from helpers.manifest import Manifest, check_split
from helpers.model import (
    class_counts,
    compute_sampling_weights,
    parse_task_weights,
    set_pixel_statistics,
)
from helpers.pipeline import channel_statistics, load_images, steps_per_epoch
from helpers.train.callbacks import BatchLog, EpochRecorder
from helpers.train.planning import as_before, fitted
from helpers.train.recipe import Recipe, describe_stage
from helpers.train.runs import Data, Run, check_data, check_folder, create_run, open_run
from helpers.train.schedules import Clock
from helpers.train.stages import Idea, build_stage_model, compile_model, stage_batches, trace_once
from helpers.train.state import State

ENDLESS = 2**20  # epochs


def train(
    manifest: Manifest,
    folder: Path,
    recipe: Recipe | None = None,
    *,
    idea: Idea | None = None,
    resume: bool = False,
    overwrite: bool = False,
    began: float | None = None,
    afterwards: float = 0.0,
    after_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> Run:
    """Trains on the split `train` and validates on `validation` after every epoch.

    A resumed run keeps its recipe and goes on after its last whole epoch. Stages with `minutes`
    `began` on `time.monotonic` (now where None) and leave some seconds `afterwards` for what comes
    after training. `after_epoch` gets the log's line of every epoch, when the epoch is kept.
    WorkshopError for a manifest or folder that no run, or not this one, can use.
    """
    began = time.monotonic() if began is None else began
    run, data = open_or_create(manifest, Path(folder), recipe, resume, overwrite, idea)
    state = State(run)
    if state.epoch:  # best.keras may be damaged, or the run was killed before it was there
        state.mark_best()
    try:
        while state.stage < len(run.recipe.stages):
            last, callbacks = stage_plan(state, data.validation, began, afterwards, after_epoch)
            if callbacks:
                _fit(data.training, state, last, callbacks, idea)
            state.start_next_stage()
            began = time.monotonic()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{state.epoch} whole epochs are kept in {run.folder}. The same command with "
            "--resume goes on after them."
        ) from None
    return run


def open_or_create(
    manifest: Manifest,
    folder: Path,
    recipe: Recipe | None,
    resume: bool,
    overwrite: bool,
    idea: Idea | None = None,
) -> tuple[Run, Data]:
    """Opens the run to go on with, or makes a new one; the arguments are those of `train`."""
    check_split(manifest)
    data = Data(manifest.subset("train"), manifest.subset("validation"))
    inputs = (manifest.source, recipe and recipe.weights)
    if not check_folder(folder, resume, overwrite, inputs):
        recipe = fitted(recipe or Recipe(), data.training)
        _try_out(data, recipe, idea)
        return create_run(folder, data, recipe), data
    run = open_run(folder)
    data = check_data(run, data)
    if recipe and (recipe := as_before(recipe, run.recipe.stages)) != run.recipe:
        old, new = run.recipe.to_json(), recipe.to_json()
        changed = ", ".join(name for name in old if old[name] != new[name])
        what = f"the recipe that {folder} was started with"
        fix = "Resume without those flags, or train into another --out."
        raise expected(what, f"another {changed}", fix)
    return run, data


def _try_out(data: Data, recipe: Recipe, idea: Idea | None) -> None:
    """Meets bad input before anything is written, or a run that is there is replaced."""
    training, validation = data
    if all((validation.targets(task) < 0).all() for task in validation.tasks):
        fix = "The best epoch could not be told from the others. Fill some in, or split again."
        raise expected("labels in the split validation", "none", fix, validation.name)
    if recipe.task_weights != "uncertainty":
        parse_task_weights(recipe.task_weights, training.labels)
    compute_sampling_weights(training, recipe.sampling)
    for stage in recipe.stages:
        build_stage_model(training.labels, recipe, stage, idea)
        for part in data:
            load_images(part, stage.image_size)


def stage_plan(
    state: State,
    validation: Manifest,
    began: float,
    afterwards: float = 0.0,
    after_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> tuple[int, list[keras.callbacks.Callback]]:
    """Returns the last epoch of the stage where a run stands, and callbacks; none if it is over.

    The arguments are those of `train`.
    """
    stages, clock = state.run.recipe.stages, None
    stage = stages[state.stage]
    last = state.stage_start + stage.epochs
    is_over, until = state.epoch >= last, f"/{last}"
    if stage.minutes:
        kept = afterwards if state.stage + 1 == len(stages) else 0.0
        clock = Clock(stage, began, state.seconds, kept)
        is_over = state.seconds > 0 and clock.share >= 1
        last, until = ENDLESS, f", {stage.minutes:g} minutes in all"
    recorder = EpochRecorder(state, validation, clock, after_epoch)
    if is_over or recorder.has_stopped():
        return last, []
    return last, [*filter(None, [clock]), BatchLog(state, until), recorder]


def _fit(training: Manifest, state: State, last: int, callbacks: list, idea: Idea | None) -> None:
    """Trains the stage where the run stands, up to its `last` epoch."""
    run, recipe, stage = state.run, state.run.recipe, state.run.recipe.stages[state.stage]
    keras.utils.set_random_seed(recipe.seed)  # here, so that a run resumed in stage 2 is the same
    model = build_stage_model(run.labels, recipe, stage, idea)
    start_from_before(model, state, training)
    batches = stage_batches(training, recipe, stage, state.epoch, idea)
    steps = steps_per_epoch(training, stage.batch_size) * stage.repeats
    counts = class_counts(training)
    compile_model(model, run.labels, counts, recipe, stage, steps * stage.epochs, idea)
    model.optimizer.build(model.trainable_variables)
    state.restore(model)
    if len(recipe.stages) > 1 or recipe.planned:
        print(describe_stage(recipe, state.stage), flush=True)
    trace_once(model, batches)
    model.fit(
        batches,
        steps_per_epoch=steps,
        initial_epoch=state.epoch,
        epochs=last,
        shuffle=False,  # the batches come shuffled
        verbose=0,
        callbacks=callbacks,
    )


def start_from_before(model: keras.Model, state: State, training: Manifest) -> None:
    """Starts a stage's network from the best epoch so far, or from the statistics of the pixels."""
    run = state.run
    if not state.epoch:
        if run.recipe.pixels == "dataset":
            size = run.recipe.stages[state.stage].image_size
            set_pixel_statistics(model, *channel_statistics(training, size))
    elif not state.weights:  # a later stage starts from the best of those before
        model.set_weights(run.load_model(state.mark_best()).get_weights())
