"""Damaged, foreign and hostile runs and models: one message that names the file, or no harm."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from helpers import evaluate
from helpers.common import ROOT, WorkshopError, check_sums, run_command, write_sums
from helpers.manifest import Labels, Manifest
from helpers.model import load_model
from helpers.predict import LiteRTPredictor
from helpers.train import Run
from helpers.train import __main__ as train
from helpers.train.state import State
from tests.hostile import Tally, runs
from tests.hostile.runs import OTHER_NAMES, rewrite
from tests.saved_model import SavedModelPredictor

pytestmark = pytest.mark.usefixtures("tiny_backbone")


@pytest.fixture
def copy(trained: Run, tmp_path: Path) -> Run:
    """A run to spoil."""
    shutil.copytree(trained.folder, tmp_path / "copy")
    return Run(tmp_path / "copy", trained.labels, trained.recipe)


def test_a_share_of_the_long_run(trained: Run) -> None:
    tally = Tally()
    runs.run(tally, 2, seed=20, whole=trained.folder)
    assert not tally.found


def test_a_resumed_run_mends_its_best_model(
    copy: Run, trained: Run, people: Manifest, command: Callable
) -> None:
    copy.best_path.write_bytes(b"")
    (copy.folder / "best.json").write_text("")
    score = ("--run", copy.folder, "--manifest", people.source)
    code, _, error = command(evaluate.main, *score)
    assert code == 2 and "best.json: expected" in error and "Traceback" not in error
    again = ("--manifest", people.source, "--out", copy.folder, "--resume", "--no-export")
    assert command(train.main, *again)[0] == 0
    assert copy.best_path.read_bytes() == trained.best_path.read_bytes()
    assert command(evaluate.main, *score)[0] == 0


@pytest.mark.parametrize("name", ["labels.json", "export/labels.json"])
def test_labels_of_another_run(copy: Run, people: Manifest, command: Callable, name: str) -> None:
    """They have as many classes, so that no head tells."""
    (copy.folder / name).write_text(json.dumps(OTHER_NAMES))
    if name == "labels.json":
        code, _, error = command(evaluate.main, "--run", copy.folder, "--manifest", people.source)
        assert code == 2 and "labels.json: expected the tasks and classes" in error
        return
    for predictor in (LiteRTPredictor, SavedModelPredictor):
        with pytest.raises(WorkshopError, match=r"labels\.json: expected the tasks"):
            predictor(copy.export_folder)


def test_labels_may_be_shown_otherwise(copy: Run) -> None:
    value = copy.labels.to_json() | {"display": {"gender": {"male": "Mann"}}}
    (copy.export_folder / "labels.json").write_text(json.dumps(value))
    assert LiteRTPredictor(copy.export_folder).labels.display_name("gender", "male") == "Mann"


def test_weights_with_a_flipped_bit_are_not_resumed(copy: Run) -> None:
    """HDF5 has no check of its own: the network would go on with another number."""
    state = State(copy)
    path = copy.folder / "state" / "epoch-003.weights.h5"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 64
    path.write_bytes(data)
    state.weights = path.name
    with pytest.raises(WorkshopError, match=r"epoch-003\.weights\.h5: expected the weights"):
        state.restore(load_model(copy.epoch_path(3)))


def test_an_older_run_without_digests_still_opens(copy: Run) -> None:
    (copy.export_folder / "SHA256SUMS").unlink()
    LiteRTPredictor(copy.export_folder)
    for name, added in (("run.json", ["tasks"]),
                        ("state/state.json", ["weights_digest", "log_digest"])):  # fmt: skip
        value = json.loads((copy.folder / name).read_text())
        for key in added:
            del value[key]
        (copy.folder / name).write_text(json.dumps(value))
    assert State(copy).epoch == 3


# Models from strangers


def layer(kind: str, **config: object) -> Callable[[str], str]:
    """Puts a layer where the first activation of a saved model is."""

    def change(text: str) -> str:
        value = json.loads(text)
        (found,) = [x for x in _layers(value) if x["class_name"] == "Activation"][:1]
        found |= {"class_name": kind, "config": config}
        return json.dumps(value)

    return change


def _layers(value: object) -> list[dict]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict) and "class_name" in value else []
    return own + [found for part in inside for found in _layers(part)]


@pytest.mark.parametrize(
    "change",
    [
        layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wE="}}),
        layer("TFSMLayer", filepath="/tmp/elsewhere", name="x"),
        layer("StringLookup", vocabulary="/etc/passwd", name="x"),
        lambda text: text.replace('"class_name": "Activation"', '"class_name": "OfAStranger"'),
        lambda text: text.replace('"module": "keras.layers"', '"module": "subprocess"'),
    ],
)  # fmt: skip
def test_a_model_with_code_or_files_of_its_own(copy: Run, change: Callable) -> None:
    rewrite(copy.best_path, change)
    with pytest.raises(WorkshopError, match=r"best\.keras: expected a saved Keras model"):
        load_model(copy.best_path)


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/outside.txt", "assets/x"])
def test_a_model_with_other_parts(copy: Run, name: str) -> None:
    rewrite(copy.best_path, str, [(name, b"{}")])
    with pytest.raises(WorkshopError, match="it holds"):
        load_model(copy.best_path)
    assert not (copy.folder.parent / "outside.txt").exists()


def test_a_model_that_unpacks_to_far_more(tmp_path: Path) -> None:
    with zipfile.ZipFile(path := tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for part in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(part, b"\0" * 20_000_000)
    with pytest.raises(WorkshopError, match="would become 60,000,000"):
        load_model(path)


def test_a_model_in_the_format_of_before_keras_3(tmp_path: Path) -> None:
    """Keras opens .h5 without its safe mode's checks of a zip."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.save(tmp_path / "old.h5")
    with pytest.raises(WorkshopError, match=r"old\.h5: expected a saved Keras model"):
        load_model(tmp_path / "old.h5")


def test_sums_find_what_is_other_missing_or_more(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    write_sums(tmp_path, "a", "not there")
    check_sums(tmp_path, "a", "")
    assert subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path).returncode == 0
    for change in (
        lambda: (tmp_path / "a" / "x").write_text("2"),
        lambda: (tmp_path / "a" / "y").write_text("1"),
        lambda: (tmp_path / "a" / "x").unlink(),
    ):
        change()
        with pytest.raises(WorkshopError, match="damaged or foreign"):
            check_sums(tmp_path, "a", "Export again.")


# What a command makes of errors


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(40, "Too many levels of symbolic links", "x"), "symbolic links: x"),
        (FileNotFoundError(2, "No such file or directory", "/proc/x"), "/proc/x. Correct"),
        (ValueError("embedded null byte"), "NUL"),
        (UnicodeEncodeError("utf-8", "\udce9.jpg", 0, 1, "surrogates not allowed"), "UTF-8"),
    ],
)
def test_what_a_user_can_fix(command: Callable, error: Exception, said: str) -> None:
    def main() -> None:
        raise error

    code, _, shown = command(main)
    assert code == 2 and shown.startswith("error: ") and said in shown


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("shapes"), TypeError(), OSError()])
def test_a_mistake_of_ours_keeps_its_traceback(error: Exception) -> None:
    def main() -> None:
        raise error

    with pytest.raises(type(error)):
        run_command(main)


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("PYTHONIOENCODING=ascii {0} | grep -q 'xe9'", 0),
        ("{0} >&-", 0),
        ("{0} >/dev/full", 2),
    ],
)
def test_an_output_that_takes_no_text(shell: str, code: int) -> None:
    program = "from helpers.common import run_command; run_command(lambda: print('\\xe9\\udce9'))"
    line = shell.format(f'{sys.executable} -c "{program}"')
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == code and "Traceback" not in done.stderr, done


def test_labels_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("[" * 100_000)
    with pytest.raises(WorkshopError, match=r"labels\.json"):
        Labels.read(tmp_path / "labels.json")


def test_a_saved_model_opens_in_a_process_that_has_imported_nothing_else(trained) -> None:
    code = f"from helpers.model import load_model; load_model({str(trained.best_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
