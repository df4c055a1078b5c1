"""Trains the detector by a config: checkpoints, log, TensorBoard, and resuming."""

import time
from pathlib import Path

import numpy as np
import pandas as pd

import helpers.detection.runs as runs
from helpers.common import expected, keras, progress_bar, tf, whole_folder, write_text
from helpers.detection.config import CONFIG_FILE, LABEL_MAP_FILE, LOSSES, Config, LabelMap
from helpers.detection.images import Example, training_batches
from helpers.detection.network import FasterRCNN
from helpers.detection.records import read_records, require_whole, shard_files
from helpers.detection.runs import DetectionRun
from helpers.detection.scores import COLUMNS, score_network
from helpers.train import PLANNED_STEPS, OneCycle, check_folder

CLIP = 10.0  # norm of all gradients: the first steps on a new image can be wild
MOST_BOXES = 64  # to train on per image; of more, the largest are kept


def train(
    config: Config, folder: Path, *, resume: bool = False, overwrite: bool = False
) -> DetectionRun:
    """Trains a detector into a folder and returns the finished run.

    With `resume` it goes on after the newest checkpoint there; the config may then only be longer.
    Raises WorkshopError on bad records, a folder in use, or a loss that is not finite.
    """
    run = _open_or_create(config, Path(folder), resume, overwrite)
    session = Session(run, resume)
    try:
        while session.share < 1:
            session.train_until_checkpoint()
    except KeyboardInterrupt:
        kept = f"{len(run.checkpoints)} checkpoints are kept in {run.folder}."
        advice = "The same command with --resume goes on after the newest."
        raise KeyboardInterrupt(f"{kept} {advice}") from None
    return run


def _open_or_create(config: Config, folder: Path, resume: bool, overwrite: bool) -> DetectionRun:
    label_map = config.read_label_map()
    inputs = [config.checkpoint, *config.train, *config.val]
    if check_folder(folder, resume, overwrite, inputs, runs.RUN_FILES):
        run = runs.open_run(folder)
        free = ("num_steps", "minutes", "keep")
        before = vars(run.config.replace(**{name: getattr(config, name) for name in free}))
        if changed := [name for name in before if before[name] != getattr(config, name)]:
            what, found = f"the config that {folder} was started with", ", ".join(changed)
            fix = f"Resume with its own {CONFIG_FILE}, or use another --out."
            raise expected(what, f"another {found}", fix)
        config.write(folder / CONFIG_FILE)  # it may be longer than before
        return DetectionRun(folder, config, run.label_map)
    with whole_folder(folder, runs.RUN_FILES) as draft:
        config.write(draft / CONFIG_FILE)
        label_map.write(draft / LABEL_MAP_FILE)
    return DetectionRun(folder, config, label_map)


class Session:
    """One start of a run: from a new network or, with `resume`, from its newest checkpoint."""

    def __init__(self, run: DetectionRun, resume: bool):
        self.run, self.config = run, run.config
        self.began = time.monotonic()
        files = shard_files(self.config.train)
        self._val = shard_files(self.config.val) if self.config.val else []
        require_whole(self._val)
        images = sum(require_whole(files).values())
        if images < self.config.batch_size:
            what = f"at least batch_size = {self.config.batch_size} images"
            raise expected(what, images, "Lower batch_size, or write more records.", "train")
        most = _most_boxes(files, run.label_map)
        keras.utils.set_random_seed(self.config.seed)
        self.network = FasterRCNN(self.config, run.label_map.classes)
        rate, decay = self.config.learning_rate, self.config.weight_decay
        self.optimizer = keras.optimizers.AdamW(rate, decay, global_clipnorm=CLIP)
        # scales, offsets and biases are not decayed
        self.optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        self.optimizer.build(self.network.trainable_variables)
        self.step, self.used, self._rows = 0, 0.0, []
        if resume and run.checkpoints:
            self.step = runs.restore(run.checkpoints[-1], self.network, self.optimizer)
            if len(log := run.log):
                self._rows = log[log["step"] <= self.step].to_dict("records")
            self.used = self._rows[-1]["seconds"] if self._rows else 0.0
            print(f"going on after step {self.step}", flush=True)
        elif self.config.checkpoint:
            lines = runs.start_from(Path(self.config.checkpoint), self.network)
            print("\n".join(lines), flush=True)
        self._board = tf.summary.create_file_writer(str(run.folder / "tensorboard"))
        rates = OneCycle(rate, PLANNED_STEPS)(np.arange(PLANNED_STEPS + 1))
        self._rates = keras.ops.convert_to_numpy(rates)
        sizes = (images, most, self.step)
        self._batches = iter(training_batches(files, run.label_map, self.config, *sizes))

    @property
    def share(self) -> float:
        """The fraction of the run that is done; above 1 when it is late."""
        if self.config.minutes is None:
            return self.step / self.config.num_steps
        return (self.used + time.monotonic() - self.began) / (60 * self.config.minutes)

    def train_until_checkpoint(self) -> None:
        """Trains until a multiple of `checkpoint_every` or the end, then writes a checkpoint."""
        minutes, every = self.config.minutes, self.config.checkpoint_every
        sums, count = np.zeros(len(LOSSES)), 0
        end = f", {minutes:g} minutes in all" if minutes else f" of {self.config.num_steps}"
        with progress_bar(total=every, unit="step", desc=f"step {self.step}{end}") as bar:
            while self.share < 1 and (count == 0 or self.step % every):
                rate = self._rates[min(int(self.share * PLANNED_STEPS), PLANNED_STEPS)]
                self.optimizer.learning_rate = float(rate)
                seed = tf.constant([self.config.seed, self.step])
                losses = self._learn(next(self._batches), seed).numpy()
                if not np.isfinite(losses).all():
                    found = f"{losses.tolist()} at step {self.step}"
                    fix = "Lower learning_rate, then go on with --resume."
                    raise expected("losses that are numbers", found, fix)
                sums, count = sums + losses, count + 1
                self.step += 1
                bar.set_postfix(loss=f"{losses.sum():.2f}", refresh=False)
                bar.update()
        self._keep(sums / count)

    @tf.function
    def _learn(self, batch: Example, seed: tf.Tensor) -> tf.Tensor:
        """Takes a step; returns the losses of its batch, as `LOSSES` (4,)."""
        with tf.GradientTape() as tape:
            losses = self.network.losses(batch.pixels, batch.boxes, batch.labels, seed)
            total = tf.add_n([self.config.loss_weights[name] * losses[name] for name in LOSSES])
        variables = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(total, variables), variables))
        return tf.stack([losses[name] for name in LOSSES])

    def _keep(self, losses: np.ndarray) -> None:
        """Writes the checkpoint first: scores can be computed again, training cannot."""
        runs.save_checkpoint(self.run, self.step, self.network, self.optimizer)
        row = {"step": self.step, **dict(zip(LOSSES, losses.round(4).tolist()))}
        if self._val:
            table = score_network(self.network, self._val, self.run.label_map)
            row |= {name: round(float(table.loc["all", name]), 4) for name in COLUMNS}
        row["seconds"] = round(self.used + time.monotonic() - self.began, 1)
        self._rows.append(row)
        text = pd.DataFrame(self._rows).to_csv(index=False, lineterminator="\n")
        write_text(self.run.folder / runs.LOG_FILE, text)
        with self._board.as_default(step=self.step):
            for name, value in row.items():
                tf.summary.scalar(name, value)
        self._board.flush()
        shown = (f"{name} {value:.3f}" for name, value in row.items() if name != "step")
        print(f"step {self.step}: {', '.join(shown)}", flush=True)


def _most_boxes(files: list[str], label_map: LabelMap) -> int:
    """Returns to how many boxes images are padded; reports boxes of unknown classes."""
    dataset = read_records(files, label_map).map(lambda one: one["labels"])
    labels = list(dataset.as_numpy_iterator())
    if unknown := sum(int((one == 0).sum()) for one in labels):
        print(f"note: {unknown:,} boxes of classes missing from the label map are left out")
    return max(1, min(MOST_BOXES, max(map(len, labels))))
