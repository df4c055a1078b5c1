"""Composes street scenes: several people, some behind others, among things that look like people.

    python -m data.generate.streets --out data/generated/streets

writes images/, annotations/ (VOC XML), pictures.csv (the place of each image), people.csv (a row
for each person: image, box and attributes) and labels.json, whole or not at all.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

from data.generate import camera, looks, people, scenes
from data.generate.looks import Look, View
from data.generate.render import Framing, Light, render_person
from data.generate.writing import check_numbers, draw_all, listed_files, options_parser
from helpers.common import Output, number_flag, run_command, whole_folder, write_json

PERSON = "person"
PER_PLACE = 4  # scenes of one place: other people, another light
PLACE = 100  # the first place's number: those below are the cameras of the single people
MOST_PEOPLE = 9
CROWDS = {0: 0.04, 1: 0.12, 2: 0.18, 3: 0.2, 4: 0.17, 5: 0.12, 6: 0.08, 7: 0.06, MOST_PEOPLE: 0.03}
BESIDE = 0.35  # fraction of people who walk with the one before
FAR, NEAR = 0.22, 0.8  # height of a person, far away and in front, as a fraction of the image's
MOST_HIDDEN = 0.6  # of a person's rectangle, where a place is chosen
DIFFICULT = 0.35  # of a person that is seen; below, the box is marked as difficult
FILL, SOLE = 0.88, 0.95  # of a person's tile: height of the body, and where the feet are
NOBODY = -1  # the mark of pixels that show no person
LEAST_SEEN = 0.06  # below, there is nothing to find, and no box
QUALITIES = {"Good": 0.45, "Average": 0.42, "Bad": 0.13}
# Reductions of `camera.FAULTS`: from these on fewer pixels than in an image of 240 rows count.
AVERAGE_FROM, BAD_FROM = 1.3, 2.3
THINGS = {"poster": 0.2, "statue": 0.16, "tree": 0.16, "bin": 0.16, "post": 0.2, "car": 0.12}
MANY_THINGS = (0.25, 0.35, 0.25, 0.15)  # chances of 0 to 3 of them


def _listed(folder: Path) -> list[str]:
    files = listed_files("pictures.csv", ["people.csv", "labels.json"])(folder)
    images = [Path(file).stem for file in files if file.startswith("images/")]
    return files + [f"annotations/{stem}.xml" for stem in images]


FILES = Output(
    "generated streets",
    "pictures.csv",
    r"images/\d{5}\.jpg|annotations/\d{5}\.xml|(pictures|people)\.csv|labels\.json",
    _listed,
)


@dataclass(frozen=True)
class Spot:
    """Where somebody or something stands, as fractions of the image's height.

    Attributes:
        x: of the foot, from the left edge.
        foot: of the ground, from the upper edge.
        height: how tall.
    """

    x: float
    foot: float
    height: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The rectangle (left, top, right, bottom) that a person fills there, roughly."""
        half = 0.17 * self.height
        return self.x - half, self.foot - self.height, self.x + half, self.foot


@dataclass
class Figure:
    """A person of a scene and what can be seen of them."""

    spot: Spot
    look: Look
    view: View
    pixels: int = 0  # that they would take if nothing hid them


@dataclass(frozen=True)
class Tile:
    """Something drawn: lit RGB (3, rows, columns) times alpha, and alpha (rows, columns).

    Attributes:
        foot: where it stands, as a fraction of its rows.
        shade: what it leaves of the light on the ground (3, rows, columns).
    """

    rgb: np.ndarray
    alpha: np.ndarray
    foot: float = 1.0
    shade: np.ndarray | None = None


def generate_streets(
    out: Path,
    count: int = 800,
    seed: int = 1,
    width: int = 480,
    height: int = 270,
    workers: int = 2,
    people_each: int | None = None,
) -> None:
    """Writes the scenes to the folder `out`; the same bytes for any number of `workers`.

    `count` is the scenes, and `people_each` the people in each of them: a random number where None.

    Raises:
        WorkshopError: a number is out of its range, or `out` holds something else.
    """
    check_numbers({"--count": (count, 1, 99_999), "--width": (width, 96, 4096),
                   "--height": (height, 64, 4096), "--workers": (workers, 1, 64),
                   "--people": (people_each or 0, 0, 40)})  # fmt: skip
    plan = [(seed, first, min(PER_PLACE, count - first)) for first in range(0, count, PER_PLACE)]
    with whole_folder(Path(out), FILES) as draft:
        (draft / "images").mkdir()
        (draft / "annotations").mkdir()
        work = partial(draw_place, folder=draft, size=(width, height), people_each=people_each)
        bar = {"total": count, "unit": "scene", "desc": "drawing streets"}
        drawn = draw_all(work, plan, workers, partial(people.prepare, 240), **bar)
        _write_tables(draft, drawn)


def _write_tables(folder: Path, drawn: list[tuple[dict, list[dict]]]) -> None:
    rows = [picture | row for picture, found in drawn for row in found]
    columns = ["image_path", "group", "person", "xmin", "ymin", "xmax", "ymax", "difficult"]
    table = pd.DataFrame(rows, columns=[*columns, *looks.TASKS])
    table.to_csv(folder / "people.csv", index=False)
    pd.DataFrame([picture for picture, _ in drawn]).to_csv(folder / "pictures.csv", index=False)
    tasks = {task: list(classes) for task, classes in looks.SHARES.items()}
    write_json(folder / "labels.json", {"tasks": tasks})


def draw_place(
    plan: tuple[int, int, int], folder: Path, size: tuple[int, int], people_each: int | None
) -> list[tuple[dict, list[dict]]]:
    """Draws the scenes of one place; returns each one's row, and a row for each person."""
    seed, first, count = plan
    place = scenes.build_camera(PLACE + 10_000 * seed + first // PER_PLACE)
    drawn = []
    for number in range(first, first + count):
        rng = np.random.default_rng(np.random.SeedSequence((seed, 3, number)))
        name = f"{number:05d}.jpg"
        data, found = draw_scene(rng, place, size, people_each)
        (folder / "images" / name).write_bytes(data)
        _write_voc(folder / "annotations" / f"{number:05d}.xml", name, size, found)
        picture = {"image_path": f"images/{name}", "group": f"place{first // PER_PLACE:04d}"}
        drawn.append((picture, [{"person": i} | row for i, row in enumerate(found)]))
    return drawn


def draw_scene(
    rng: np.random.Generator,
    place: scenes.Camera,
    size: tuple[int, int],
    people_each: int | None = None,
) -> tuple[bytes, list[dict]]:
    """Draws one scene.

    Returns:
        The JPEG's bytes, and for each person whom one can see the box (pixels), whether it is
        difficult, and the class of every task.
    """
    width, height = size
    quality = looks.draw(rng, QUALITIES)
    faults = [rng.uniform(*limits) for limits in camera.FAULTS[quality]]
    light = camera.sample_light(rng, place)
    picture, ground = _draw_ground(rng, place, light, size)
    count = people_each if people_each is not None else int(looks.draw(rng, CROWDS))
    spots = choose_spots(rng, count, ground, width / height)
    many = rng.choice(len(MANY_THINGS), p=MANY_THINGS)
    things = [_choose_thing(rng, ground, width / height) for _ in range(many)]
    figures = [_sample_figure(rng, spot) for spot in spots]
    owner = np.full((height, width), NOBODY, np.int16)
    for mark, spot, draw_tile in _nearest_last(rng, figures, things, place, light, height):
        _paint(picture, owner, draw_tile(), spot, mark)
    picture = camera.light_pools(rng, picture, light)
    encoded = camera.expose(rng, picture, place)
    shrunk = [1.0, *faults[1:]]  # the size of the people decides how much detail there is
    data = camera.degrade(rng, encoded, place, shrunk, size)
    return data, [row for i, f in enumerate(figures) if (row := _seen(f, owner, i, quality))]


def _nearest_last(rng, figures: list[Figure], things: list, place, light: Light, height: int):
    """Yields (mark, spot, what draws it), in painter's order: further down is nearer."""
    level = _level(light)
    everything = [
        (number, figure.spot, partial(_draw_figure, figure, place, light, height))
        for number, figure in enumerate(figures)
    ]
    everything += [
        (NOBODY, spot, partial(draw_thing, rng, kind, round(spot.height * height), level))
        for kind, spot in things
    ]
    yield from sorted(everything, key=lambda item: item[1].foot)


def _draw_ground(
    rng: np.random.Generator, place: scenes.Camera, light: Light, size: tuple[int, int]
) -> tuple[np.ndarray, float]:
    """Returns the lit place (3, height, width) and where its ground begins, as a fraction of it."""
    width, height = size
    zoom = rng.uniform(0.8, 1.0)
    wide = min(scenes.WIDTH, scenes.HEIGHT * width / height) * zoom
    tall = wide * height / width
    left = rng.uniform(0, scenes.WIDTH - wide)
    top = rng.uniform(0, max(1.0, min(scenes.HEIGHT - tall, place.base)))
    box = (left, top, left + wide, min(top + tall, scenes.HEIGHT))
    image = place.scene.resize(size, Image.Resampling.BILINEAR, box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.2, 1.0) * height / 240))
    linear = camera.LINEAR.take(np.asarray(image).transpose(2, 0, 1))
    return linear * _level(light)[:, None, None], max(0.0, (place.base - top) / tall)


def _level(light: Light) -> np.ndarray:
    return (light.sky + light.sun * max(0.3, light.direction[1])).astype(np.float32)


def choose_spots(rng: np.random.Generator, count: int, ground: float, aspect: float) -> list[Spot]:
    """Chooses where people stand: in perspective, some side by side, nobody wholly hidden."""
    spots: list[Spot] = []
    for _ in range(60 * count):
        if len(spots) == count:
            break
        if spots and rng.random() < BESIDE:
            other = spots[-1]
            step = rng.choice((-1, 1)) * rng.uniform(0.2, 0.42) * other.height
            spot = replace(other, x=other.x + step, foot=other.foot + rng.normal(0, 0.008))
        else:
            spot = _anywhere(rng, ground, aspect)
        if 0 < spot.x < aspect and not _hides_somebody([*spots, spot]):
            spots.append(spot)
    return spots


def _anywhere(rng: np.random.Generator, ground: float, aspect: float) -> Spot:
    near = rng.random() ** 1.3  # 0 at the far end of the ground, 1 in front of the camera
    first = np.clip(ground + 0.06, 0.2, 0.55)
    foot = first + near * (1.1 - first)
    return Spot(rng.uniform(-0.02, 1.02) * aspect, foot, FAR + near * (NEAR - FAR))


def _hides_somebody(spots: list[Spot]) -> bool:
    for spot in spots:
        left, top, right, bottom = spot.box
        mask = np.zeros((24, 12), bool)
        y, x = np.linspace(top, bottom, 24), np.linspace(left, right, 12)
        for other in spots:
            if other is not spot and other.foot >= spot.foot:
                l2, t2, r2, b2 = other.box
                mask |= ((y > t2) & (y < b2))[:, None] & ((x > l2) & (x < r2))[None]
        mask |= (y > 1)[:, None]
        if mask.mean() > MOST_HIDDEN:
            return True
    return False


def _sample_figure(rng: np.random.Generator, spot: Spot) -> Figure:
    look = looks.sample_look(rng)
    view = replace(looks.sample_view(rng, look), hide_feet="none")
    return Figure(replace(spot, height=spot.height * look.stature / 1.74), look, view)


def _choose_thing(rng: np.random.Generator, ground: float, aspect: float) -> tuple[str, Spot]:
    return looks.draw(rng, THINGS), _anywhere(rng, ground, aspect)


def _draw_figure(figure: Figure, place: scenes.Camera, light: Light, height: int) -> Tile:
    tall = figure.spot.height * height
    rows, cols = max(16, round(tall / FILL)), max(12, round(tall * 0.66))
    framing = Framing(0.0, SOLE, SOLE - FILL, place.pitch, place.closeness)
    step = 2 if rows < 320 else 1  # large figures have soft edges as they are
    rgb, alpha = render_person(figure.look, figure.view, light, framing, rows, cols, step)
    ground = np.ones((3, rows, cols), np.float32)
    shade = camera.ground_shadow(ground, alpha, light, framing)
    figure.pixels = int((alpha > 0.5).sum())
    return Tile(rgb, alpha, SOLE, shade)


def _paint(picture: np.ndarray, owner: np.ndarray, tile: Tile, spot: Spot, mark: int) -> None:
    """Lays a tile over the image, and its mark over those of what it hides."""
    height, width = owner.shape
    rows, cols = tile.alpha.shape
    corner = round(spot.foot * height - tile.foot * rows), round(spot.x * height - cols / 2)
    there = tuple(
        slice(max(start, 0), max(0, min(start + size, most)))
        for start, size, most in zip(corner, (rows, cols), (height, width))
    )
    if any(s.stop <= s.start for s in there):
        return
    here = tuple(slice(s.start - start, s.stop - start) for s, start in zip(there, corner))
    patch = picture[:, there[0], there[1]]
    if tile.shade is not None:
        patch *= tile.shade[:, here[0], here[1]]
    patch *= 1 - tile.alpha[here]
    patch += tile.rgb[:, here[0], here[1]]
    owner[there][tile.alpha[here] > 0.5] = mark


def _seen(figure: Figure, owner: np.ndarray, number: int, quality: str) -> dict | None:
    """Returns the row of a person, or None where there is nothing to see of them."""
    mine = owner == number
    share = mine.sum() / max(figure.pixels, 1)
    if share < LEAST_SEEN or mine.sum() < 24:
        return None
    rows, cols = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
    box = {"xmin": cols[0], "ymin": rows[0], "xmax": cols[-1] + 1, "ymax": rows[-1] + 1}
    truth = dict(figure.view.truth)
    truth["imagequality"] = _quality(quality, figure.spot.height * len(owner))
    sole, tall = figure.spot.foot * len(owner), figure.spot.height * len(owner)
    shoes = mine[max(0, round(sole - 0.05 * tall)) : max(0, round(sole + 0.03 * tall))]
    feet = shoes.sum() > 0.012 * figure.pixels
    truth["footwear"] = looks.look_footwear(figure.look) if feet else "CantSee"
    inside = {name: int(value) for name, value in box.items()}
    return inside | {"difficult": int(share < DIFFICULT)} | truth


def _quality(quality: str, pixels: float) -> str:
    """Returns the class of imagequality: that of the camera, or a worse one for a small person."""
    order = ("Good", "Average", "Bad")
    reduction = 0.88 * 240 / pixels
    by_size = 2 if reduction > BAD_FROM else 1 if reduction > AVERAGE_FROM else 0
    return order[max(order.index(quality), by_size)]


# --- things ----------------------------------------------------------------------------------


def draw_thing(rng: np.random.Generator, kind: str, tall: int, level: np.ndarray) -> Tile:
    """Draws something that is no person, though some look like one.

    Args:
        rng: decides how it looks.
        kind: of `THINGS`.
        tall: pixels of a person who stood there.
        level: the light (3,).
    """
    tall = max(tall, 12)
    layer = _DRAWERS[kind](rng, tall)
    data = np.asarray(layer.filter(ImageFilter.BoxBlur(max(0.4, tall / 300))))
    alpha = data[..., 3].astype(np.float32) / 255
    rgb = camera.LINEAR[data[..., :3]].transpose(2, 0, 1) * level[:, None, None]
    return Tile(rgb * alpha, alpha)


def _layer(wide: float, tall: float) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    layer = Image.new("RGBA", (max(4, int(wide)), max(4, int(tall))), (0, 0, 0, 0))
    return layer, ImageDraw.Draw(layer)


def _passer(rng: np.random.Generator, tall: int) -> Image.Image:
    figure = camera.passers()[rng.integers(camera.PASSERS)]
    return figure.resize((max(2, int(tall * 0.556)), max(4, tall)), Image.Resampling.BILINEAR)


def _draw_poster(rng: np.random.Generator, tall: int) -> Image.Image:
    """An advertisement with a person on it, flat and framed."""
    layer, pen = _layer(tall * 0.62, tall)
    wide, high = layer.size
    paper = tuple(int(c) for c in rng.integers(90, 240, 3))
    pen.rectangle((wide * 0.44, high * 0.8, wide * 0.56, high), (60, 60, 64, 255))
    pen.rectangle((0, 0, wide - 1, high * 0.86), (50, 52, 56, 255))
    edge = max(1, int(0.04 * high))
    pen.rectangle((edge, edge, wide - 1 - edge, high * 0.86 - edge), (*paper, 255))
    room = int(high * 0.86) - 2 * edge
    figure = _passer(rng, int(room * rng.uniform(0.9, 1.5)))
    inner = Image.new("RGBA", (wide - 2 * edge, room), (*paper, 255))
    inner.paste(figure, ((inner.width - figure.width) // 2, int(0.04 * room)), figure)
    layer.paste(inner, (edge, edge))
    for row in range(2):  # the words below
        y = int(high * (0.7 + 0.06 * row))
        pen.rectangle((wide * 0.15, y, wide * 0.85, y + max(1, high * 0.03)), (250, 250, 250, 255))
    return layer


def _draw_statue(rng: np.random.Generator, tall: int) -> Image.Image:
    """A figure of stone on a block."""
    figure = _passer(rng, int(tall * 0.8))
    grey = np.asarray(figure.convert("L"), np.float32)
    stone = np.array(((168, 166, 158), (120, 132, 118), (92, 96, 100))[rng.integers(3)])
    rgb = np.clip(stone * (0.62 + 0.5 * grey[..., None] / 255), 0, 255).astype(np.uint8)
    body = Image.fromarray(np.dstack([rgb, np.asarray(figure)[..., 3]]))
    layer, pen = _layer(max(body.width, tall * 0.4), tall)
    tone = tuple(int(c * 0.9) for c in stone)
    wide = layer.width
    pen.rectangle((wide * 0.2, tall * 0.77, wide * 0.8, tall), (*tone, 255))
    pen.rectangle((wide * 0.14, tall * 0.77, wide * 0.86, tall * 0.8), (*tone, 255))
    layer.paste(body, ((wide - body.width) // 2, 0), body)
    return layer


def _draw_tree(rng: np.random.Generator, tall: int) -> Image.Image:
    layer, pen = _layer(tall * 0.8, tall * 1.3)
    wide, high = layer.size
    bark = int(rng.integers(40, 80))
    pen.rectangle(
        (wide * 0.45, high * 0.4, wide * 0.55, high), (bark + 14, bark + 4, bark - 8, 255)
    )
    for _ in range(26):
        x, y = rng.uniform(0.2, 0.8) * wide, rng.uniform(0.1, 0.5) * high
        r = rng.uniform(0.08, 0.2) * wide
        green = rng.uniform(0.7, 1.2)
        tone = (int(64 * green), int(92 * green), int(44 * green), 255)
        pen.ellipse((x - r, y - r, x + r, y + r), tone)
    return layer


def _draw_bin(rng: np.random.Generator, tall: int) -> Image.Image:
    layer, pen = _layer(tall * 0.34, tall * 0.55)
    wide, high = layer.size
    tone = tuple(int(c) for c in rng.integers(30, 170, 3))
    dark = tuple(c // 2 for c in tone)
    pen.rounded_rectangle((0, high * 0.1, wide - 1, high - 1), max(1, wide // 8), (*tone, 255))
    pen.ellipse((0, 0, wide - 1, high * 0.22), (*dark, 255))
    pen.rectangle((wide * 0.2, high * 0.3, wide * 0.8, high * 0.36), (*dark, 255))
    return layer


def _draw_post(rng: np.random.Generator, tall: int) -> Image.Image:
    """A lamp or a sign on a post; the sign is about where a head would be."""
    layer, pen = _layer(tall * 0.4, tall * rng.uniform(1.0, 1.4))
    wide, high = layer.size
    tone = int(rng.integers(30, 150))
    pen.rectangle((wide * 0.45, 0, wide * 0.55, high), (tone, tone, tone + 4, 255))
    if rng.random() < 0.6:
        colors = ((200, 30, 30), (30, 70, 170), (240, 240, 236), (230, 190, 40))
        color = colors[rng.integers(4)]
        pen.ellipse((wide * 0.14, 0, wide * 0.86, wide * 0.72), (*color, 255))
        pen.ellipse((wide * 0.26, wide * 0.12, wide * 0.74, wide * 0.6), (240, 240, 236, 255))
    return layer


def _draw_car(rng: np.random.Generator, tall: int) -> Image.Image:
    long = int(tall * 2.5)
    layer, pen = _layer(long * 1.04, long * 0.36)
    scenes.draw_car(rng, pen, int(long * 0.02), int(layer.height * 0.93), long)
    return layer


_DRAWERS = {
    "poster": _draw_poster,
    "statue": _draw_statue,
    "tree": _draw_tree,
    "bin": _draw_bin,
    "post": _draw_post,
    "car": _draw_car,
}


# --- files -----------------------------------------------------------------------------------


def _write_voc(path: Path, name: str, size: tuple[int, int], found: list[dict]) -> None:
    root = ElementTree.Element("annotation")
    _add(root, "folder", "images")
    _add(root, "filename", name)
    sides = ElementTree.SubElement(root, "size")
    for tag, value in zip(("width", "height", "depth"), (*size, 3)):
        _add(sides, tag, value)
    for row in found:
        item = ElementTree.SubElement(root, "object")
        _add(item, "name", PERSON)
        _add(item, "pose", row["bodypose"])
        at_edge = row["xmin"] == 0 or row["xmax"] == size[0] or row["ymax"] == size[1]
        _add(item, "truncated", int(at_edge))
        _add(item, "difficult", row["difficult"])
        box = ElementTree.SubElement(item, "bndbox")
        for edge in ("xmin", "ymin", "xmax", "ymax"):
            _add(box, edge, row[edge])
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8")


def _add(parent: ElementTree.Element, tag: str, value: object) -> None:
    ElementTree.SubElement(parent, tag).text = str(value)


def main() -> None:
    """Runs the command."""
    parser = options_parser("Draw street scenes with boxes and attributes.", 800, "scenes")
    add = parser.add_argument
    add("--width", **number_flag("pixels", 96, 4096, 480))
    add("--height", **number_flag("pixels", 64, 4096, 270))
    add("--people", dest="people_each", **number_flag("in every scene, not by chance", 0, 40))
    generate_streets(**vars(parser.parse_args()))


if __name__ == "__main__":
    run_command(main)
