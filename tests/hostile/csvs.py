"""Damaged and odd CSVs through the commands that read one: manifest, csv, hvc, gtsrb, groups.

What a command accepts must say what the csv module, read by hand, says of the same file: the label
of an image from another column or row is the worst that can happen, since nothing shows it.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from data.sources.__main__ import main as sources
from data.sources.gtsrb import REGION, SIGNS, SIZE
from data.sources.hvc import TASKS
from helpers.common import WorkshopError
from helpers.detection.annotations import read_groups
from helpers.manifest import read_manifest
from helpers.manifest.__main__ import main as manifest
from tests.hostile import Tally, call, command, files_below

COUNT = 100
IN_A_PROCESS = 25  # every so many tries, the command runs in a process of its own
IMAGES = [f"{number}.png" for number in range(6)]
CLASSES = ["red", "blue", "None", "NA", "1e5", "0012", " spaced ", "a,b", 'say "hi"', "two\nlines"]
CLASSES += ["carriage\rreturn", "é", "日本", "=1+1", "'", "\u2028", "nan", "TRUE", "-", "\ufeff"]
NO_LABELS = ("image_path", "group", "split")

Table = list[list[str]]


def good(kind: str, draw: random.Random) -> tuple[Table, str]:
    """Returns header and rows of a good table of a kind, and its separator."""
    if kind == "gtsrb":
        header = ["Filename", *SIZE, *REGION, "ClassId"]
        names = [f"00000_{number:05d}.png" for number in range(len(IMAGES))]
        return [
            header,
            *([n, "8", "8", "1", "1", "6", "6", str(i % 2)] for i, n in enumerate(names)),
        ], ";"
    if kind == "hvc":
        rows = [[f"images/Set1/{i * 30}_0.jpg", *(draw.choice(TASKS[t]) for t in TASKS), name]
                for i, name in enumerate(IMAGES)]  # fmt: skip
        rows[0][1], rows[1][1] = "male", "female"
        return [["filename", *TASKS, "image_path"], *rows], ","
    names = draw.sample(CLASSES, 2)
    rows = [
        [name, names[i % 2], draw.choice(CLASSES), f"g{i // 2}"] for i, name in enumerate(IMAGES)
    ]
    return [["image_path", "color", "shape", "group"], *rows], ","


def text_of(table: Table, separator: str, end: str = "\n") -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
        table
    )
    return file.getvalue()


def plain(table: Table, separator: str) -> str:
    """Writes without quotes where that is possible, as most tables are."""
    return "\n".join(separator.join(map(_cell, row)) for row in table) + "\n"


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',;"\n\r') else text


def damage(data: bytes, table: Table, separator: str, draw: random.Random) -> bytes:
    """Returns the file, made odd or broken in one of many ways."""
    lines = data.split(b"\n")
    at = draw.randrange(len(lines) - 1)
    comma = separator.encode()
    column = draw.randrange(len(table[0]))

    def changed(line: bytes) -> bytes:
        return b"\n".join([*lines[:at], line, *lines[at + 1 :]])

    def flipped() -> bytes:
        broken = bytearray(data)
        for _ in range(draw.randrange(1, 4)):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        return bytes(broken)

    numbered = [["n", *table[0]], *([str(i), *row] for i, row in enumerate(table[1:]))]
    twice = [[*row, row[column]] for row in table]
    ways: list[Callable[[], bytes]] = [
        lambda: data,
        lambda: text_of(table, separator).encode(),
        lambda: text_of(table, separator, "\r\n").encode("utf-8-sig"),
        lambda: text_of(table, separator, "\r").encode(),
        lambda: changed(lines[at] + comma),
        lambda: lines[0] + b"\n" + b"\n".join(line + comma for line in lines[1:] if line),
        lambda: b"\n".join(line + comma for line in lines if line),
        lambda: changed(lines[at].partition(comma)[2]),
        lambda: changed(lines[at].rpartition(comma)[0]),
        lambda: changed(lines[at] + comma * draw.randrange(1, 9) + b"x"),
        lambda: changed(b'"' + lines[at]),
        lambda: changed(lines[at].replace(comma, comma + b'"', 1)),
        lambda: changed(lines[at] + b'"'),
        lambda: changed(lines[at][:3] + b"\0" + lines[at][3:]),
        lambda: changed(lines[at][:2] + b"\xe9" + lines[at][2:]),
        lambda: changed(b"\n" + lines[at]),
        lambda: changed(comma * (len(table[0]) - 1)),
        lambda: changed(lines[at] + b"x" * draw.choice([1000, 200_000])),
        lambda: plain(twice, separator).encode(),
        lambda: plain(numbered, separator).encode(),
        lambda: plain([["", *numbered[0][1:]], *numbered[1:]], separator).encode(),
        lambda: plain([row[::-1] for row in table], separator).encode(),
        lambda: plain([table[0]], separator).encode(),
        lambda: plain(table[1:], separator).encode(),
        lambda: data.replace(comma, draw.choice([b";", b"\t", b"|", b", ", b",,"])),
        lambda: data.decode().encode(draw.choice(["utf-16", "utf-32", "utf-16-le", "utf-7"])),
        lambda: data[: draw.randrange(len(data))],
        lambda: draw.randbytes(draw.randrange(400)),
        lambda: b"",
        lambda: gzip.compress(data),
        flipped,
        flipped,
    ]  # fmt: skip
    return draw.choice(ways)()


def by_hand(data: bytes, separator: str) -> list[dict[str, str]]:
    """Reads a table with the csv module alone: rows as they stand, cells by their position."""
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator))
    rows = [row for row in rows if any(map(str.strip, row))]
    header = [name.strip() for name in rows[0]]
    if any(len(row) != len(header) for row in rows):
        raise ValueError("rows of different length were accepted")
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def labels_by_hand(kind: str, data: bytes, tasks: list[str]) -> dict[str, list[str]]:
    """Returns file name to labels (and group), in the order of `tasks`."""
    found = {}
    for row in by_hand(data, ";" if kind == "gtsrb" else ","):
        if kind == "gtsrb":
            found[row["Filename"]] = [SIGNS[int(row["ClassId"])]]
        else:
            found[row["image_path"]] = [row[task] for task in tasks]
    return found


def run(tally: Tally, count: int, seed: int) -> None:
    """Tries `count` CSVs."""
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as folder:
            # a name that says nothing to the commands about the number
            outcome = _try(Path(folder), draw, number % IN_A_PROCESS == 0)
        tally.add(outcome, f"csvs {number} of seed {seed}")


def _try(folder: Path, draw: random.Random, in_a_process: bool) -> str:
    kind = draw.choice(["manifest", "csv", "hvc", "gtsrb", "groups"])
    table, separator = good(kind, draw)
    packed = kind in ("csv", "manifest") and draw.random() < 0.15
    data = damage(plain(table, separator).encode(), table, separator, draw)
    root, out = folder / "root", folder / "out" / "new.csv"
    path = _place(root, kind, table, packed)
    stored = gzip.compress(data) if packed else data
    if packed and draw.random() < 0.5:  # cut, or with a damaged checksum
        stored = draw.choice([stored[: draw.randrange(len(stored))], stored[:-6] + b"123456"])
    path.write_bytes(stored)
    if draw.random() < 0.05:
        path.unlink()
        draw.choice([path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to(path)])()
    before = files_below(root)
    if kind == "groups":
        return _groups(path, data)
    arguments = {
        "manifest": [path, "--no-images", "--split", "0.5,0.5,0", "--out", out],
        "csv": ["csv", "--root", root, "--csv", path.name, "--out", out],
    }.get(kind, [kind, "--root", root, "--out", out])
    module, main = (
        ("helpers.manifest", manifest) if kind == "manifest" else ("data.sources", sources)
    )
    outcome = command(module, arguments) if in_a_process else call(main, arguments)
    shutil.rmtree(folder / "out" / "images", ignore_errors=True)
    if files_below(root) != before:
        return "outside"
    if outcome != "ok":
        return "wrong" if out.exists() else outcome
    return "ok" if _is_right(kind, data, out) else "wrong"


def _place(root: Path, kind: str, table: Table, packed: bool) -> Path:
    """Makes the folder of a data set; returns where its CSV goes."""
    place = root / "Final_Training/Images/00000" if kind == "gtsrb" else root
    place.mkdir(parents=True)
    names = [row[0] for row in table[1:]] if kind == "gtsrb" else IMAGES
    for shade, name in enumerate(names):
        Image.new("RGB", (8, 8), (shade * 30, 0, 0)).save(place / name)
    names = {"hvc": "hvc_annotations.csv", "gtsrb": "GT-00000.csv"}
    return place / names.get(kind, "table.csv.gz" if packed else "table.csv")


def _groups(path: Path, data: bytes) -> str:
    try:
        found = read_groups(path)
    except WorkshopError:
        return "refused"
    except Exception:
        return "traceback"
    rows = by_hand(data, ",")
    wanted = {row["image_path"].rpartition(".")[0]: row["group"] for row in rows if row["group"]}
    known = {stem: group for stem, group in wanted.items() if stem in {n[0] for n in IMAGES}}
    return "ok" if {stem: found.get(stem) for stem in known} == known else "wrong"


def _is_right(kind: str, data: bytes, out: Path) -> bool:
    try:
        read = read_manifest(out)
        columns = [task for task in read.frame.columns if kind != "gtsrb" or task == "sign"]
        columns = [c for c in columns if c not in NO_LABELS and not c.startswith("Unnamed: ")]
        wanted = labels_by_hand(kind, data, columns)
    except (ValueError, KeyError, WorkshopError):
        return False
    found = {
        (f"{path[-15:]}" if kind == "gtsrb" else Path(path).name): [str(row[c]) for c in columns]
        for path, row in zip(read.paths, read.frame.to_dict("records"))
    }
    names = {Path(name).name: labels for name, labels in wanted.items()}
    return found == names
