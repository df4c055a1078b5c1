"""Encoded images of every kind that the project meets, for the tests of decoding."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import IMAGE_SIZE

RNG = np.random.default_rng(0)


def scene(width: int = 75, height: int = 160) -> Image.Image:
    """An image whose corners and edges all differ, so that no turn goes unnoticed."""
    small = RNG.integers(0, 256, (8, 5, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif_bytes(orientation: int, little_endian: bool = False) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "A camera's maker"  # entries before and after the orientation
    exif[0x0112] = orientation
    exif[0x0131] = "software"
    exif.endian = "<" if little_endian else ">"
    return exif.tobytes()


def exif_first(jpeg: bytes) -> bytes:
    """Drops JFIF's segment, as most cameras do: EXIF then comes first."""
    assert jpeg[2:4] == b"\xff\xe0"
    return jpeg[:2] + jpeg[4 + int.from_bytes(jpeg[4:6]) :]


def turned(orientation: int, camera: bool = False, little_endian: bool = False) -> bytes:
    exif = exif_bytes(orientation, little_endian)
    jpeg = encoded(SCENE, "JPEG", quality=92, exif=exif)
    return exif_first(jpeg) if camera else jpeg


SCENE = scene()
GREY_16 = Image.fromarray(np.asarray(SCENE.convert("L")).astype(np.uint16) * 256 + 77)
FILES = {
    "baseline.jpg": encoded(SCENE, "JPEG"),
    "progressive.jpg": encoded(SCENE, "JPEG", progressive=True),
    "grey.jpg": encoded(SCENE.convert("L"), "JPEG"),
    "cmyk.jpg": encoded(SCENE.convert("CMYK"), "JPEG"),
    "full_color.jpg": encoded(SCENE, "JPEG", subsampling=0, quality=95),
    "large.jpg": encoded(SCENE.resize((641, 1203)), "JPEG"),
    "wide.jpg": encoded(SCENE.resize((700, 90)), "JPEG"),
    "smaller.jpg": encoded(SCENE.resize((7, 13)), "JPEG"),
    "odd.jpg": encoded(SCENE.resize((33, 67)), "JPEG"),
    "two_in_one.jpg": encoded(
        SCENE, "MPO", save_all=True, append_images=[SCENE.rotate(180)], exif=exif_bytes(6)
    ),
    "color.png": encoded(SCENE, "PNG"),
    "grey.png": encoded(SCENE.convert("L"), "PNG"),
    "rgba.png": encoded(Image.merge("RGBA", (*SCENE.split(), SCENE.convert("L"))), "PNG"),
    "grey_alpha.png": encoded(SCENE.convert("LA"), "PNG"),
    "palette.png": encoded(SCENE.convert("P"), "PNG"),
    "sixteen_bit.png": encoded(GREY_16, "PNG"),
    "large.png": encoded(SCENE.resize((401, 803)), "PNG"),
    "color.bmp": encoded(SCENE, "BMP"),
    "still.gif": encoded(SCENE.convert("P"), "GIF"),
    "turned.jpg": turned(6),
    "turned_large.jpg": encoded(SCENE.resize((1203, 641)), "JPEG", exif=exif_bytes(8)),
}
BROKEN = {
    "empty": b"",
    "one byte": b"\xff",
    "text": b"I am no image at all, but a text of some length.",
    "cut jpeg": FILES["baseline.jpg"][:-400],
    "cut png": FILES["color.png"][:-400],
    "head of a jpeg": FILES["baseline.jpg"][:25],
    "cut exif": turned(6)[:60],
    "noise": RNG.integers(0, 256, 999).astype(np.uint8).tobytes(),
}


def by_pillow(data: bytes, image_size: tuple[int, int] = IMAGE_SIZE) -> np.ndarray:
    """Decodes, turns and averages down with Pillow alone: (height, width, 3) float."""
    from PIL import ImageOps

    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    if image.format in ("JPEG", "MPO"):
        image = ImageOps.exif_transpose(image)
    return np.asarray(image.convert("RGB").resize(image_size[::-1], Image.Resampling.BOX), float)


def write_all(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in FILES]
