"""What the street scenes promise: one seed, one dataset; boxes round the people; attributes."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data.generate import looks, streets
from helpers.common import WorkshopError
from helpers.detection import read_annotations
from helpers.manifest import read_manifest

SIZE = {"width": 192, "height": 108}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("streets") / "set"
    streets.generate_streets(out, count=9, seed=2, workers=2, **SIZE)
    return out


def digest(folder) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_seed_same_bytes_on_one_worker(folder, tmp_path):
    streets.generate_streets(tmp_path / "again", count=9, seed=2, workers=1, **SIZE)
    assert digest(folder) == digest(tmp_path / "again")


def test_annotations_and_people_say_the_same(folder):
    found, problems = read_annotations(folder)
    assert len(found) == 9 and not problems
    table = pd.read_csv(folder / "people.csv", dtype=str, keep_default_na=False)
    assert len(table) == sum(len(one.boxes) for one in found) > 9
    for one in found:
        rows = table[table.image_path == f"images/{one.image.name}"]
        boxes = [(b.xmin, b.ymin, b.xmax, b.ymax, int(b.difficult)) for b in one.boxes]
        named = rows[["xmin", "ymin", "xmax", "ymax", "difficult"]].astype(float)
        assert boxes == [tuple(row) for row in named.to_numpy()]
        assert {b.name for b in one.boxes} <= {streets.PERSON}
    for task, classes in looks.SHARES.items():
        assert set(table[task]) <= set(classes)
    assert set(read_manifest(folder / "people.csv").tasks) == set(looks.TASKS)


def test_places_are_the_groups(folder):
    pictures = pd.read_csv(folder / "pictures.csv")
    assert list(pictures.groupby("group").size()) == [4, 4, 1]


def test_boxes_hold_the_people(folder, monkeypatch):
    """The same scene without its people differs inside the boxes, and hardly elsewhere."""
    place = streets.scenes.build_camera(streets.PLACE)
    monkeypatch.setattr(streets.camera, "light_pools", lambda rng, picture, light: picture)
    drawn = {}
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr(streets, "_paint", lambda *_: None)
        rng = np.random.default_rng(4)
        data, found = streets.draw_scene(rng, place, (320, 180), people_each=3)
        drawn[name] = np.asarray(Image.open(streets_file(data)), float).mean(-1), found
    change = np.abs(drawn["with"][0] - drawn["without"][0])
    assert drawn["with"][1] and not drawn["without"][1]
    for row in drawn["with"][1]:
        inner = change[row["ymin"] : row["ymax"], row["xmin"] : row["xmax"]]
        assert inner.mean() > 3 * np.median(change)


def streets_file(data: bytes):
    import io

    return io.BytesIO(data)


def test_nobody_is_wholly_hidden():
    rng = np.random.default_rng(0)
    for _ in range(30):
        spots = streets.choose_spots(rng, 6, 0.3, 16 / 9)
        assert not streets._hides_somebody(spots)
    behind, before = (streets.Spot(0.5, foot, 0.4) for foot in (0.8, 0.82))
    assert streets._hides_somebody([behind, before])


@pytest.mark.parametrize("kind", sorted(streets.THINGS))
def test_things_have_light_and_a_shape(kind):
    tile = streets.draw_thing(np.random.default_rng(1), kind, 60, np.ones(3, np.float32))
    assert tile.rgb.shape == (3, *tile.alpha.shape) and 0.05 < tile.alpha.mean() <= 1
    assert np.isfinite(tile.rgb).all() and not tile.rgb[:, tile.alpha == 0].any()


def test_small_people_have_bad_pictures():
    assert streets._quality("Good", 230) == "Good"
    assert streets._quality("Good", 120) == "Average"
    assert streets._quality("Average", 60) == "Bad"


@pytest.mark.parametrize(
    "options", [{"count": 0}, {"width": 10}, {"people_each": 99}, {"workers": 0}]
)
def test_numbers_out_of_range(options, tmp_path):
    with pytest.raises(WorkshopError, match="must be from"):
        streets.generate_streets(tmp_path / "out", **options)


def test_other_files_are_not_replaced(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(WorkshopError, match="choose another --out"):
        streets.generate_streets(tmp_path, count=1)
