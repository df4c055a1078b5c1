"""Writes images and their boxes as sharded TFRecords, and reads such records back.

    python -m helpers.detection.records --voc DIR --out DIR [--shards 10] [--label-map FILE]
    python -m helpers.detection.records --check DIR

Features and files are named as in TensorFlow's Object Detection API.
"""

import argparse
import fnmatch
import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from google.protobuf.message import DecodeError

from helpers import common
from helpers.common import WorkshopError, expected, number_flag, tf
from helpers.detection.annotations import Annotated, read_annotations, read_groups, rgb_file
from helpers.detection.config import LABEL_MAP_FILE, LabelMap
from helpers.detection.inference import EDGES
from helpers.manifest import THREADS, Problem, assign_groups, describe, problems_table

REPORT_FILE, SHARDS_FILE = "report.csv", "shards.json"  # shards.json: the records in each shard
SHARD = re.compile(r"(.+\.record)-\d{5}-of-(\d{5})")
RECORDS = common.Output(
    "records",
    LABEL_MAP_FILE,
    rf"{LABEL_MAP_FILE}|{REPORT_FILE}|{SHARDS_FILE}|[^/]+_(train|val)\.record-\d{{5}}-of-\d{{5}}",
    lambda folder: _listed(folder),
)
SPLITS = ("train", "val")  # as the API's guides name them
AGAIN = "Write them again with python -m helpers.detection.records, or copy them again."


@dataclass(frozen=True)
class Written:
    """The records that `write_records` wrote."""

    folder: Path
    label_map: LabelMap
    images: dict[str, int]  # in each split
    boxes: dict[str, Counter]  # split to class to count
    problems: list[Problem]

    def pattern(self, split: str) -> str:
        """Returns the glob of a split's shards."""
        return str(self.folder / f"*_{split}.record-*")


def write_records(
    folder: Path,
    out: Path,
    *,
    name: str = "",
    shards: int = 10,
    val_share: float = 0.2,
    seed: int = 0,
    label_map: LabelMap | None = None,
    class_from: str = "annotation",
    groups: Mapping[str, str] | None = None,
) -> Written:
    """Turns a folder of annotated images into records; the same bytes every time.

    Records in `out` are replaced. Where `label_map` is None, the classes found are numbered. A
    fraction `val_share` of the images becomes the split val, and no group is split. For
    `class_from` and `groups` see `read_annotations`. Raises WorkshopError for a name with a folder,
    for other files in `out`, and for nothing to write.
    """
    out, name = Path(out), name or Path(folder).absolute().name
    if not re.fullmatch(r"\w[^/\\\x00-\x1f]{0,199}", name):
        raise expected("a name without folders", repr(name), "Choose another one.", "--name")
    common.check_out(out, RECORDS, [folder])
    found, label_map, problems = _read(folder, label_map, class_from, groups)
    sides = _split(found, label_map, val_share, seed)
    with common.whole_folder(out, RECORDS) as draft:
        counts: dict[str, int] = {}
        for split, side in sides.items():
            counts |= _write_shards(side, draft / f"{name}_{split}.record", shards, label_map)
        common.write_json(draft / SHARDS_FILE, counts)
        label_map.write(draft / LABEL_MAP_FILE)
        if problems:
            common.write_text(draft / REPORT_FILE, problems_table(problems).to_csv(index=False))
    images = {split: len(side) for split, side in sides.items()}
    boxes = {split: Counter(_names(side)) for split, side in sides.items()}
    return Written(out, label_map, images, boxes, problems)


def _read(
    folder: Path, label_map: LabelMap | None, class_from: str, groups: Mapping[str, str] | None
) -> tuple[list[Annotated], LabelMap, list[Problem]]:
    names = label_map.names if label_map else None
    found, problems = read_annotations(folder, names, class_from, groups)
    if not found:
        what = "at least one image with a good annotation"
        raise WorkshopError(f"{folder}: expected {what}, found none.\n{describe(problems)}")
    label_map = label_map or LabelMap({n: i for i, n in enumerate(sorted({*_names(found)}), 1)})
    if not label_map.ids:
        raise WorkshopError(f"{folder}: expected boxes, found none in {len(found)} annotations.")
    return found, label_map, problems


def _names(side: Sequence[Annotated]) -> Iterator[str]:
    return (box.name for one in side for box in one.boxes)


def _listed(folder: Path) -> list[str]:
    """Lists what one call of `write_records` wrote; older records have no table of it."""
    others = [LABEL_MAP_FILE, REPORT_FILE, SHARDS_FILE]
    if (folder / SHARDS_FILE).exists():
        return [*common.read_json(folder / SHARDS_FILE), *others]
    shards = [path.name for path in folder.glob("*.record-*")]
    if len({name.rpartition(".record-")[0] for name in shards}) != len(SPLITS):
        raise ValueError("not the records of one dataset")
    return [*shards, *others]


def _split(
    found: Sequence[Annotated], label_map: LabelMap, val_share: float, seed: int
) -> dict[str, list[Annotated]]:
    """Splits shuffled images by group, so that both splits get their fraction of every class."""
    rng = np.random.default_rng(seed)
    pairs = [(one.group, name) for one in found for name in ("", *_names([one]))]  # "": the image
    frame = pd.DataFrame(pairs, columns=["group", "name"])
    counts = pd.crosstab(frame["group"], frame["name"]).reindex(columns=["", *label_map.names])
    shares = np.array([1 - val_share, val_share])
    # assign_groups divides by the fractions, so none may be 0
    known = counts.dropna(axis="columns").to_numpy(float)
    side = assign_groups(known, shares, rng) if val_share > 0 else np.zeros(len(counts), int)
    side_of = dict(zip(counts.index, side))
    mixed = [found[number] for number in rng.permutation(len(found))]
    return {
        split: [one for one in mixed if side_of[one.group] == number]
        for number, split in enumerate(SPLITS)
    }


def _write_shards(side: list[Annotated], path: Path, shards: int, label_map: LabelMap) -> dict:
    """Returns the number of records in each shard, by its name."""

    def write(number: int) -> tuple[str, int]:
        shard, part = f"{path}-{number:05d}-of-{shards:05d}", side[number::shards]
        with tf.io.TFRecordWriter(shard) as writer:
            for one in part:
                # deterministic: the features are a map, whose order differs between processes
                writer.write(_example_of(one, label_map).SerializeToString(deterministic=True))
                bar.update()
        return Path(shard).name, len(part)

    with (
        common.progress_bar(total=len(side), desc=f"writing {path.stem}", unit="image") as bar,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        return dict(pool.map(write, range(shards)))


def _example_of(one: Annotated, label_map: LabelMap) -> tf.train.Example:
    (data, kind), name = rgb_file(one.image), one.image.name
    values = {
        "encoded": [data],
        "format": [kind],
        "filename": [name],
        "source_id": [name],
        "key/sha256": [hashlib.sha256(data).hexdigest()],
        "height": [one.height],
        "width": [one.width],
        "object/bbox/xmin": [box.xmin / one.width for box in one.boxes],
        "object/bbox/xmax": [box.xmax / one.width for box in one.boxes],
        "object/bbox/ymin": [box.ymin / one.height for box in one.boxes],
        "object/bbox/ymax": [box.ymax / one.height for box in one.boxes],
        "object/class/text": [box.name for box in one.boxes],
        "object/class/label": [label_map.ids[box.name] for box in one.boxes],
        "object/difficult": [int(box.difficult) for box in one.boxes],
        "object/truncated": [int(box.truncated) for box in one.boxes],
        "object/view": [box.view for box in one.boxes],
    }
    features = {f"image/{key}": _feature(value) for key, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features))


def _feature(values: list) -> tf.train.Feature:
    if not values:  # an empty list of the wrong type could not be read back
        return tf.train.Feature()
    if isinstance(values[0], str | bytes):
        values = [value.encode() if isinstance(value, str) else value for value in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


COLUMNS = {"class/text": tf.string, "class/label": tf.int64, "difficult": tf.int64}
COLUMNS |= {f"bbox/{edge}": tf.float32 for edge in EDGES}
FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    # what only some writers of this format give
    "image/filename": tf.io.FixedLenFeature([], tf.string, ""),
    "image/source_id": tf.io.FixedLenFeature([], tf.string, ""),
} | {
    f"image/object/{name}": tf.io.FixedLenSequenceFeature([], kind, allow_missing=True)
    for name, kind in COLUMNS.items()
}


def shard_files(patterns: str | Sequence[str]) -> list[str]:
    """Returns the files that match any glob, sorted; one that matches none is a WorkshopError."""
    files: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        found = tf.io.gfile.glob(str(pattern))
        if not found:
            fix = "Write them with python -m helpers.detection.records, or correct the path."
            raise expected(f"records at {pattern}", "none", fix)
        files.update(found)
    return sorted(files)


def read_records(files: Sequence[str], label_map: LabelMap) -> tf.data.Dataset:
    """Reads records of this module or the API, in the order of the files.

    The dataset has dicts of `encoded` and `name` (strings), `boxes` float32 (n, 4) as ymin, xmin,
    ymax, xmax from 0 to 1, `labels` int32 (n,), 0 for a class missing from the label map, and
    `difficult` bool (n,).
    """
    by_name = _places_of(tf.constant(list(label_map.names)))
    by_number = _places_of(tf.constant(list(label_map.ids.values()), tf.int64))

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.io.parse_single_example(record, FEATURES)
        edges = [found[f"image/object/bbox/{edge}"] for edge in EDGES]
        boxes = tf.clip_by_value(tf.stack(edges, axis=-1), 0.0, 1.0)
        count = tf.shape(boxes)[0]

        def column(name: str) -> tf.Tensor:
            """Pads what the writer left out."""
            values = found[f"image/object/{name}"][:count]
            return tf.pad(values, [[0, count - tf.shape(values)[0]]])

        # the name comes first: the number may belong to another label map
        name, number = column("class/text"), column("class/label")
        label = tf.where(name == "", by_number.lookup(number), by_name.lookup(name))
        source, filename = found["image/source_id"], found["image/filename"]
        return {
            "encoded": found["image/encoded"],
            "name": tf.where(filename == "", source, filename),
            "boxes": tf.ensure_shape(boxes, (None, 4)),
            "labels": tf.ensure_shape(label, (None,)),
            "difficult": tf.ensure_shape(column("difficult") > 0, (None,)),
        }

    records = tf.data.TFRecordDataset(list(files))
    return common.steady(records.map(parse, num_parallel_calls=common.CORES))


def _places_of(keys: tf.Tensor) -> tf.lookup.StaticHashTable:
    """Returns a table from each key to its place, from 1 on, and from all others to 0."""
    pairs = tf.lookup.KeyValueTensorInitializer(keys, tf.range(1, 1 + len(keys)))
    return tf.lookup.StaticHashTable(pairs, default_value=0)


def require_whole(files: Sequence[str]) -> dict[str, int]:
    """Counts the records of every file; TensorFlow compares their checksums (CRC32C).

    Raises WorkshopError, which names every broken file and its first bad record.
    """
    counts, broken = dict.fromkeys(files, 0), []
    for file in common.progress_bar(iterable=files, desc="checking records", unit="file"):
        try:
            for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
                if "image/encoded" not in tf.train.Example.FromString(record).features.feature:
                    raise DecodeError("no image/encoded in it")
                counts[file] += 1
        except (tf.errors.OpError, DecodeError) as error:
            reason = error if isinstance(error, DecodeError) else "damaged"
            broken.append(f"  {file}: record {counts[file] + 1}: {reason}")
    if broken:
        what = f"expected whole records, found {len(broken)} broken files of {len(files)}:"
        raise WorkshopError("\n".join([what, *broken, AGAIN]))
    return counts


def require_complete(counts: Mapping[str, int], pattern: str) -> None:
    """Raises WorkshopError where shards are missing or too many, or have lost whole records.

    `counts` is what `require_whole` returned for the files of `pattern`. A shards.json beside them
    says what each has; without it the names say how many there are.
    """
    wanted: dict[str, int | None] = {}
    for folder in {os.path.dirname(file) for file in counts}:  # noqa: PTH120 - as in `counts`
        if (table := Path(folder, SHARDS_FILE)).is_file():
            with common.reading(table, "the records of each shard", AGAIN):
                wanted |= {os.path.join(folder, n): c for n, c in common.read_json(table).items()}  # noqa: PTH118
    found = {file: match for file in counts if (match := SHARD.fullmatch(file))}
    for name, last in () if wanted else {match.groups() for match in found.values()}:
        names = (f"{name}-{number:05d}-of-{last}" for number in range(int(last)))
        wanted |= {file: counts.get(file) for file in names}
    lines = "\n".join(
        f"  {file}: {counts.get(file, 'no')} records, written: {wanted.get(file, 'no such file')}"
        for file in sorted({*found, *fnmatch.filter(wanted, pattern)})
        if counts.get(file, -1) != wanted.get(file)
    )
    if lines:
        raise WorkshopError(f"expected all shards, as they were written, found:\n{lines}\n{AGAIN}")


def describe_written(written: Written) -> str:
    """Returns what was written and what was left out, to be printed."""
    lines = []
    for split, count in written.images.items():
        classes = ", ".join(f"{n} {c:,}" for n, c in sorted(written.boxes[split].items()))
        lines.append(f"{split}: {count:,} images; boxes: {classes or 'none'}")
    left_out = len({p.file for p in written.problems if p.severity == "error"})
    lines.append(f"left out: {left_out:,} files")
    if written.problems:
        lines += [describe(written.problems), f"all of them: {written.folder / REPORT_FILE}"]
    return "\n".join(lines)


def main() -> None:
    """Writes images and their boxes as sharded TFRecords, or checks such records."""
    parser = argparse.ArgumentParser("helpers.detection.records", description=main.__doc__)
    add = parser.add_argument
    add("--voc", type=Path, help="folder with VOC XML, the pets layout, or Penn-Fudan's")
    add("--out", type=Path, help="folder to write")
    add("--name", type=common.plain_name, help="name of the records (default: the folder's)")
    add("--shards", **number_flag("files of each split", 1, 10_000, 10))
    val = number_flag("fraction of images for val", 0.0, 0.99, 0.2)
    add("--val", dest="val_share", metavar="VAL", **val)
    add("--seed", **common.seed_flag("for order and split"))
    add("--label-map", type=LabelMap.read, metavar="FILE", help="allowed classes (default: all)")
    ways = ("annotation", "file")
    add("--class-from", choices=ways, default=ways[0], help="file: from names like beagle_12.jpg")
    groups = "CSV with image_path and group; a group is never split"
    add("--groups", type=read_groups, metavar="FILE", help=groups)
    add("--check", help="only check records: a folder, or a glob")
    options = vars(parser.parse_args())
    place, folder, out = (options.pop(name) for name in ("check", "voc", "out"))
    if place:
        pattern = f"{glob.escape(place)}/*record*" if Path(place).is_dir() else place
        for file, count in (counts := require_whole(shard_files(pattern))).items():
            print(f"{file}: {count:,} records")
        require_complete(counts, pattern)
        return
    if not (folder and out):
        raise WorkshopError("expected --voc and --out, or --check. See --help.")
    print(describe_written(write_records(folder, out, **options)))


if __name__ == "__main__":
    common.run_command(main)
