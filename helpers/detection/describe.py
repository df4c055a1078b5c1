"""Detects the people in images and videos, and predicts the attributes of each.

python -m helpers.detection.describe --detector RUN --attributes RUN --out DIR PLACE ...
"""

import argparse
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from helpers import common
from helpers.common import WorkshopError, expected, number_flag, progress_bar, write_json
from helpers.detection.drawing import Person, draw_people
from helpers.detection.inference import EDGES, MOST_BOXES
from helpers.detection.serving import MOST, THRESHOLD, Detector
from helpers.manifest import decode, open_image
from helpers.predict import LiteRTPredictor, find_images, fit_pixels, named, reduction

PERSON = "person"
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
FRAMES_PER_SECOND = 1.0  # sampled from a video; people do not change faster
# In the attribute network's training images: width by height, the fraction of the height that
# the body takes, and where the feet are.
ASPECT, BODY, FEET = 100 / 240, 0.9, 0.955
BODY_CUT = 0.95  # the same fraction where the lower edge of the image cuts a person
NEAR_EDGE = 0.01  # of the image's height: a box that ends there is cut
BATCH = 8  # people described at once
DESCRIBED = common.Output("described images", "people.json", r"\d{5,}_.*\.jpg|people\.(csv|json)")
STEPS = ("decode", "detect", "describe", "draw")


@dataclass(frozen=True)
class Described:
    """An image and its people."""

    name: str  # of the file; FILE#FRAME in a video
    image: Image.Image  # RGB, upright
    people: list[Person]  # best score first
    seconds: dict[str, float]  # for each of `STEPS`

    def draw(self) -> Image.Image:
        """Returns the image with boxes, and a card for each person."""
        start = time.perf_counter()
        drawn = draw_people(self.image, self.people)
        self.seconds["draw"] = time.perf_counter() - start
        return drawn

    def to_json(self) -> dict[str, Any]:
        """Returns the result as a JSON value."""
        width, height = self.image.size
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
        return {"image": self.name, "width": width, "height": height, "people": people}

    def table(self) -> pd.DataFrame:
        """Returns a row per person: box, score, and for each task class and probability."""
        rows = []
        for one in self.to_json()["people"]:
            row = {"image": self.name, "person": one["person"], "score": one["score"], **one["box"]}
            for task, classes in one["attributes"].items():
                row[task], row[f"{task}_probability"] = next(iter(classes.items()))
            rows.append(row)
        return pd.DataFrame(rows)


def _edges(box: np.ndarray, digits: int) -> dict[str, float]:
    return {name: round(float(edge), digits) for name, edge in zip(EDGES, box)}


class Describer:
    """Detector and attribute network, one after the other, from the export folders of their runs.

    `threshold` is the lowest score of a person, `most` limits the people in an image.
    """

    def __init__(
        self, detector: Path, attributes: Path, threshold: float = THRESHOLD, most: int = MOST
    ):
        self.detector, self.predictor = Detector(detector), LiteRTPredictor(attributes)
        self.threshold, self.most = threshold, most
        if PERSON not in self.detector.label_map.ids:
            names = ", ".join(self.detector.label_map.names)
            raise expected(f"a detector of the class {PERSON!r}", names, "Train one on people.")

    def describe_file(self, path: Path) -> Described:
        """Describes the people of an image file; raises WorkshopError if it cannot be read."""
        try:
            start = time.perf_counter()
            header, data = open_image(path)
            image = Image.fromarray(decode(header, data))
            return self._describe(image, data, str(path), time.perf_counter() - start)
        except WorkshopError as error:
            raise WorkshopError(f"{path}: {error}") from None

    def describe_frame(self, pixels: np.ndarray, name: str = "", decoding: float = 0) -> Described:
        """Describes the people of an RGB image, uint8 (height, width, 3); `decoding` is seconds."""
        image, file = Image.fromarray(pixels), io.BytesIO()
        image.save(file, "BMP")  # the detector takes files; this one costs next to nothing
        return self._describe(image, file.getvalue(), name, decoding)

    def _describe(self, image: Image.Image, data: bytes, name: str, decoding: float) -> Described:
        start = time.perf_counter()
        (found,) = self.detector.detect_bytes([data], self.threshold, self.most)
        detected = time.perf_counter()
        kept = [i for i, cls in enumerate(found.names) if cls == PERSON]
        pixels = np.asarray(image)
        crops = [cut_out(pixels, box, self.predictor.image_size) for box in found.boxes[kept]]
        people = [
            Person(found.boxes[i], found.normalized[i], float(found.scores[i]), prediction, crop)
            for i, prediction, crop in zip(kept, self.describe_crops(crops), crops)
        ]
        times = (decoding, detected - start, time.perf_counter() - detected, 0.0)
        return Described(name, image, people, dict(zip(STEPS, times)))

    def describe_crops(self, crops: Sequence[np.ndarray]) -> list[dict[str, dict[str, float]]]:
        """Returns task to (class to probability) of each crop, predicted in batches of one size."""
        predictions = []
        for first in range(0, len(crops), BATCH):
            some = crops[first : first + BATCH]
            # padded, since LiteRT allocates its tensors again for another batch size: slower
            pixels = np.stack([*some, *[np.zeros_like(some[0])] * (BATCH - len(some))])
            found = self.predictor.predict_pixels(pixels)
            rows = [{task: values[i] for task, values in found.items()} for i in range(len(some))]
            predictions += [named(self.predictor.labels, row) for row in rows]
        return predictions


def cut_out(image: Image.Image | np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Crops a person to `size` (height, width), framed as in training; repeats the image's edge."""
    ymin, xmin, ymax, xmax = (float(edge) for edge in box)
    pixels = np.asarray(image)
    is_cut = ymax >= (1 - NEAR_EDGE) * len(pixels)
    tall = (ymax - ymin) / (BODY_CUT if is_cut else BODY)
    bottom = ymax if is_cut else ymax + (1 - FEET) * tall
    half, center = tall * ASPECT / 2, (xmin + xmax) / 2
    sides = (bottom - tall, bottom), (center - half, center + half)
    rows, columns = (np.arange(round(start), max(round(stop), start + 1)) for start, stop in sides)
    # a row or column beyond the image is the nearest one in it
    rows, columns = (
        np.clip(at, 0, n - 1).astype(int) for at, n in zip((rows, columns), pixels.shape)
    )
    part = Image.fromarray(pixels[rows][:, columns])
    # reduced as `decode_image` does: averaged as far as it goes, then bilinear
    times = reduction((part.height, part.width), size)
    return fit_pixels(np.asarray(part.reduce(times)), size)


def describe_places(
    describer: Describer, places: Sequence[str], fps: float = FRAMES_PER_SECOND
) -> Iterator[Described | tuple[str, str]]:
    """Yields a `Described` for each image or frame, or (name, what is wrong) for a broken image."""
    for place in map(Path, places):
        if place.suffix.lower() in VIDEOS and place.is_file():
            yield from _describe_video(describer, place, fps)
            continue
        for path in progress_bar(iterable=find_images([place]), desc="describing", unit="image"):
            try:
                yield describer.describe_file(path)
            except WorkshopError as error:
                yield str(path), str(error)


def _describe_video(describer: Describer, path: Path, fps: float) -> Iterator[Described]:
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
            good, frame = video.retrieve() if number % every == 0 else (False, None)
            if good:
                pixels, name = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), f"{path}#{number:06d}"
                yield describer.describe_frame(pixels, name, time.perf_counter() - start)
    finally:
        video.release()


def main() -> None:
    """Detects the people in images and videos, and predicts the attributes of each."""
    parser = argparse.ArgumentParser("helpers.detection.describe", description=main.__doc__)
    add = parser.add_argument
    add("--detector", type=Path, required=True, help="the folder of a detection run")
    add("--attributes", type=Path, required=True, help="the folder of a run of helpers.train")
    add("--out", type=Path, required=True, help="folder for images, people.csv and people.json")
    add("--threshold", **number_flag("lowest score", 0.0, 1.0, THRESHOLD))
    add("--most", **number_flag("people in an image, at most", 1, MOST_BOXES, MOST))
    add("--fps", **number_flag("frames per second of a video", 0.001, 1e3, FRAMES_PER_SECOND))
    add("places", nargs="+", metavar="PLACE", help="an image, a folder, or a video")
    arguments = parser.parse_args()
    inputs = [*arguments.places, arguments.detector, arguments.attributes]
    common.check_out(arguments.out, DESCRIBED, inputs, inside=True)
    exports = arguments.detector / "export", arguments.attributes / "export"
    describer = Describer(*exports, arguments.threshold, arguments.most)
    write_json(arguments.out / "people.json", [])  # a folder of half the images is known by it
    tables, values, failed = [], [], []
    for number, one in enumerate(describe_places(describer, arguments.places, arguments.fps)):
        if isinstance(one, tuple):
            failed.append(one[1])
            continue
        place, _, frame = one.name.partition("#")
        name = f"{number:05d}_{Path(place).stem}{'_' if frame else ''}{frame}.jpg"
        with common.whole_file(arguments.out / name) as draft:
            one.draw().save(draft, "JPEG", quality=92)
        tables.append(one.table())
        values.append(one.to_json())
        seconds = ", ".join(f"{step} {1000 * s:.0f} ms" for step, s in one.seconds.items())
        print(f"{one.name}: {len(one.people)} people; {seconds}", flush=True)
    if values:
        common.write_text(arguments.out / "people.csv", pd.concat(tables).to_csv(index=False))
        write_json(arguments.out / "people.json", values)
    if failed:
        raise WorkshopError("\n".join([f"{len(failed)} images could not be read:", *failed]))


if __name__ == "__main__":
    common.run_command(main)
