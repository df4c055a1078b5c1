"""Damaged and malicious annotations through helpers.detection.records, and what it wrote read back.

One of three annotations is hostile. It may be left out, and then the others are written; a box that
is written must be the box that an independent reading of the file gives.
"""

from __future__ import annotations

import os
import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from xml.dom import minidom

import tensorflow as tf
from PIL import Image

from helpers.detection.records import main
from tests.detection_data import SIZE, voc_xml
from tests.hostile import Tally, call, command, files_below

COUNT = 50
IN_A_PROCESS = 25
EDGES = ("xmin", "ymin", "xmax", "ymax")
Box = tuple[str, float, float, float, float]
BOXES = [("lamp", 2, 3, 40, 50), ("cup", 50, 10, 90, 60)]
BOMB = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "lol"}">' for i in range(10))
NUMBERS = ["-1", "nan", "inf", "-inf", "1e999", "1_0", "", " 7 ", "0x10", "٣", "9" * 5000, "1e-9"]
NUMBERS += ["2.5", "96", "97.9", "98.1", "<b>3</b>", "3<!-- 4 -->", "&#51;", "0003", "+5", "1,5"]
ENCODINGS = ["utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp037", "utf-7", "shift_jis"]
DECLARED = [*ENCODINGS, "rot13", "hex", "idna", "undefined", "unicode_escape", "none", "é", "zlib"]
PENN = """# Compatible with PASCAL Annotation Version 1.00
Image filename : "PNGImages/a.png"
Image size (X x Y x C) : 96 x 64 x 3
Objects with ground truth : 1 { "PASperson" }
Bounding box for object 1 "PASperson" (Xmin, Ymin) - (Xmax, Ymax) : (10, 12) - (40, 50)
"""


def hostile_xml(draw: random.Random) -> bytes:
    """Returns VOC XML, odd or broken in one of many ways."""
    good = voc_xml("a.png", BOXES)
    inner = good.removeprefix("<annotation>")
    many = draw.choice([1_000, 100_000, 300_000])
    way = draw.randrange(9)
    if way == 0:
        head = f'<?xml version="1.0" encoding="{draw.choice(DECLARED)}"?>'
        return (head + good).encode(draw.choice(ENCODINGS))
    if way == 1:
        entity = f'<!ENTITY x "{"y" * 50_000}">'
        file = '<!ENTITY x SYSTEM "file:///etc/passwd">'
        inside = draw.choice([BOMB, entity, file, '<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;'])
        text = f"<!DOCTYPE a [{inside}]><annotation>{draw.choice(['&e9;', '&x;' * 999, ''])}{inner}"
        return draw.choice([text, f'<!DOCTYPE a SYSTEM "file:///etc/passwd">{good}']).encode()
    if way == 2:
        attributes = " ".join(f"a{i}=''" for i in range(many // 3))
        start = draw.choice(
            [
                f"<annotation>{'<x>' * many}{'</x>' * many}",
                f"<annotation>{'<x>' * many}",
                f'<annotation note="{"y" * many * 10}">',
                f"<annotation {attributes}>",
                f"<annotation>{'<!-- -->x' * many}",
                f"<annotation>{' ' * 6_000_000}",
            ]
        )
        return (start + inner).encode()
    if way == 3:
        names = ["&#0;", "&#xD800;", "\0", "&x;", "<i>l</i>", "", "a" * 100_000, "é\u2028"]
        return good.replace(
            "lamp", draw.choice([*names, "a&#10;b", "'\"\\", "\U0010ffff"])
        ).encode()
    if way == 4:
        names = [
            "../../../etc/passwd",
            "/etc/passwd",
            "C:\\x\\a.png",
            "b.png",
            ".",
            "..",
            "x" * 5000,
        ]
        names += ["a", "a.jpg", "", " a.png ", "A.PNG", "a.png/", "\\", "c:a.png", "%00"]
        return voc_xml(draw.choice(names), BOXES).encode()
    if way == 5:
        tag = draw.choice(["xmin", "ymin", "xmax", "ymax", "width", "difficult"])
        new = f"<{tag}>{draw.choice(NUMBERS)}</{tag}>"
        return re.sub(rf"<{tag}>[^<]*</{tag}>", lambda _: new, good, count=1).encode()
    if way == 6:
        tag = draw.choice(re.findall(r"<(\w+)>", good))
        double = good.replace("<object>", "<object><object>", 1)
        return draw.choice(
            [
                re.sub(rf"</?{tag}>", "", good, count=2),
                good.replace("annotation", draw.choice(["Annotation", "html", "a:b"])),
                double.replace("</object>", "</object></object>", 1),
            ]
        ).encode()
    if way == 7:
        data = bytearray(good.encode())
        for _ in range(draw.randrange(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        return bytes(data)
    cut = good.encode()[: draw.randrange(len(good))]
    return draw.choice([cut, draw.randbytes(draw.randrange(300)), good.encode()])


def hostile_text(draw: random.Random) -> bytes:
    """Returns an annotation in the form of Penn-Fudan's, odd or broken."""
    many = draw.choice([1_000, 100_000, 400_000])
    first, *lines = PENN.splitlines()
    at = draw.randrange(len(lines))
    nines = "9" * 5000
    edges = ["(-1,", f"({nines},", "(1e3,", "(nan,", "(95,"]
    files = ["../../etc/passwd", "\0", "", "b.png"]
    repeated = ["Image size" * (many // 10), 'Bounding box for object 1 "' * (many // 20)]
    repeated += ["Image size : 1 x" + " " * many + "\n" * many, lines[at]]
    return draw.choice(
        [
            PENN,
            PENN.replace("\n", "\r\n"),
            "\n".join([first, *lines[:at], *lines[at + 1 :]]),
            "\n".join([first, draw.choice(repeated), *lines]),
            "\n".join([first, draw.choice(repeated), *lines]),
            PENN.replace("(10,", draw.choice(edges)),
            PENN.replace("96 x", draw.choice(["0 x", f"{nines} x", "-96 x", "64 x"])),
            PENN.replace("truth : 1", f"truth : {draw.choice(['2', '', '1' * 99])}"),
            PENN.replace("PNGImages/a.png", draw.choice(files)),
            PENN[: draw.randrange(40, len(PENN))],
        ]
    ).encode()


def read_by_hand(data: bytes) -> list[Box]:
    """Reads VOC XML with minidom, or Penn-Fudan's lines by splitting them; edges are clipped."""
    if b"PASCAL Annotation" in data[:200]:
        lines = [line for line in data.decode().splitlines() if line.startswith("Bounding box")]
        edges = [re.findall(r"-?\d+", line.rpartition(":")[2]) for line in lines]
        found = [(line.split('"')[1], *map(float, four)) for line, four in zip(lines, edges)]
    else:
        root = minidom.parseString(data).documentElement
        found = [
            (_text(item, "name"), *(float(_text(item, edge)) for edge in EDGES))
            for item in root.childNodes
            if item.nodeName == "object"
        ]
    wide, tall = SIZE
    return [(n, max(a, 0), max(b, 0), min(c, wide), min(d, tall)) for n, a, b, c, d in found]


def _text(item: minidom.Element, tag: str) -> str:
    first = item.getElementsByTagName(tag)[0]
    return "".join(
        node.data for node in first.childNodes if node.nodeType == node.TEXT_NODE
    ).strip()


def written(folder: Path) -> dict[str, list[Box]]:
    """Reads the records: image name to its boxes in pixels."""
    found = {}
    for file in sorted(folder.glob("*record*")):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            one = tf.train.Example.FromString(record).features.feature
            names = [name.decode() for name in one["image/object/class/text"].bytes_list.value]
            edges = zip(
                *(
                    [value * size for value in one[f"image/object/bbox/{edge}"].float_list.value]
                    for edge, size in zip(EDGES, SIZE * 2)
                )
            )
            name = one["image/filename"].bytes_list.value[0].decode()
            found[name] = [(name, *four) for name, four in zip(names, edges)]
    return found


def run(tally: Tally, count: int, seed: int) -> None:
    """Tries `count` folders of annotations."""
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as folder:
            outcome = _try(Path(folder), draw, number % IN_A_PROCESS == IN_A_PROCESS - 1)
        tally.add(outcome, f"annotations {number} of seed {seed}")


def _try(folder: Path, draw: random.Random, in_a_process: bool) -> str:
    root, out = folder / "root", folder / "out"
    root.mkdir()
    for name in "abc":
        Image.new("RGB", SIZE, (9, 9, 99)).save(root / f"{name}.png")
    for name in "bc":
        (root / f"{name}.xml").write_text(voc_xml(f"{name}.png", BOXES))
    is_text = draw.random() < 0.3
    data = hostile_text(draw) if is_text else hostile_xml(draw)
    path = root / ("a.txt" if is_text else "a.xml")
    path.write_bytes(data)
    if draw.random() < 0.15:
        _make_special(path, draw)
    before = files_below(root)
    arguments = ["--voc", root, "--out", out, "--shards", 1, "--val", 0]
    outcome = (
        command("helpers.detection.records", arguments) if in_a_process else call(main, arguments)
    )
    if files_below(root) != before or [p for p in folder.iterdir() if p not in (root, out)]:
        return "outside"
    if outcome != "ok":
        return outcome if outcome != "refused" else "wrong"  # the other two are good
    found = written(out)
    if not _is_right(found, data):
        return "wrong"
    return "ok" if "a.png" in found else "left out"


def _make_special(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    path.unlink()
    odd = os.fsdecode(b"caf\xe9")
    ways: list[Callable[[], object]] = [
        path.mkdir,
        lambda: os.mkfifo(path),
        lambda: path.symlink_to(path),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.with_name(odd + path.suffix).write_bytes(data),
        lambda: path.with_name("a.png").rename(path.with_name(odd + ".png")),
    ]
    draw.choice(ways)()


def _is_right(found: dict[str, list[Box]], data: bytes) -> bool:
    for name, boxes in found.items():
        wanted = BOXES
        if name == "a.png":
            try:
                wanted = read_by_hand(data)
            except Exception:  # it was accepted, but means nothing
                return False
        if len(boxes) != len(wanted):
            return False
        for (one, *edges), (other, *others) in zip(boxes, wanted):
            if one != other or max(abs(a - b) for a, b in zip(edges, others)) > 1e-3:
                return False
    return {"c.png"} <= set(found)  # b.png may have two annotations now
