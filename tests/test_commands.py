"""Bad input to the commands: one clear message, exit code 2, no traceback, nothing half-written."""

import json
import os
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import evaluate
from helpers.manifest import Labels, Manifest
from helpers.predict import __main__ as predict
from helpers.train import Run
from helpers.train import __main__ as train
from tests.conftest import LABELS
from tests.image_files import BROKEN, FILES, encoded
from tests.test_images import png_bomb, without_adobe_marker

pytestmark = pytest.mark.usefixtures("tiny_backbone")
QUICK = ("--epochs", 1, "--image-size", "32x16", "--batch-size", 8, "--no-export")


@pytest.fixture
def failing(command: Callable, people_csv: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs `helpers.train` on a spoiled manifest and returns its message."""

    def run(*arguments: object, out: Path | None = None, manifest: Path = people_csv) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        where = out or tmp_path / "run"
        code, _, error = command(
            train.main, "--manifest", manifest, "--out", where, *QUICK, *arguments
        )
        assert code == 2, error
        assert error.splitlines()[-1] and "Traceback" not in error and "error: " in error
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        return error

    return run


def edit(csv: Path, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
    frame = pd.read_csv(csv, dtype=str, keep_default_na=False)
    changed = change(frame)
    (frame if changed is None else changed).to_csv(csv, index=False)


# Manifests


def test_a_manifest_without_images(failing: Callable, people_csv: Path) -> None:
    edit(people_csv, lambda frame: frame[:0])
    assert "found a manifest without images" in failing()


def test_no_manifest_at_all(failing: Callable, tmp_path: Path) -> None:
    assert "found no such file" in failing(manifest=tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("image_pth", "image_path"), ("gendr", "gender"), ("splitt", "split"), ("groups", "group")],
)
def test_a_misspelt_column(failing: Callable, people_csv: Path, wrong: str, right: str) -> None:
    edit(people_csv, lambda frame: frame.rename(columns={right: wrong}))
    error = failing()
    assert wrong in error and right in error


def test_one_class_only(failing: Callable, people_csv: Path) -> None:
    edit(people_csv, lambda frame: frame.assign(gender="male"))
    error = failing()
    assert "column gender" in error and "at least two classes" in error


def test_duplicate_rows_and_missing_files_all_at_once(failing: Callable, people_csv: Path) -> None:
    edit(people_csv, lambda frame: pd.concat([frame, frame[:2]]))
    for number in (3, 4, 5):
        (people_csv.parent / f"images/{number:03d}.png").unlink()
    error = failing()
    assert "5 problems" in error and error.count("the same image as in row") == 2
    assert all(
        f"row {row}, images/{row - 2:03d}.png: found no such file" in error for row in (5, 7)
    )


def test_a_manifest_that_is_not_split(failing: Callable, people_csv: Path) -> None:
    edit(people_csv, lambda frame: frame.drop(columns="split"))
    assert "--split 0.7,0.15,0.15" in failing()


def test_a_group_on_two_sides(failing: Callable, people_csv: Path) -> None:
    edit(people_csv, lambda frame: frame.assign(group="one person"))
    assert "each group in one split" in failing()


def test_an_unknown_task(failing: Callable) -> None:
    assert "Did you mean 'gender'?" in failing("--tasks", "gendre")


# Images


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FILES["baseline.jpg"][:-300], "ends early"),
        (b"I am a text", "no image, whatever its name says"),
        (b"", "a file of 0 bytes"),
        (png_bomb(20_000, 20_000), "20000 x 20000 pixels"),
        (without_adobe_marker(FILES["cmyk.jpg"]), "CMYK"),
    ],
)
def test_a_bad_image(failing: Callable, people_csv: Path, content: bytes, message: str) -> None:
    (people_csv.parent / "images/002.png").write_bytes(content)
    error = failing()
    assert message in error and "row 4, images/002.png" in error


def real_bomb() -> bytes:
    """A whole 1-bit PNG of 20,000 x 20,000 black pixels in 50 KB."""
    squeeze = zlib.compressobj(9)
    row = b"\0" * (1 + 20_000 // 8)
    data = b"".join(squeeze.compress(row * 1000) for _ in range(20)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    chunks = (b"IHDR" + header, b"IDAT" + data, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
    )


def test_a_bomb_needs_no_memory(failing: Callable, people_csv: Path) -> None:
    (people_csv.parent / "images/002.png").write_bytes(real_bomb())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "images/002.png" in failing()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # KB; decoded it would be 400 MB at the least


def test_an_image_that_only_tensorflow_refuses(
    failing: Callable, people_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (people_csv.parent / "images/002.png").write_bytes(FILES["baseline.jpg"][:-300])
    error = failing("--no-check")
    assert "images/002.png" in error and "python -m helpers.manifest" in error


def test_strange_but_good_images_train(command: Callable, people_csv: Path, tmp_path: Path) -> None:
    """CMYK with Adobe's marker, 16 bits, grey, a palette, alpha: converted."""
    names = ("cmyk.jpg", "sixteen_bit.png", "grey.png", "palette.png", "rgba.png", "turned.jpg")
    for number, name in enumerate(names):
        (people_csv.parent / f"images/{number:03d}.png").write_bytes(FILES[name])
    out = tmp_path / "run"
    code, printed, error = command(
        train.main, "--manifest", people_csv, "--out", out, *QUICK, "--tasks", "gender"
    )
    assert code == 0, error
    assert "epoch 1:" in printed and f"the best epoch is 1: {out}/best.keras" in printed


# Recipes and flags


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backbone", "densnet121"), "Did you mean 'DenseNet121'"),
        (("--backbone", "street", "--weights", "imagenet"), "there are none of it"),
        (("--weights", "gone.keras"), "gone.keras: expected a saved Keras model, found none"),
        (("--pooling", "median"), "average, max, stripes"),
        (("--task-weights", "gendr=2"), "Did you mean 'gender'"),
        (("--image-size", "big"), "such as 160x64 (height x width), found 'big'"),
        (("--image-size", "²x²"), "found '²x²'"),
        (("--image-size", "160x"), "found '160x'"),
        (("--image-size", "8x8"), "at least 16 and at most"),
        (("--epochs", "0"), "epochs: expected 1 to 100000, found 0"),
        (("--batch-size", "1"), "batch size: expected 2 to 65536"),
        (("--learning-rate", "nan"), "learning rate"),
        (("--schedule", "linear"), "'one-cycle', 'cosine', 'plateau', 'constant'"),
        (("--augmentation", "wild"), "'none', 'flip', 'standard', 'strong'"),
        (("--ema", "1"), "ema: expected 0 to below 1"),
        (("--seed", "-1"), "seed: expected"),
        (("--dropout", "1"), "dropout: expected"),
    ],
)
def test_a_bad_flag(failing: Callable, arguments: tuple, message: str) -> None:
    assert message in failing(*arguments)


@pytest.mark.parametrize("arguments", [("--epochs", "many"), ("--nonsense",)])
def test_usage(command: Callable, arguments: tuple) -> None:
    code, _, error = command(train.main, "--manifest", "m.csv", "--out", "run", *arguments)
    assert code == 2 and "usage:" in error


@pytest.mark.parametrize(
    "content",
    [
        "", "I am a text", "[]", "{}", '{"stages": 3}', '{"stages": [{"epochs": "many"}]}',
        '{"stages": [{"epochs": 1}], "dropuot": 0.1}', '{"stages": [{"epoch": 1}]}',
    ],
)  # fmt: skip
def test_a_bad_recipe_file(failing: Callable, people_csv: Path, content: str) -> None:
    path = people_csv.parent / "recipe.json"
    path.write_text(content)
    error = failing("--recipe", path)
    assert str(path) in error or "epochs: expected" in error


def test_a_recipe_file_that_is_not_there(failing: Callable) -> None:
    assert "gone.json" in failing("--recipe", "gone.json")


def test_flags_change_a_recipe_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    stages = [{"epochs": 5, "batch_size": 48}, {"epochs": 7}]
    path.write_text(json.dumps({"stages": stages, "tower": 16, "weights": "a.keras"}))
    arguments = train.build_parser().parse_args(
        ["--manifest", "m", "--out", "r", "--recipe", str(path)]
        + ["--epochs", "2", "--weights", "none", "--ema", "0.5"]
    )
    recipe = train.recipe_from(arguments)
    assert [(s.epochs, s.batch_size) for s in recipe.stages] == [(2, 48), (2, 32)]
    assert (recipe.tower, recipe.weights, recipe.ema) == (16, None, 0.5)


# Where a run goes


def test_a_run_that_is_there(failing: Callable, trained: Run) -> None:
    error = failing(out=trained.folder)
    assert "--resume to go on with it, --overwrite to replace it" in error


def test_a_run_of_other_labels(
    failing: Callable, trained: Run, people_csv: Path, command: Callable
) -> None:
    edit(people_csv, lambda frame: frame.replace({"gender": {"male": "man", "female": "woman"}}))
    Labels({**LABELS.tasks, "gender": ("man", "woman")}).write(people_csv.parent / "labels.json")
    error = failing("--resume", out=trained.folder)
    assert "belongs to other labels: expected the task 'gender'" in error
    assert trained.best_path.exists()
    code, _, error = command(
        evaluate.main, "--run", trained.folder, "--manifest", people_csv, "--split", "test"
    )
    assert code == 2 and "'man'" in error and "one of male, female" in error


@pytest.mark.parametrize("under", ["file/run", "file"])
def test_a_folder_that_cannot_be(failing: Callable, tmp_path: Path, under: str) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in failing(out=tmp_path / under)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_folder_that_may_not_be(failing: Callable) -> None:
    assert "No such file or directory: /proc/" in failing(out=Path("/proc/workshop-run"))


@pytest.mark.parametrize(("number", "advice"), [(13, "permissions"), (28, "Free some space")])
def test_a_disk_that_says_no(
    failing: Callable, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), "run")

    monkeypatch.setattr(Path, "mkdir", refuse)
    error = failing("--no-check")
    assert os.strerror(number) in error and advice in error


@pytest.fixture
def tiny_disk(tmp_path: Path):
    """A file system of 300 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount).returncode:
        pytest.skip("only root may mount a small disk, on Linux")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(command: Callable, people: Manifest, tiny_disk: Path) -> None:
    out = tiny_disk / "run"
    (tiny_disk / "ballast").write_bytes(b"0" * 200_000)
    code, _, error = command(
        train.main, "--manifest", people.source, "--out", out, *QUICK, "--epochs", 9
    )
    assert code == 2 and "No space left on device" in error and "Free some space" in error
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]
    whole = sorted(out.glob("epochs/*.keras"))
    for path in whole:  # what is there is whole
        assert np.isfinite(path.stat().st_size) and path.read_bytes()[:2] == b"PK"
    (tiny_disk / "ballast").unlink()


def test_ctrl_c(
    command: Callable, people: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of the first epoch, before anything was kept."""
    import signal

    from helpers.train.callbacks import BatchLog

    end = BatchLog.on_train_batch_end

    def stopped(self, batch, logs=None):
        end(self, batch, logs)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(BatchLog, "on_train_batch_end", stopped)
    out = tmp_path / "run"
    code, _, error = command(train.main, "--manifest", people.source, "--out", out, *QUICK)
    assert code == 130 and "Traceback" not in error
    assert "stopped. 0 whole epochs are kept in" in error and "--resume" in error
    assert not (out / "log.csv").exists()


# Evaluate


def test_scores_on_the_test_split(command: Callable, trained: Run, tmp_path: Path) -> None:
    source = json.loads((trained.folder / "run.json").read_text())["manifest"]
    code, printed, error = command(
        evaluate.main,
        *("--run", trained.folder, "--manifest", source, "--json", tmp_path / "s.json"),
        "--classes",
    )
    assert code == 0, error
    assert "6 images, split test" in printed
    for task, classes in LABELS.tasks.items():
        _, _, table = printed.partition(f"{task}, the worst recall first\n")
        lines = [line.split() for line in table.splitlines()[2 : 2 + len(classes)]]
        assert {line[0] for line in lines} == set(classes)
        recalls = [float(line[2]) for line in lines if line[2] != "NaN"]
        assert recalls == sorted(recalls)
    scores = json.loads((tmp_path / "s.json").read_text())
    assert list(scores) == list(LABELS.tasks) and 0 <= scores["age"]["accuracy"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "holdout"), "expected rows with split 'holdout', found none (only"),
        (("--epoch", "99"), "epoch-099.keras"),
    ],
)
def test_scores_that_cannot_be(
    command: Callable, trained: Run, people: Manifest, arguments: tuple, message: str
) -> None:
    code, _, error = command(
        evaluate.main, "--run", trained.folder, "--manifest", people.source, *arguments
    )
    assert code == 2 and message in error and "Traceback" not in error


def test_a_split_without_rows(command: Callable, trained: Run, people_csv: Path) -> None:
    edit(people_csv, lambda frame: frame[frame["split"] != "test"])
    code, _, error = command(evaluate.main, "--run", trained.folder, "--manifest", people_csv)
    assert code == 2 and "expected rows with split 'test', found none" in error


def test_a_run_without_epochs(
    command: Callable, trained: Run, people: Manifest, tmp_path: Path
) -> None:
    for name in ("run.json", "labels.json"):
        (tmp_path / name).write_bytes((trained.folder / name).read_bytes())
    code, _, error = command(evaluate.main, "--run", tmp_path, "--manifest", people.source)
    assert code == 2 and "expected a run with a finished epoch" in error


@pytest.mark.parametrize("content", [None, "", "{}", '{"recipe": 3}'])
def test_no_run(command: Callable, people: Manifest, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
        LABELS.write(tmp_path / "labels.json")
    code, _, error = command(evaluate.main, "--run", tmp_path, "--manifest", people.source)
    assert code == 2 and "expected the folder of a run" in error


# Predict


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(FILES["baseline.jpg"])
    (folder / "deeper" / "b.PNG").write_bytes(FILES["rgba.png"])
    (folder / "notes.txt").write_text("no image")
    return folder


def test_images_are_described(command: Callable, trained: Run, images: Path) -> None:
    code, printed, _ = command(predict.main, "--run", trained.folder, "--json", images)
    lines = [json.loads(line) for line in printed.splitlines()]
    assert code == 0
    assert [Path(line["image_path"]).name for line in lines] == ["a.jpg", "b.PNG"]
    for line in lines:
        for task, classes in LABELS.tasks.items():
            assert set(line[task]) == set(classes)
            assert sum(line[task].values()) == pytest.approx(1, abs=1e-3)
            assert list(line[task].values()) == sorted(line[task].values(), reverse=True)


def test_a_broken_image_does_not_stop_the_others(
    command: Callable, trained: Run, images: Path
) -> None:
    for number, data in enumerate(BROKEN.values()):
        (images / f"broken{number}.jpg").write_bytes(data)
    code, printed, error = command(predict.main, "--run", trained.folder, images)
    assert code == 2 and "Traceback" not in error
    assert f"{len(BROKEN)} of {len(BROKEN) + 2} files could not be read" in error
    assert "a.jpg" in printed and "b.PNG" in printed and "gender" in printed
    assert all(f"broken{number}.jpg: expected" in error for number in range(len(BROKEN)))


def test_only_broken_images(command: Callable, trained: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    code, printed, error = command(predict.main, "--run", trained.folder, tmp_path / "a.jpg")
    assert code == 2 and not printed and "1 of 1 files could not be read" in error


def test_nothing_to_describe(command: Callable, trained: Run, tmp_path: Path) -> None:
    code, _, error = command(predict.main, "--run", trained.folder, tmp_path / "gone.jpg")
    assert code == 2 and "gone.jpg" in error
    (tmp_path / "empty").mkdir()
    code, _, error = command(predict.main, "--run", trained.folder, tmp_path / "empty")
    assert code == 2 and f"expected images below {tmp_path / 'empty'}, found none" in error


def test_a_run_without_an_export(command: Callable, tmp_path: Path, images: Path) -> None:
    code, _, error = command(predict.main, "--run", tmp_path, images)
    assert code == 2 and "Export the run" in error


def test_a_damaged_export(command: Callable, trained: Run, tmp_path: Path, images: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "model.tflite").write_bytes(b"I am a text" * 99)
    LABELS.write(tmp_path / "export" / "labels.json")
    code, _, error = command(predict.main, "--run", tmp_path, images)
    assert code == 2 and "model.tflite" in error


def test_a_large_image_is_described(command: Callable, trained: Run, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(encoded(Image.new("RGB", (3000, 2000)), "PNG"))
    (tmp_path / "bomb.png").write_bytes(real_bomb())
    code, printed, error = command(predict.main, "--run", trained.folder, tmp_path)
    assert code == 2 and "large.png" in printed
    assert "bomb.png: expected" in error
