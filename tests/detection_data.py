"""Tiny annotated images for the tests of detection: bright rectangles on dark ground."""

from pathlib import Path

import numpy as np
from PIL import Image

from helpers.detection import write_records
from helpers.detection.records import Written

SIZE = (96, 64)  # width, height
COLORS = {"lamp": (230, 210, 60), "cup": (60, 120, 230)}


def voc_xml(name: str, boxes, size=SIZE, extra: str = "") -> str:
    """VOC XML; `boxes` are (class, xmin, ymin, xmax, ymax[, difficult])."""
    items = "".join(
        f"<object><name>{cls}</name><pose>Left</pose><truncated>1</truncated>"
        f"<difficult>{difficult[0] if difficult else 0}</difficult><bndbox><xmin>{a}</xmin>"
        f"<ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for cls, a, b, c, d, *difficult in boxes
    )
    return (
        f"<annotation><filename>{name}</filename><size><width>{size[0]}</width>"
        f"<height>{size[1]}</height><depth>3</depth></size>{items}{extra}</annotation>"
    )


def make_voc(folder: Path, count: int = 12, seed: int = 0, classes=("lamp", "cup")) -> Path:
    """Writes images/ and annotations/ with one or two objects in each image."""
    rng = np.random.default_rng(seed)
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = rng.integers(0, 60, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
        boxes = []
        for j in range(1 + i % 2):
            wide, tall = rng.integers(14, 30, 2)
            x, y = j * 48 + rng.integers(0, 47 - wide), rng.integers(0, SIZE[1] - tall)
            cls = classes[(i + j) % len(classes)]
            pixels[y : y + tall, x : x + wide] = COLORS[cls]
            boxes.append((cls, x, y, x + wide, y + tall))
        Image.fromarray(pixels).save(folder / f"images/{i:03d}.jpg", quality=95)
        (folder / f"annotations/{i:03d}.xml").write_text(voc_xml(f"{i:03d}.jpg", boxes))
    return folder


def make_records(folder: Path, count: int = 12, **options) -> Written:
    """Writes images and their records."""
    voc = make_voc(folder / "voc", count)
    return write_records(voc, folder / "records", name="tiny", shards=2, **options)
