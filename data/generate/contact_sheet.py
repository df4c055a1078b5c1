"""Draws contact sheets of any manifest: one per task with a row per class, and one of all.

    python -m data.generate.contact_sheet --manifest data/generated/people/manifest.csv

writes images/contact_sheets/TASK.jpg for each task, and people.jpg; --overview gives the sheet of
all another name.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from helpers.common import (
    ROOT,
    WorkshopError,
    check_file,
    plain_name,
    run_command,
    seed_flag,
    whole_file,
)
from helpers.manifest import Manifest, check_image, read_manifest

CELL = (150, 64)  # height and width of an image on a sheet of people
CELL_AREA = CELL[0] * CELL[1]
PER_CLASS = 9  # images of each class
OVERVIEW = (5, 12)  # rows and columns of the sheet of all
MANY = 6  # more classes than this stand in two columns
MOST = 48  # classes on one sheet; the most frequent ones are shown
NAME_WIDTH = 112
GAP = 4
PAPER, INK, PALE = (255, 255, 255), (20, 20, 24), (110, 110, 116)
JPEG_QUALITY = 82


def draw_class_sheet(manifest: Manifest, task: str, seed: int = 0) -> Image.Image:
    """Draws images of each class of `task`, from different groups where there are enough.

    Args:
        manifest: what is drawn.
        task: the column.
        seed: for the choice of images.
    """
    targets, classes = manifest.targets(task), manifest.labels.tasks[task]
    counts = np.bincount(targets[targets >= 0], minlength=len(classes))
    shown = range(len(classes))
    if len(classes) > MOST:
        shown = sorted(np.argsort(-counts)[:MOST].tolist())
    columns = 2 if len(shown) > MANY else 1
    per_class = PER_CLASS if columns == 1 else PER_CLASS - 2
    cell = _cell_size(manifest)
    rows = -(-len(shown) // columns)
    wide = NAME_WIDTH + per_class * (cell[1] + GAP) + GAP
    sheet = Image.new("RGB", (wide * columns, rows * (cell[0] + GAP) + GAP), PAPER)
    for place, code in enumerate(shown):
        corner = (place // rows * wide, place % rows * (cell[0] + GAP) + GAP)
        name = manifest.labels.display_name(task, classes[code])
        _write_name(sheet, corner, cell[0], name, counts[code], counts.sum())
        chosen = choose_rows(manifest, np.flatnonzero(targets == code), per_class, seed)
        for number, row in enumerate(chosen):
            x = corner[0] + NAME_WIDTH + number * (cell[1] + GAP)
            sheet.paste(_open(manifest.path(row), cell), (x, corner[1]))
    return sheet


def draw_overview(manifest: Manifest, seed: int = 0) -> Image.Image:
    """Draws images of different groups, without names."""
    cell, (rows, columns) = _cell_size(manifest), OVERVIEW
    size = (columns * (cell[1] + GAP) + GAP, rows * (cell[0] + GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    chosen = choose_rows(manifest, np.arange(len(manifest)), rows * columns, seed)
    for number, row in enumerate(chosen):
        x, y = number % columns * (cell[1] + GAP) + GAP, number // columns * (cell[0] + GAP) + GAP
        sheet.paste(_open(manifest.path(row), cell), (x, y))
    return sheet


def choose_rows(manifest: Manifest, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Chooses up to `count` of `rows`: one of each group first, then more of the same groups."""
    rows = np.random.default_rng(seed).permutation(rows)
    groups = manifest.groups[rows]
    _, first = np.unique(groups, return_index=True)
    is_first = np.isin(np.arange(len(rows)), first)
    return np.concatenate([rows[is_first], rows[~is_first]])[:count]


def _cell_size(manifest: Manifest) -> tuple[int, int]:
    """Returns height and width of a cell with the usual shape of the images."""
    shapes = []
    for row in choose_rows(manifest, np.arange(len(manifest)), 25, seed=0):
        shapes.append(np.log(np.divide(*_open(manifest.path(row)).size)))
    ratio = float(np.clip(np.exp(np.median(shapes)), CELL[1] / CELL[0], 2.0))
    height = round((CELL_AREA / ratio) ** 0.5)
    return height, round(height * ratio)


def _open(path: str, cell: tuple[int, int] | None = None) -> Image.Image:
    finding = check_image(path)
    if finding is not None:
        raise WorkshopError(
            f"{path}: expected {finding.expected}, found {finding.found}. {finding.fix}"
        )
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    if cell is None:
        return image
    return ImageOps.pad(image, cell[::-1], Image.Resampling.LANCZOS, PAPER)


def _write_name(sheet: Image.Image, corner, height: int, name: str, count: int, total: int) -> None:
    pen = ImageDraw.Draw(sheet)
    x, y = corner[0] + 8, corner[1] + height // 2 - 24
    for word in _break(name):
        pen.text((x, y), word, INK, ImageFont.load_default(14))
        y += 17
    share = 100 * count / max(total, 1)
    pen.text((x, y + 2), f"{count:,} ({share:.1f}%)", PALE, ImageFont.load_default(12))


def _break(name: str) -> list[str]:
    """Breaks a class name into lines that fit beside its images."""
    lines = [""]
    for word in name.replace("/", "/ ").replace("-", "- ").split():
        glue = "" if not lines[-1] or lines[-1][-1] in "/-" else " "
        if lines[-1] and len(lines[-1]) + len(word) > 13:
            lines.append(word)
        else:
            lines[-1] += glue + word
    return lines


def draw_sheets(
    manifest: Manifest, out: Path, seed: int = 0, overview: str = "people"
) -> list[Path]:
    """Writes a sheet for each task and one of all to `out`; returns their paths."""
    if len(manifest) == 0:
        raise WorkshopError("The manifest has no images. Expected at least one row.")
    for name in (*manifest.tasks, overview):
        check_file(out / f"{name}.jpg", [manifest.source or out, *manifest.paths])
    sheets = {task: draw_class_sheet(manifest, task, seed) for task in manifest.tasks}
    sheets[overview] = draw_overview(manifest, seed)
    written = []
    for name, sheet in sheets.items():
        path = out / f"{name}.jpg"
        with whole_file(path) as draft:
            sheet.save(draft, "JPEG", quality=JPEG_QUALITY, optimize=True)
        print(f"{path}: {sheet.width} x {sheet.height}, {path.stat().st_size / 1024:.0f} KB")
        written.append(path)
    return written


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Draw contact sheets of a manifest.")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.csv")
    parser.add_argument("--out", type=Path, default=ROOT / "images" / "contact_sheets")
    parser.add_argument("--seed", **seed_flag("of the choice of images"))
    name = "name of the sheet of all (people)"
    parser.add_argument("--overview", type=plain_name, default="people", help=name)
    given = parser.parse_args()
    draw_sheets(read_manifest(given.manifest), given.out, given.seed, given.overview)


if __name__ == "__main__":
    run_command(main)
