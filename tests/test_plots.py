"""Each figure holds the numbers it was given, for one task, eight tasks and 43 classes."""

import matplotlib.pyplot as plt
import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from helpers import plots
from helpers.manifest import Labels, Manifest
from helpers.plots.style import PAINT, WIDTH, clipped

COLORS = (
    *("black", "white", "red", "yellow", "blue", "green"),
    *("purple", "brown", "grey", "orange", "multicolor", "other"),
)
THREE = {"gender": ("male", "female", "unknown"), "top_color": COLORS, "bottom_color": COLORS}
EIGHT = {f"attribute_{n}": tuple(f"class {n}.{i}" for i in range(2 + n % 3)) for n in range(8)}
SIGNS = {"sign": tuple(f"a traffic sign with a very long name, number {i}" for i in range(43))}
ALL = pytest.mark.parametrize("tasks", [THREE, EIGHT, SIGNS], ids=["three", "eight", "signs"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(4):
        Image.new("RGB", (20, 48), (60 * number, 99, 30)).save(folder / f"{number}.png")
    return folder


def manifest_of(tasks, folder, rows=120):
    random = np.random.default_rng(0)
    columns = {"image_path": [f"{row % 4}.png" for row in range(rows)]}
    for task, classes in tasks.items():
        names = np.array(classes, object)[random.integers(0, len(classes), rows)]
        names[::10] = ""
        columns[task] = names
    columns["group"] = [f"person-{row // 3}" for row in range(rows)]
    columns["split"] = np.where(np.arange(rows) < 60, "train", "test")
    return Manifest(pd.DataFrame(columns), Labels(tasks), folder, None)


def predictions(manifest):
    random = np.random.default_rng(1)
    return {
        task: random.dirichlet(np.ones(len(classes)), len(manifest))
        for task, classes in manifest.labels.tasks.items()
    }


def drawn(figure, draw=True):
    """Draws the figure as a notebook does. Drawing is slow: `draw` False leaves it out."""
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() <= WIDTH
    if draw:
        assert figure._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == []
    return figure


def texts(axes):
    return [text.get_text() for text in axes.texts]


def panels(figure):
    return {axes.get_title("left"): axes for axes in figure.axes if axes.get_title("left")}


def widths(axes):
    return [bar.get_width() for bar in axes.containers[0]]


def labels_of(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


@ALL
@pytest.mark.filterwarnings("error:constrained_layout")
def test_class_shares_counts_every_class_and_what_is_not_known(tasks, folder):
    manifest = manifest_of(tasks, folder)
    figure = drawn(plots.class_shares(manifest))
    shown = panels(figure)
    assert list(shown) == [task.replace("_", " ") for task in tasks]
    for task, axes in zip(tasks, shown.values()):
        counts = manifest.frame[task].value_counts()
        assert widths(axes)[-1] == counts[""] == 12
        assert labels_of(axes)[-1] == "missing"
        assert widths(axes)[:-1] == sorted(widths(axes)[:-1], reverse=True)
        assert len(axes.containers[0]) == len(tasks[task]) + 1
        assert any(f"  {12 / 120:.1%}" in text for text in texts(axes))


def test_class_shares_paints_colors_in_themselves(folder):
    figure = plots.class_shares(manifest_of(THREE, folder))
    axes = panels(figure)["top color"]
    looks = dict(zip(labels_of(axes), axes.containers[0]))
    assert to_hex(looks["black"].get_facecolor()) == PAINT["black"].lower()
    assert to_hex(looks["white"].get_facecolor()) == "#ffffff"
    assert looks["white"].get_linewidth() > 0
    assert looks["other"].get_hatch() == "////"
    assert len(axes.images) == 1  # the rainbow of multicolor
    gender = panels(figure)["gender"]
    assert {to_hex(bar.get_facecolor()) for bar in gender.containers[0][:3]} == {"#0072b2"}


def test_image_grid_takes_arrays_and_paths_and_frames_them(folder):
    images = [
        np.zeros((48, 20, 3), np.uint8),
        str(folder / "1.png"),
        np.full((48, 20), 300.0),  # grey, float, out of range
    ]
    figure = drawn(plots.image_grid(images, ["a", "b\n.9", "c"], 2, [True, False, None]))
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["a", "b\n.9", "c"]
    frames = [axes.spines["left"] for axes in shown]
    assert [to_hex(frame.get_edgecolor()) for frame in frames[:2]] == ["#009e73", "#d55e00"]
    assert frames[1].get_linewidth() > frames[0].get_linewidth()
    assert not frames[2].get_visible()
    assert shown[1].images[0].get_array()[0, 0].tolist() == [60, 99, 30]
    assert shown[2].images[0].get_array()[0, 0].tolist() == [255, 255, 255]
    assert len(drawn(plots.image_grid(images * 5)).axes) == 16


def test_image_grid_without_images_says_so():
    assert drawn(plots.image_grid([])).texts[0].get_text() == "no images"


def test_images_stand_upright_as_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (48, 20)).save(tmp_path / "lying.jpg", exif=exif)
    figure = plots.image_grid([str(tmp_path / "lying.jpg")])
    assert figure.axes[0].images[0].get_array().shape == (48, 20, 3)


def log_of(tasks, epochs=5):
    log = pd.DataFrame({"epoch": range(1, epochs + 1), "seconds": 9.0, "learning_rate": 1e-3})
    log["loss"] = log["val_loss"] = np.linspace(2, 1, epochs)
    for number, task in enumerate(tasks):
        log[f"{task}_loss"] = log[f"val_{task}_loss"] = np.linspace(1, 0.2, epochs)
        log[f"{task}_accuracy"] = np.linspace(0.5, 0.9, epochs)
        log[f"val_{task}_accuracy"] = [0.4, 0.5, 0.8 + number / 100, 0.7, 0.7]
    log["val_accuracy"] = log[[f"val_{task}_accuracy" for task in tasks]].mean(axis=1)
    return log


@ALL
def test_training_curves_marks_the_best_epoch(tasks):
    figure = drawn(plots.training_curves(log_of(tasks)), draw=tasks is THREE)
    shown = panels(figure)
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    names = [task.replace("_", " ") for task in tasks]
    first = ["learning rate", *(f"{name} accuracy" for name in names)]
    assert titles == [*first, "loss", *(f"{name} loss" for name in names)]
    for number, name in enumerate(names):
        axes = shown[f"{name} accuracy"]
        assert axes.get_title("right") == f".{800 + 10 * number}"
        validation = next(line for line in axes.lines if line.get_label() == "validation")
        assert validation.get_ydata().tolist() == [0.4, 0.5, 0.8 + number / 100, 0.7, 0.7]
    assert figure.legends[0].get_texts()[0].get_text() == "best epoch: 3"
    chosen = plots.training_curves(log_of(tasks), best_epoch=5)
    assert chosen.legends[0].get_texts()[0].get_text() == "best epoch: 5"


def test_training_curves_need_only_what_there_is():
    log = log_of(THREE, 5)[["epoch", "loss", "val_loss", "val_gender_accuracy"]][:1]
    figure = drawn(plots.training_curves(log))
    assert sum(axes.get_visible() for axes in figure.axes) == 2


@ALL
def test_probabilities_has_a_bar_for_every_class(tasks):
    random = np.random.default_rng(0)
    answers = {
        t: (classes, random.dirichlet(np.ones(len(classes)))) for t, classes in tasks.items()
    }
    image = np.zeros((240, 100, 3), np.uint8)
    figure = drawn(plots.probabilities(image, answers))
    bars = [width for axes in panels(figure).values() for width in widths(axes)]
    assert bars == [value for _, values in answers.values() for value in values]
    assert figure.axes[0].images


def test_probabilities_marks_the_answer_and_the_truth():
    values = {"gender": np.array([0.2, 0.7, 0.1]), "top_color": np.eye(12)[3]}
    answers = {task: (THREE[task], values[task]) for task in values}
    labels = Labels(THREE, {"gender": {"male": "Mann"}})
    image = np.zeros((240, 100, 3), np.uint8)
    truth = {"gender": "male", "top_color": "yellow"}
    shown = panels(drawn(plots.probabilities(image, answers, truth, labels)))
    assert labels_of(shown["gender"]) == ["Mann", "female", "unknown"]
    assert texts(shown["gender"]) == [".20", "◂ truth", ".70", ".10"]
    assert "✓" in texts(shown["top color"]) and "1.00" in texts(shown["top color"])
    bold = [label.get_fontweight() for label in shown["gender"].get_yticklabels()]
    assert bold == ["normal", "bold", "normal"]
    yellow = shown["top color"].containers[0][3]
    assert to_hex(yellow.get_facecolor()) == PAINT["yellow"].lower()
    unmarked = panels(plots.probabilities(image, answers, {"gender": ""}))
    assert texts(unmarked["gender"]) == [".20", ".70", ".10"]


def test_gallery_rows_name_the_image_the_answers_and_the_known_labels(folder):
    manifest = manifest_of(THREE, folder, rows=12)
    probabilities = predictions(manifest)
    path, answers, truth = plots.gallery_rows(manifest, probabilities, [3, 10])[1]
    assert path == str(folder / "2.png")
    assert list(answers) == list(THREE)
    classes, values = answers["gender"]
    assert list(classes) == list(THREE["gender"])
    assert values.tolist() == probabilities["gender"][10].tolist()
    assert truth == {}  # every tenth row has no label
    plots.probability_gallery(plots.gallery_rows(manifest, probabilities, [3, 10]))


@ALL
def test_probability_gallery_shows_the_top_and_the_truth(tasks, folder):
    answers = {t: (c, np.linspace(1, 2, len(c)) / (1.5 * len(c))) for t, c in tasks.items()}
    truth = {task: classes[0] for task, classes in tasks.items()}
    rows = [(str(folder / "1.png"), answers, truth), (np.zeros((9, 9, 3)), answers, None)]
    figure = drawn(plots.probability_gallery(rows), draw=tasks is THREE)
    assert len(figure.axes) == 2 * (1 + len(tasks))
    first, last = figure.axes[1], figure.axes[-1]
    name = tasks[next(iter(tasks))][0]
    assert labels_of(first)[-1] == clipped(name)
    assert any(text.endswith("truth") for text in texts(first))
    assert not any(text.endswith("truth") for text in texts(last))
    assert widths(last) == sorted(widths(last), reverse=True)


@pytest.mark.parametrize("number", [1, 8])
def test_heatmaps_lays_each_map_over_the_whole_image(number):
    maps = {f"task_{i}": np.eye(4) * i for i in range(number)}  # the first one is all zero
    figure = drawn(plots.heatmaps(np.zeros((48, 20, 3)), maps, {"task_0": "red"}))
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == number + 1
    assert shown[1].get_title() == "task 0\nred"
    for axes in shown[2:]:
        pixels = axes.images[0].get_array()
        assert pixels.shape == (48, 20, 3) and not pixels[-1, 0].any()
        assert pixels[0, 0].sum() > 400  # the eye's upper left corner


def test_a_notebook_shows_a_figure_exactly_once():
    notebook = nbformat.v4.new_notebook()
    again = "plots.image_grid([])"
    code = f"from helpers import plots\n{again}"
    notebook.cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell(again)]
    resources = {"metadata": {"path": str(plots.__file__).rsplit("/helpers", 1)[0]}}
    nbclient.NotebookClient(notebook, timeout=60, resources=resources).execute()
    for cell in notebook.cells:
        # What an import says on standard error (warnings, a new font cache) is no figure.
        shown = [output for output in cell.outputs if output.output_type != "stream"]
        assert [output.output_type for output in shown] == ["execute_result"]
        assert "image/png" in shown[0].data
