"""What the generated people promise: one seed, one dataset; published shares; visible cues."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data.generate import camera, contact_sheet, looks, palette, people
from helpers.common import WorkshopError
from helpers.manifest import read_manifest

# The published counts of the HVC annotations, typed in again.
PUBLISHED = {
    "imagequality": {"Average": 7509, "Good": 3824, "Bad": 2240},
    "age": {"25-35": 5411, "35-45": 3435, "15-25": 2494, "45-55": 1490, "55+": 743},
    "weight": {
        "normal-healthy": 8628, "slightly-overweight": 3196, "over-weight": 891,
        "underweight": 858,
    },
    "carryingbag": {
        "None": 7649, "Daily/Office/Work Bag": 4603, "Grocery/Home/Plastic Bag": 1321,
    },
    "footwear": {"Normal": 6038, "CantSee": 5028, "Fancy": 2507},
    "emotion": {"Neutral": 9660, "Happy": 1609, "Angry/Serious": 1500, "Sad": 804},
    "bodypose": {"Front-Frontish": 8383, "Side": 2983, "Back": 2207},
}  # fmt: skip
TASKS = ["gender", "top_color", "bottom_color", "imagequality", "age", "weight", "carryingbag",
         "footwear", "emotion", "bodypose"]  # fmt: skip


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("people") / "dataset"
    people.generate_people(out, count=40, seed=5, workers=2)
    return out


@pytest.fixture(scope="module")
def planned() -> pd.DataFrame:
    """The true classes of 6,000 pictures, without drawing them."""
    rows = []
    for seed, person, first, pictures in people.plan_persons(6_000, seed=3):
        rng = np.random.default_rng(np.random.SeedSequence((seed, 1, person)))
        look = looks.sample_look(rng)
        for number in range(first, first + pictures):
            view = looks.sample_view(rng, look)
            rows.append({"image_path": str(number), "group": str(person)} | view.truth)
    return pd.DataFrame(rows)


def test_the_folder_holds_what_the_readme_says(dataset):
    manifest, answers = read(dataset / "manifest.csv"), read(dataset / "answers.csv")
    assert list(manifest.columns) == ["image_path", "group", "camera", *TASKS]
    assert list(answers.columns) == ["image_path", *TASKS]
    assert len(manifest) == len(answers) == 40
    assert manifest.image_path.tolist() == answers.image_path.tolist()
    for path in manifest.image_path:
        with Image.open(dataset / path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (100, 240))


def test_the_manifest_reads_with_tasks_in_order(dataset):
    manifest = read_manifest(dataset / "manifest.csv")
    assert list(manifest.labels.tasks) == TASKS
    assert manifest.labels.tasks["carryingbag"][0] == "None"
    assert manifest.labels.tasks["gender"] == ("male", "female", "unknown")


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_workers(dataset, tmp_path):
    people.generate_people(tmp_path / "one", count=12, seed=5, workers=1)
    people.generate_people(tmp_path / "two", count=12, seed=5, workers=2)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    people.generate_people(tmp_path / "other", count=12, seed=6, workers=1)
    one, other = digest(tmp_path / "one"), digest(tmp_path / "other")
    assert all(one[name] != other[name] for name in one if name.endswith(".jpg"))


def test_more_pictures_keep_the_first_ones(dataset, tmp_path):
    people.generate_people(tmp_path / "few", count=12, seed=5, workers=1)
    few, many = digest(tmp_path / "few"), digest(dataset)
    names = [name for name in few if name.endswith(".jpg")]
    assert [few[name] for name in names] == [many[name] for name in names]


def test_other_sizes_on_request(tmp_path):
    people.generate_people(tmp_path / "large", count=2, height=300, width=150, workers=1)
    with Image.open(tmp_path / "large" / "images" / "00000.jpg") as picture:
        assert picture.size == (150, 300)


@pytest.mark.parametrize("task", PUBLISHED)
def test_class_shares_are_the_published_ones(planned, task):
    found = planned[task].value_counts(normalize=True)
    total = sum(PUBLISHED[task].values())
    for name, count in PUBLISHED[task].items():
        # 6,000 pictures of about 1,400 persons, whose pictures are alike
        share = count / total
        assert abs(found[name] - share) < 0.005 + 4 * (share * (1 - share) / 1_400) ** 0.5


def test_gender_and_colors_are_as_uneven_as_in_life(planned):
    known = planned.gender[planned.gender != "unknown"].value_counts(normalize=True)
    assert known["male"] == pytest.approx(7636 / 13573, abs=0.05)
    assert (planned.gender == "unknown").mean() == pytest.approx(0.03, abs=0.015)
    assert set(planned.top_color.value_counts().index[:4]) == {"black", "grey", "white", "blue"}
    assert set(planned.bottom_color.value_counts().index[:3]) == {"black", "grey", "blue"}


def test_every_class_occurs_with_enough_persons(planned):
    for task, classes in looks.SHARES.items():
        persons = planned.groupby(task).group.nunique()
        assert set(persons.index) == set(classes)
        assert persons.min() >= 8, (task, persons)


def test_what_belongs_to_a_person_never_changes(planned):
    for task in ("gender", "top_color", "bottom_color", "age", "weight"):
        assert planned.groupby("group")[task].nunique().max() == 1
    for task in ("bodypose", "imagequality", "footwear"):
        assert planned.groupby("group")[task].nunique().max() > 1
    pictures = planned.group.value_counts()
    assert (pictures.min(), pictures.max()) == (1, 10)
    assert 3 < pictures.mean() < 4


def test_emotion_cannot_be_seen_from_the_back(planned):
    assert set(planned.emotion[planned.bodypose == "Back"]) == {"Neutral"}


def test_known_shares_of_labels_are_empty_and_wrong(planned):
    truth = planned[["image_path", "group", *TASKS]]
    manifest = people.spoil_labels(truth, np.random.default_rng(0))
    for task, classes in looks.SHARES.items():
        empty = manifest[task] == ""
        wrong = ~empty & (manifest[task] != truth[task])
        assert empty.mean() == pytest.approx(0.03, abs=0.008)
        assert wrong.mean() == pytest.approx(0.015, abs=0.008)
        assert set(manifest[task]) <= {"", *classes}


def take(look: looks.Look, quality: str, seed: int) -> np.ndarray:
    view = looks.sample_view(np.random.default_rng(seed), look)
    view = looks.replace(view, truth=view.truth | {"imagequality": quality}, seed=seed)
    data = camera.take_picture(look, view, 240, 100)
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)


def test_bad_pictures_have_lost_their_detail():
    detail = {}
    for quality in ("Good", "Average", "Bad"):
        energy = []
        for seed in range(12):
            look = looks.sample_look(np.random.default_rng(seed))
            spectrum = np.abs(np.fft.fft2(take(look, quality, seed) - 128)) ** 2
            rows, cols = (np.abs(np.fft.fftfreq(n)) for n in spectrum.shape)
            waves = np.hypot(rows[:, None], cols[None])  # cycles a pixel
            fine = (waves > 0.1) & (waves < 0.2)  # JPEG blocks show above
            energy.append(spectrum[fine].sum() / spectrum.sum())
        detail[quality] = np.median(energy)
    assert detail["Good"] > 1.3 * detail["Average"]
    assert detail["Average"] > 2 * detail["Bad"]


def test_the_clothes_show_the_color_that_the_label_names():
    """The chest's mean hue is nearest to the named class, for most persons."""
    names = ("red", "yellow", "blue", "green", "white", "black")
    anchors = {n: np.mean(palette.ANCHORS[n], 0) for n in names}
    directions = {n: (a - a.mean()) for n, a in anchors.items()}
    hits = []
    for seed in range(250):
        rng = np.random.default_rng(seed)
        look = looks.sample_look(rng)
        name = look.truth["top_color"]
        view = looks.sample_view(rng, look)
        if name not in ("red", "yellow", "blue", "green") or view.bag_kind != "none":
            continue
        if view.truth["imagequality"] == "Bad":
            continue
        data = camera.take_picture(look, view, 240, 100)
        chest = np.asarray(Image.open(io.BytesIO(data)), float)[65:95, 40:60].mean((0, 1))
        tint = chest - chest.mean()
        cosine = {
            n: tint @ directions[n] / (np.linalg.norm(tint) * np.linalg.norm(directions[n]) + 1e-9)
            for n in ("red", "yellow", "blue", "green")
        }
        hits.append(max(cosine, key=cosine.get) == name)
    assert len(hits) > 15
    assert np.mean(hits) > 0.75


def test_contact_sheets_of_any_manifest(dataset, tmp_path):
    manifest = read_manifest(dataset / "manifest.csv", tasks=["gender", "top_color"])
    written = contact_sheet.draw_sheets(manifest, tmp_path)
    assert [path.stem for path in written] == ["gender", "top_color", "people"]
    for path in written:
        assert path.stat().st_size < 250 * 1024
    rows = contact_sheet.choose_rows(manifest, np.arange(len(manifest)), 8, seed=0)
    assert len(set(manifest.groups[rows])) == min(8, len(set(manifest.groups)))


def test_a_broken_picture_is_named(dataset, tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    (tmp_path / "m.csv").write_text("image_path,gender\na.jpg,male\na.jpg,female\n")
    with pytest.raises(WorkshopError, match=r"a\.jpg"):
        contact_sheet.draw_sheets(read_manifest(tmp_path / "m.csv"), tmp_path / "sheets")


def test_bad_input_ends_with_exit_code_2_and_one_message(tmp_path, command):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    for arguments in (
        ("--out", str(tmp_path / "file" / "deeper"), "--count", "1"),
        ("--out", str(tmp_path / "full"), "--count", "1"),
        ("--out", str(tmp_path / "new"), "--count", "0"),
    ):
        code, _, error = command(people.main, *arguments)
        assert code == 2, error
        assert error.splitlines()[-1].partition("error: ")[2]
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


def test_an_interrupted_run_leaves_the_old_folder_and_nothing_half_written(
    dataset, tmp_path, monkeypatch
):
    out = tmp_path / "people"
    people.generate_people(out, count=3, workers=1)
    before = digest(out)
    calls = []

    def stop(*arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return camera_take(*arguments)

    camera_take = camera.take_picture
    monkeypatch.setattr(camera, "take_picture", stop)
    with pytest.raises(KeyboardInterrupt):
        people.generate_people(out, count=9, seed=2, workers=1)
    assert digest(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


def test_people_drawn_clearly_show_more_of_the_same_labels():
    plain, clear = (
        [looks.sample_look(np.random.default_rng(seed), clear=clear) for seed in range(300)]
        for clear in (False, True)
    )

    def gap(people, one, other):
        weights = {w: [p.fatness for p in people if p.truth["weight"] == w] for w in (one, other)}
        return np.mean(weights[one]) - np.mean(weights[other])

    def brightness(people, age):
        return np.mean([p.hair for p in people if p.truth["age"] == age])

    assert gap(clear, "over-weight", "normal-healthy") > 1.3 * gap(
        plain, "over-weight", "normal-healthy"
    )
    gray = [brightness(people, "45-55") - brightness(people, "25-35") for people in (plain, clear)]
    assert gray[1] > gray[0] + 30
    assert {p.bag_size for p in plain} == {1.0} and {p.bag_size for p in clear} == {looks.CLEAR_BAG}
    assert [p.truth["age"] for p in plain] == [p.truth["age"] for p in clear]
