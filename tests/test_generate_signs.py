"""What the generated signs promise: one seed, one dataset; tracks that grow; the real shares."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data.generate import signs
from data.generate.sign_camera import LARGEST, SMALLEST, sample_sizes, take_track
from data.generate.sign_shapes import draw_sign
from data.sources.gtsrb import SIGNS, TRAINING_IMAGES
from helpers.common import WorkshopError
from helpers.manifest import check_split, read_manifest, split_by_group, validate

COUNT = 200


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("signs") / "dataset"
    signs.generate_signs(out, count=COUNT, seed=5, workers=2)
    return out


def test_the_folder_holds_what_the_readme_says(dataset):
    manifest = read_manifest(dataset / "manifest.csv")
    assert list(manifest.frame.columns) == ["image_path", "sign", "group", "frame"]
    assert manifest.labels.tasks == {"sign": SIGNS}
    assert len(manifest) == COUNT
    assert len(list((dataset / "images").iterdir())) == COUNT
    for path in manifest.paths:
        with Image.open(path) as picture:
            assert (picture.format, picture.mode) == ("PNG", "RGB")
            assert min(picture.size) >= 20 and max(picture.size) <= 1.5 * LARGEST
    validate(manifest, progress=False)


def test_every_class_has_tracks_for_each_side(dataset):
    manifest = read_manifest(dataset / "manifest.csv")
    tracks = manifest.frame.groupby("sign")["group"].nunique()
    assert set(tracks.index) == set(SIGNS)
    assert tracks.min() >= 3
    assert (manifest.frame.groupby("group")["sign"].nunique() == 1).all()
    split = split_by_group(manifest, {"train": 0.7, "validation": 0.3})
    check_split(split)
    for side in ("train", "validation"):
        assert set(split.subset(side).frame["sign"]) == set(SIGNS)


def test_any_number_of_workers_gives_the_same_bytes(dataset, tmp_path):
    signs.generate_signs(tmp_path / "one", count=COUNT, seed=5, workers=1)
    assert digest(tmp_path / "one") == digest(dataset)


def test_another_seed_gives_other_pictures():
    one, two = (next(iter(take_track(np.random.default_rng(seed), 14, 1))) for seed in (1, 2))
    assert one.shape != two.shape or (one != two).any()


@pytest.mark.parametrize("count", [129, 1_000, 12_000, 39_209])
def test_the_plan_has_the_count_and_the_real_sets_shares(count):
    plan = pd.DataFrame(signs.plan_tracks(count, 1), columns=["seed", "track", "sign", "frames"])
    assert plan["frames"].sum() == count
    assert plan["frames"].between(1, signs.FRAMES).all()
    assert plan["track"].is_unique
    assert plan["sign"].value_counts().min() >= 3
    if count >= 12_000:
        shares = plan.groupby("sign")["frames"].sum() / count
        wish = np.array(list(TRAINING_IMAGES.values())) / sum(TRAINING_IMAGES.values())
        assert np.abs(shares - wish).max() < 0.004


def test_a_track_shows_one_sign_that_grows():
    sizes = [frame.shape[:2] for frame in take_track(np.random.default_rng(4), 1, 12)]
    assert np.prod(sizes[-1]) > 1.2 * np.prod(sizes[0])
    many = np.array([sample_sizes(np.random.default_rng(i), 15) for i in range(200)])
    assert (np.diff(many, axis=1) >= 0).all()
    assert many.min() >= SMALLEST and many.max() <= LARGEST


def test_every_sign_is_drawn_and_no_two_are_alike():
    drawn = [draw_sign(number).astype(int) for number in range(len(SIGNS))]
    assert all((one[..., 3] > 128).mean() > 0.3 for one in drawn)
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert np.abs(one - other)[..., :3].mean() > 2


def test_left_and_right_are_mirror_images():
    for left, right in (("curve left", "curve right"), ("keep left", "keep right"),
                        ("turn left ahead", "turn right ahead"),
                        ("straight or left", "straight or right")):  # fmt: skip
        one, other = (draw_sign(SIGNS.index(name)).astype(int) for name in (left, right))
        assert np.abs(one[:, ::-1] - other).mean() < 3
        assert np.abs(one - other).mean() > 3


def test_colors_are_those_of_the_road():
    def middle_color(name: str) -> np.ndarray:
        pixels = draw_sign(SIGNS.index(name))
        return pixels[pixels[..., 3] == 255][:, :3].astype(float).mean(0)

    assert middle_color("keep right")[2] > 1.5 * middle_color("keep right")[0]
    assert middle_color("no entry")[0] > 1.5 * middle_color("no entry")[2]
    assert middle_color("priority road")[2] < 0.8 * middle_color("priority road")[0]


@pytest.mark.parametrize(
    "options, told",
    [
        ({"count": 100}, "--count must be 129 or more"),
        ({"workers": 0}, "--workers must be 1"),
        ({"frames": 0}, "--frames must be 1"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, options, told):
    with pytest.raises(WorkshopError, match=told):
        signs.generate_signs(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(WorkshopError, match=r"generated signs, found other files .*thesis"):
        signs.generate_signs(tmp_path, count=129)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
