"""Trains a network by a recipe: stages, a saved model for every epoch, and a way to go on."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from helpers.common import expected, keras
from helpers.manifest import Manifest, check_split
from helpers.model import (
    compute_sampling_weights,
    load_model,
    parse_task_weights,
    set_pixel_statistics,
)
from helpers.pipeline import channel_statistics, load_images, steps_per_epoch
from helpers.train.callbacks import BatchLog, EpochRecorder
from helpers.train.idea import Idea
from helpers.train.recipe import Recipe, Stage
from helpers.train.recipes import describe_stage
from helpers.train.runs import Run, check_data, check_folder, check_labels, create_run, open_run
from helpers.train.schedules import Clock, StagePlan
from helpers.train.stages import build_stage_model, compile_model, stage_batches, trace_once
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

    It uses the default recipe where `recipe` is None; a run that resumes keeps its own, and goes on
    after its last whole epoch. For stages with `minutes`, these `began` on `time.monotonic` (now
    where None), and some seconds `afterwards` are left for what comes after training. `after_epoch`
    gets the log's line of every epoch, when the epoch is kept.

    Raises:
        WorkshopError: a manifest without split or with a group on two sides; a folder that is
            not empty; a run of other labels or another recipe.
        KeyboardInterrupt: on Ctrl-C; everything up to the last whole epoch is kept.
    """
    began = time.monotonic() if began is None else began
    check_split(manifest)
    run = open_or_create(manifest, Path(folder), recipe, resume, overwrite, idea)
    state, stages = State(run), run.recipe.stages
    data = manifest.select(list(run.labels.tasks))
    try:
        while state.stage < len(stages):
            kept = afterwards if state.stage + 1 == len(stages) else 0.0
            _train_stage(data, state, began, kept, after_epoch, idea)
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
) -> Run:
    """Opens the run to go on with, or makes a new one; the arguments are those of `train`."""
    if not resume or not (folder / "run.json").exists():
        recipe = recipe or Recipe()
        check_folder(folder, overwrite)
        _try_out(manifest, Run(folder, manifest.labels, recipe), idea)
        return create_run(folder, manifest, recipe, overwrite)
    run = open_run(folder)
    check_labels(run, manifest)
    check_data(run, manifest)
    if recipe and recipe != run.recipe:
        old, new = run.recipe.to_json(), recipe.to_json()
        changed = ", ".join(name for name in old if old[name] != new[name])
        raise expected(
            f"the recipe that {folder} was started with",
            f"another {changed}",
            "Resume without those flags, or train into another --out.",
        )
    return run


def _try_out(manifest: Manifest, run: Run, idea: Idea | None) -> None:
    """Meets bad input before anything is written, or a run that is there is replaced."""
    training, validation = manifest.subset("train"), manifest.subset("validation")
    if all((validation.targets(task) < 0).all() for task in validation.tasks):
        raise expected(
            "labels in the split validation",
            "none",
            "The best epoch could not be told from the others. Fill some in, or split again.",
            manifest.name,
        )
    if run.recipe.task_weights != "uncertainty":
        parse_task_weights(run.recipe.task_weights, run.labels)
    compute_sampling_weights(training, run.recipe.sampling)
    for stage in run.recipe.stages:
        build_stage_model(run, stage, idea)
        load_images(training, stage.image_size)
        load_images(validation, stage.image_size)


def _train_stage(
    manifest: Manifest,
    state: State,
    began: float,
    afterwards: float,
    after_epoch: Callable[[Mapping[str, float]], None] | None,
    idea: Idea | None,
) -> None:
    stage, training = state.run.recipe.stages[state.stage], manifest.subset("train")
    clock = Clock(stage, began, state.seconds, afterwards) if stage.minutes else None
    validation = manifest.subset("validation")
    recorder = EpochRecorder(state.run, stage, state, validation, clock, after_epoch)
    last = state.stage_start + (ENDLESS if clock else stage.epochs)
    is_over = clock.share >= 1 if clock and state.seconds else state.epoch >= last
    if is_over or recorder.has_stopped():  # killed after the last epoch, perhaps not yet marked
        state.run.mark_best(pd.DataFrame(state.rows))
    else:
        until = f", {stage.minutes:g} minutes in all" if clock else f"/{last}"
        log = BatchLog(state.run.folder / "batches.csv", until, state)
        watch = clock or StagePlan(stage, last - state.epoch)
        _fit(training, state, last, [watch, log, recorder], idea)
    state.start_next_stage()


def _fit(
    training: Manifest,
    state: State,
    last: int,
    callbacks: list[keras.callbacks.Callback],
    idea: Idea | None,
) -> None:
    """Trains the stage that the run stands at, up to its `last` epoch."""
    run, recipe, stage = state.run, state.run.recipe, state.run.recipe.stages[state.stage]
    keras.utils.set_random_seed(recipe.seed)  # here, so that a run resumed in stage 2 is the same
    model = build_stage_model(run, stage, idea)
    start_from_before(model, run, stage, state, training)
    steps = steps_per_epoch(training, stage.batch_size)
    compile_model(model, training, recipe, stage, steps * stage.epochs, idea=idea)
    model.optimizer.build(model.trainable_variables)
    state.restore(model)
    batches = stage_batches(training, recipe, stage, state.epoch, idea)
    if len(recipe.stages) > 1:
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


def start_from_before(
    model: keras.Model, run: Run, stage: Stage, state: State, training: Manifest
) -> None:
    """Gives the network of a stage what comes before: the best epoch, or at first the pixels."""
    if not state.epoch:
        if run.recipe.pixels == "dataset":
            set_pixel_statistics(model, *channel_statistics(training, stage.image_size))
    elif not state.weights:  # a later stage starts from the best of those before
        best = run.mark_best(pd.DataFrame(state.rows))
        model.set_weights(load_model(run.epoch_path(best)).get_weights())


def single_task_twins(recipe: Recipe, manifest: Manifest, folder: Path) -> dict[str, Run]:
    """Trains for each task a network that differs in nothing but in having that task alone."""
    runs = {}
    for task in manifest.labels.tasks:
        print(f"single task: {task}")
        runs[task] = train(manifest.select([task]), Path(folder) / task, recipe, overwrite=True)
    return runs
