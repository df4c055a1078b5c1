"""Finds the people of a picture, then says of each what the attribute network knows.

    python -m helpers.detection.describe --detector RUN --attributes RUN --out DIR PLACE ...

A place is a picture, a folder of pictures, or a video file. DIR gets a drawn picture for each,
people.csv and people.json.
"""

import argparse
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from helpers.common import (
    WorkshopError,
    progress_bar,
    run_command,
    whole_file,
    write_json,
    write_text,
)
from helpers.detection import drawing
from helpers.detection.serving import MOST, THRESHOLD, Detector
from helpers.manifest import check_size
from helpers.predict import LiteRTPredictor, find_pictures, fit_pixels, named, reduction

DESCRIPTION = "Finds the people of pictures and videos, and describes each of them."
PERSON = "person"
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
FRAMES_PER_SECOND = 1.0  # of a video that are looked at; people do not change faster
# The single people that the attribute network learned from: width by height of their pictures,
# how much of the height the body takes, and where the feet are.
ASPECT, BODY, FEET = 100 / 240, 0.9, 0.955
BODY_CUT = 0.95  # of the height, where the lower edge of the picture cuts a person
NEAR_EDGE = 0.01  # of the picture's height: a box that ends there is cut
BATCH = 8  # people described at once
SAME_PERSON = 0.5  # IoU from which a found box is that of somebody
STEPS = ("decode", "detect", "describe", "draw")


@dataclass(frozen=True)
class Person:
    """One person in a picture.

    Attributes:
        box: (4,) ymin, xmin, ymax, xmax in pixels of the picture.
        normalized: the same as shares of height and width.
        score: of the detector.
        attributes: task to (class to probability), the most probable first.
        crop: uint8 (height, width, 3), what the attribute network saw.
    """

    box: np.ndarray
    normalized: np.ndarray
    score: float
    attributes: dict[str, dict[str, float]]
    crop: np.ndarray


@dataclass(frozen=True)
class Described:
    """A picture and its people.

    Attributes:
        name: of the file, and of the frame where it is a video.
        picture: RGB, upright.
        people: best score first.
        seconds: how long each of `STEPS` took.
    """

    name: str
    picture: Image.Image
    people: list[Person]
    seconds: dict[str, float] = field(default_factory=dict)

    def draw(self) -> Image.Image:
        """Returns the picture with boxes, and a card for each person."""
        start = time.perf_counter()
        drawn = drawing.draw_people(self.picture, self.people)
        self.seconds["draw"] = time.perf_counter() - start
        return drawn

    def table(self) -> pd.DataFrame:
        """Returns a row per person: box, score, and for each task class and probability."""
        return pd.DataFrame([_row(self.name, i, one) for i, one in enumerate(self.people, 1)])

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        width, height = self.picture.size
        people = [
            {
                "person": number,
                "score": round(one.score, 4),
                "box": _edges(one.box, 1),
                "box_normalized": _edges(one.normalized, 5),
                "attributes": one.attributes,
            }
            for number, one in enumerate(self.people, 1)
        ]
        return {"picture": self.name, "width": width, "height": height, "people": people}


def _edges(box: np.ndarray, digits: int) -> dict[str, float]:
    names = ("ymin", "xmin", "ymax", "xmax")
    return {name: round(float(edge), digits) for name, edge in zip(names, box)}


def _row(name: str, number: int, one: Person) -> dict[str, Any]:
    row = {"picture": name, "person": number, "score": round(one.score, 4), **_edges(one.box, 1)}
    for task, classes in one.attributes.items():
        best = next(iter(classes))
        row |= {task: best, f"{task}_probability": classes[best]}
    return row


class Describer:
    """Detector and attribute network, one after the other.

    Args:
        detector_export: the export folder of a detection run that knows the class `person`.
        attributes_export: the export folder of a run of `helpers.train`, with LiteRT.
        threshold: lowest score of a person.
        most: people in a picture, at most.
    """

    def __init__(
        self,
        detector_export: Path,
        attributes_export: Path,
        threshold: float = THRESHOLD,
        most: int = MOST,
    ):
        self.detector = Detector(detector_export)
        self.predictor = LiteRTPredictor(attributes_export)
        self.threshold, self.most = threshold, most
        if PERSON not in self.detector.label_map.ids:
            raise WorkshopError(
                f"expected a detector of the class {PERSON!r}, found "
                f"{', '.join(self.detector.label_map.names)}. Train one on people."
            )

    def describe_file(self, path: Path) -> Described:
        """Describes the people of a picture file.

        Raises:
            WorkshopError: it is no picture.
        """
        try:
            return self.describe_bytes(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise WorkshopError(f"{path}: {error.strerror}. Check the path.") from None
        except WorkshopError as error:
            raise WorkshopError(f"{path}: {error}") from None

    def describe_bytes(self, data: bytes, name: str = "") -> Described:
        """Describes the people of an encoded picture."""
        start = time.perf_counter()
        picture = _open(data)
        return self._describe(picture, data, name, time.perf_counter() - start)

    def describe_frame(
        self, pixels: np.ndarray, name: str = "", decoding: float = 0.0
    ) -> Described:
        """Describes the people of a decoded picture, uint8 (height, width, 3), RGB."""
        picture, file = Image.fromarray(pixels), io.BytesIO()
        picture.save(file, "BMP")  # the detector takes files; this one costs next to nothing
        return self._describe(picture, file.getvalue(), name, decoding)

    def _describe(self, picture: Image.Image, data: bytes, name: str, decoding: float) -> Described:
        start = time.perf_counter()
        (found,) = self.detector.detect_bytes([data], self.threshold, self.most)
        detected = time.perf_counter()
        kept = [i for i, cls in enumerate(found.names) if cls == PERSON]
        crops, answers = self.describe_boxes(picture, found.boxes[kept])
        people = [
            Person(found.boxes[i], found.normalized[i], float(found.scores[i]), answer, crop)
            for i, answer, crop in zip(kept, answers, crops)
        ]
        end = time.perf_counter()
        times = (decoding, detected - start, end - detected, 0.0)
        return Described(name, picture, people, dict(zip(STEPS, times)))

    def describe_boxes(
        self, picture: Image.Image, boxes: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[dict[str, dict[str, float]]]]:
        """Cuts people out and describes them.

        Args:
            picture: RGB.
            boxes: of the people, (4,) each: ymin, xmin, ymax, xmax in pixels.

        Returns:
            The crops as the attribute network saw them, and the answer of each.
        """
        crops = [cut_out(picture, box, self.predictor.image_size) for box in boxes]
        return crops, self.describe_crops(crops)

    def describe_crops(self, crops: Sequence[np.ndarray]) -> list[dict[str, dict[str, float]]]:
        """Describes crops as batches of one size.

        A batch that is not full is filled up: LiteRT prepares its network anew for every other
        size, and that costs more than the people that nobody asked for.
        """
        answers = []
        for first in range(0, len(crops), BATCH):
            some = list(crops[first : first + BATCH])
            pixels = np.stack([*some, *[np.zeros_like(some[0])] * (BATCH - len(some))])
            found = self.predictor.predict_pixels(pixels)
            for row in range(len(some)):
                one = {task: values[row] for task, values in found.items()}
                answers.append(named(self.predictor.labels, one))
        return answers


def _open(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            check_size(picture)
            return ImageOps.exif_transpose(picture).convert("RGB")
    except WorkshopError:
        raise
    except Exception as error:  # Pillow raises what it likes for a broken file
        raise WorkshopError(
            f"expected a JPEG, PNG, BMP or GIF picture, found none that can be read ({error}). "
            "Restore the file, or leave it out."
        ) from None


def cut_out(picture: Image.Image, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cuts a person out as the attribute network has learned to see people.

    Args:
        picture: RGB.
        box: (4,) ymin, xmin, ymax, xmax in pixels.
        size: (height, width) of the network's pictures.

    Returns:
        uint8 (height, width, 3); what lies outside the picture repeats its edge.
    """
    ymin, xmin, ymax, xmax = (float(edge) for edge in box)
    is_cut = ymax >= (1 - NEAR_EDGE) * picture.height
    tall = (ymax - ymin) / (BODY_CUT if is_cut else BODY)
    bottom = ymax if is_cut else ymax + (1 - FEET) * tall
    half, center = tall * ASPECT / 2, (xmin + xmax) / 2
    wanted = [round(e) for e in (center - half, bottom - tall, center + half, bottom)]
    wanted = [wanted[0], wanted[1], max(wanted[2], wanted[0] + 1), max(wanted[3], wanted[1] + 1)]
    inside = (
        min(max(wanted[0], 0), picture.width - 1),
        min(max(wanted[1], 0), picture.height - 1),
        max(min(wanted[2], picture.width), 1),
        max(min(wanted[3], picture.height), 1),
    )
    # As `decode_picture` makes a picture smaller: averaged as far as it goes, then bilinear. What
    # is outside is repeated at the size of the network, where it is few pixels.
    times = reduction((wanted[3] - wanted[1], wanted[2] - wanted[0]), size)
    rows = _inside(wanted[1::2], inside[1::2], size[0])
    columns = _inside(wanted[::2], inside[::2], size[1])
    fit = (columns[1] - columns[0], rows[1] - rows[0])
    part = picture.reduce(times, inside) if times > 1 else picture.crop(inside)
    pixels = fit_pixels(np.asarray(part), fit[::-1])
    missing = [(rows[0], size[0] - rows[1]), (columns[0], size[1] - columns[1]), (0, 0)]
    return np.pad(pixels, missing, "edge") if fit != size[::-1] else pixels


def _inside(wanted: Sequence[int], inside: Sequence[int], length: int) -> tuple[int, int]:
    """Returns where the part inside of the picture begins and ends, of `length` pixels."""
    scale = length / (wanted[1] - wanted[0])
    first = min(max(round((inside[0] - wanted[0]) * scale), 0), length - 1)
    return first, min(max(round((inside[1] - wanted[0]) * scale), first + 1), length)


def compare(found: Described, truth: pd.DataFrame) -> pd.DataFrame:
    """Sets what was said beside the truth, for everybody who was found.

    Args:
        found: a described picture.
        truth: the rows of its people, as `data.generate.streets` writes them.

    Returns:
        A row per person and task: `person`, `task`, `said`, `true`, `right`.
    """
    edges = ["ymin", "xmin", "ymax", "xmax"]
    boxes = truth[edges].astype(float).to_numpy()
    rows = []
    for number, one in enumerate(found.people, 1):
        overlap = [intersection_over_union(one.box, box) for box in boxes]
        if not overlap or max(overlap) < SAME_PERSON:
            continue
        real = truth.iloc[int(np.argmax(overlap))]
        for task in (task for task in one.attributes if task in truth):
            said = next(iter(one.attributes[task]))
            rows.append((number, task, said, real[task], said == real[task]))
    return pd.DataFrame(rows, columns=["person", "task", "said", "true", "right"])


def intersection_over_union(one: np.ndarray, other: np.ndarray) -> float:
    """Returns how much of two boxes (4,) together they share: 0 to 1."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    return shared / max(sum(areas) - shared, 1e-9)


def describe_places(
    describer: Describer, places: Sequence[str], fps: float = FRAMES_PER_SECOND
) -> Iterator[Described | tuple[str, str]]:
    """Describes pictures, folders and videos, with progress.

    Yields:
        A `Described` for each picture or frame, or (name, what is wrong) for a broken picture.
    """
    for place in places:
        if Path(place).suffix.lower() in VIDEOS and Path(place).is_file():
            yield from _describe_video(describer, Path(place), fps)
            continue
        paths = find_pictures([place])
        for path in progress_bar(iterable=paths, desc="describing", unit="picture"):
            try:
                yield describer.describe_file(path)
            except WorkshopError as error:
                yield str(path), str(error)


def _describe_video(describer: Describer, path: Path, fps: float) -> Iterator[Described]:
    import cv2  # here: pictures do without it

    video = cv2.VideoCapture(str(path))
    try:
        rate, frames = video.get(cv2.CAP_PROP_FPS), int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        if not video.isOpened() or frames < 1:
            raise WorkshopError(f"expected a video that OpenCV can read, found none at {path}.")
        every = max(1, round((rate or 25) / fps))
        for number in progress_bar(iterable=range(frames), desc=path.name, unit="frame"):
            start = time.perf_counter()
            if not video.grab():
                break
            if number % every == 0:
                good, frame = video.retrieve()
                if good:
                    pixels = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                    name = f"{path}#{number:06d}"
                    yield describer.describe_frame(pixels, name, time.perf_counter() - start)
    finally:
        video.release()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "helpers.detection.describe", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--detector", type=Path, required=True, help="the folder of a detection run")
    add("--attributes", type=Path, required=True, help="the folder of a run of helpers.train")
    add("--out", type=Path, required=True, help="folder for pictures, people.csv and people.json")
    add("--threshold", type=float, default=THRESHOLD, help=f"lowest score (default {THRESHOLD})")
    add("--most", type=int, default=MOST, help=f"people in a picture, at most (default {MOST})")
    add("--fps", type=float, default=FRAMES_PER_SECOND, help="frames per second of a video")
    add("places", nargs="+", metavar="PLACE", help="a picture, a folder, or a video")
    return parser


def main() -> None:
    """Runs the command."""
    arguments = _parser().parse_args()
    if arguments.fps <= 0:
        raise WorkshopError(f"--fps: expected more than 0, found {arguments.fps:g}.")
    describer = Describer(
        arguments.detector / "export",
        arguments.attributes / "export",
        arguments.threshold,
        arguments.most,
    )
    tables, values, failed = [], [], []
    for number, one in enumerate(describe_places(describer, arguments.places, arguments.fps)):
        if isinstance(one, tuple):
            failed.append(one[1])
            continue
        with whole_file(arguments.out / f"{number:05d}_{_stem(one.name)}.jpg") as draft:
            one.draw().save(draft, "JPEG", quality=92)
        tables.append(one.table())
        values.append(one.to_json())
        seconds = ", ".join(f"{step} {1000 * s:.0f} ms" for step, s in one.seconds.items())
        print(f"{one.name}: {len(one.people)} people; {seconds}", flush=True)
    if values:
        write_text(arguments.out / "people.csv", pd.concat(tables).to_csv(index=False))
        write_json(arguments.out / "people.json", values)
    if failed:
        raise WorkshopError("\n".join([f"{len(failed)} pictures could not be read:", *failed]))


def _stem(name: str) -> str:
    path = Path(name.partition("#")[0])
    return path.stem + (f"_{name.partition('#')[2]}" if "#" in name else "")


if __name__ == "__main__":
    run_command(main)
