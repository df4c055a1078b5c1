"""Packs a manifest and its images into a few tar files, and unpacks them again.

A few large files are copied much faster than many small ones, and each worker of a job can take
some of them (`ShardedByS3Key`). Every shard stands for itself:

shard-00000-of-00008.tar
    labels.json            the tasks and classes of the whole manifest
    manifest.csv           the rows of this shard, all columns
    images/0000012.png     its images, named by their row in the whole manifest

The same images and rows give the same bytes, so an upload is recognized by its content.
"""

import io
import json
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers import common
from helpers.common import WorkshopError, expected
from helpers.manifest import IMAGE, LABELS_FILE, Labels, Manifest, read_manifest

MANIFEST_FILE, IMAGES = "manifest.csv", "images"
SHARD_NAME = re.compile(r".+-\d{5}-of-\d{5}\.tar")
SHARDS = common.Output("older shards", "*-00000-of-*.tar", rf"{SHARD_NAME.pattern}|labels\.json")
MEMBERS = r"(labels|shard)\.json|manifest\.csv|images/\d{7,}(\.[a-z0-9]{1,5})?"
UNPACKED = common.Output("an unpacked shard", LABELS_FILE, MEMBERS)
IMAGE_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")


def write_shards(manifest: Manifest, folder: Path | str, count: int) -> list[Path]:
    """Packs a manifest and its images into `count` tar files, a multiple of the machines.

    Rows are distributed in a fixed random order, because neighboring rows are often alike: a worker
    that gets half of the shards then sees every class. Older shards in `folder` are replaced.
    WorkshopError for fewer images than shards, an unreadable image, or other files in `folder`.
    """
    if not 1 <= count <= len(manifest):
        what = f"1 to {len(manifest):,} shards (one image each)"
        raise expected(what, count, "Ask for another number.", where=manifest.name)
    folder = Path(folder)
    common.check_out(folder, SHARDS, [manifest.source] if manifest.source else ())
    names = [f"shard-{number:05d}-of-{count:05d}.tar" for number in range(count)]
    order = np.random.default_rng(0).permutation(len(manifest))
    bar = common.progress_bar(total=len(manifest), desc="packing images", unit="image")
    with common.whole_folder(folder, SHARDS) as draft, bar:
        for file, rows in zip(names, np.array_split(order, count)):
            _write_shard(manifest, np.sort(rows), draft / file, bar)
    return [folder / file for file in names]


def _write_shard(manifest: Manifest, rows: np.ndarray, path: Path, bar: tqdm) -> None:
    part = manifest.rows(rows)
    images = [Path(image) for image in part.paths]
    suffixes = [s if IMAGE_SUFFIX.fullmatch(s := p.suffix.lower()) else "" for p in images]
    members = [f"{IMAGES}/{row:07d}{suffix}" for row, suffix in zip(rows, suffixes)]
    table = part.frame.assign(**{IMAGE: members}).to_csv(index=False, lineterminator="\n")
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, LABELS_FILE, json.dumps(part.labels.to_json()).encode())
        _add(archive, MANIFEST_FILE, table.encode())
        for index, (image, member) in enumerate(zip(images, members)):
            where = f"{part.name}, row {part.row_number(index)}"
            fix = "Run python -m helpers.manifest on your manifest: it names every such file."
            with common.reading(where, f"an image at {image}", fix):
                _add(archive, member, image.read_bytes())
            bar.update()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Adds a file without owner and times, which would differ."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def find_shards(folder: Path | str) -> list[Path]:
    """Returns the shards in a folder, in order."""
    paths = Path(folder).glob("*.tar")
    return sorted(path for path in paths if SHARD_NAME.fullmatch(path.name))


def read_shards(folder: Path | str, into: Path | str) -> list[Manifest]:
    """Unpacks those shards of a set that are in a folder, at least one; returns their manifests."""
    shards = find_shards(folder)
    if not shards:
        what = f"{MANIFEST_FILE} or shards such as shard-00000-of-00008.tar in {folder}"
        fix = "Upload what helpers.cloud.write_shards makes, at least one shard for each machine."
        raise expected(what, "neither", fix)
    bar = common.progress_bar(iterable=shards, desc="unpacking shards", unit="shard")
    return [_unpacked(shard, Path(into) / shard.stem) for shard in bar]


def write_joined(parts: Sequence[Manifest], folder: Path) -> Path:
    """Writes the rows of manifests as one; returns its path. Refuses others' labels."""
    for part in parts:
        if part.labels != parts[0].labels:
            what, fix = f"the tasks and classes of {parts[0].source}", "Write all of them again"
            raise expected(what, "others", f"{fix}, with the same labels.json.", part.source)
    frames = [part.frame.assign(**{IMAGE: part.paths}) for part in parts]
    joined = pd.concat(frames, ignore_index=True).fillna("")
    (folder / LABELS_FILE).unlink(missing_ok=True)  # of others that were here before
    Manifest(joined, parts[0].labels, folder).write(folder / MANIFEST_FILE)
    return folder / MANIFEST_FILE


def _unpacked(shard: Path, folder: Path) -> Manifest:
    """Unpacks a shard, refuses what `write_shards` does not write; returns its manifest."""
    try:
        with common.whole_folder(folder, UNPACKED) as draft:
            names = set(common.extract(shard, draft))
            labels = Labels.read(draft / LABELS_FILE)
            manifest = read_manifest(draft / MANIFEST_FILE, labels=labels)
            wanted = {LABELS_FILE, MANIFEST_FILE, *manifest.frame[IMAGE]}
            if other := sorted(wanted ^ names):
                raise expected("a row for each image, an image for each row", repr(other[0]), "")
    except WorkshopError as error:
        what, fix = "a whole shard", "Copy it again, or write the shards again."
        raise expected(what, f"another: {error}", fix, where=shard) from error
    return read_manifest(folder / MANIFEST_FILE)
