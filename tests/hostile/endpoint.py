"""Requests of 20 clients to an endpoint of the rehearsal, a tenth of them broken in many ways.

No answer may be wrong, no status 5xx, bombs get 413, and the memory of all servers stays flat.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.cloud import SCRIPTS, EndpointClient, delete_all, open_session
from helpers.cloud.smoke import serve
from helpers.common import WorkshopError, keras
from helpers.manifest import Labels
from helpers.predict import archive_folder
from helpers.predict.export import export_saved_model
from tests.hostile import Tally
from tests.hostile.images import (
    EPS,
    GROWTH,
    SIZE,
    bombs,
    colors,
    cuts,
    flips,
    jpeg_segments,
    png_order,
)
from tests.image_files import FILES, encoded
from tests.saved_model import SavedModelPredictor

COUNT = 10_000
CLIENTS = 20
NAME = "workshop-hostile"
LABELS = Labels({"color": ("red", "green", "blue"), "side": ("left", "right")})
CLOSE = 1e-4
JPEG, PNG, JSON = "image/jpeg", "image/png", "application/json"
GOOD = [data for name, data in FILES.items() if name.endswith((".jpg", ".png"))]


def memory_of_containers() -> float:
    """Returns the memory that the rehearsal's containers hold, in MB: all processes below this."""
    parents, memory = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found = dict(re.findall(r"(PPid|VmRSS):\s*(\d+)", status.read_text()))
            number = int(status.parent.name)
            parents[number], memory[number] = int(found["PPid"]), int(found.get("VmRSS", 0))
    inside = {number for number, parent in parents.items() if parent == os.getpid()}
    for _ in range(8):  # deeper than the rehearsal starts processes
        inside |= {number for number, parent in parents.items() if parent in inside}
    return sum(memory.get(number, 0) for number in inside) / 1024


def in_json(*files: bytes) -> bytes:
    coded = [{"b64": base64.b64encode(file).decode()} for file in files]
    return json.dumps({"instances": coded}).encode()


def broken_requests(seed: int) -> list[tuple[bytes, str, tuple[int, ...]]]:
    """Returns bodies, their content type, and the statuses that each may get."""
    rng = np.random.default_rng(seed)
    jpeg, png = FILES["baseline.jpg"], FILES["color.png"]
    bomb = next(b for _ in range(99) if b"\xff\x00\x00\x0b" in (b := bombs(rng, jpeg))[:9])
    wide = encoded(Image.new("L", (6000, 5000)), "PNG")
    bad, any_answer = (400,), (200, 400, 413)
    return [
        (bomb, JPEG, (413,)),
        (bombs(rng, jpeg), JPEG, (413,)),
        (bombs(rng, png), PNG, (413,)),
        (in_json(bomb, jpeg), JSON, (413,)),
        (in_json(wide, wide), JSON, (413,)),
        (in_json(*[b""] * 600), JSON, (413,)),
        (b"", JPEG, bad),
        (b"", JSON, bad),
        (EPS, JPEG, bad),
        (b"I am a text.", PNG, bad),
        (b"\xff\xd8\xff", JPEG, bad),
        (b"\x89PNG\r\n\x1a\n", PNG, bad),
        (FILES["color.bmp"], PNG, bad),
        (FILES["still.gif"], PNG, bad),
        (jpeg[: len(jpeg) // 2], JPEG, bad),
        (png[:-12], PNG, bad),
        (png[:60] + bytes([png[60] ^ 1]) + png[61:], PNG, bad),
        (jpeg, "text/csv", (415,)),
        (jpeg, "image/webp", (415,)),
        (jpeg, JSON, bad),
        (b'{"instances": [', JSON, bad),
        (b'{"instances": 7}', JSON, bad),
        (b'{"instances": [{"b64": "***"}]}', JSON, bad),
        (b'{"instances": [null, 5, [], {}]}', JSON, bad),
        (b"[" * 50_000, JSON, bad),
        (b"\xff\xfe\0", JSON, bad),
        *((make(rng, jpeg), JPEG, any_answer) for make in (flips, cuts, jpeg_segments, colors)),
        *((make(rng, png), PNG, any_answer) for make in (flips, cuts, png_order)),
    ]


def export(folder: Path) -> SavedModelPredictor:
    """Exports a network of random weights that sees color and place, and opens it."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((*SIZE, 3))
    small = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(pixels / 255.0))
    tasks = {
        task: keras.layers.Dense(len(classes), activation="softmax", name=task)(small)
        for task, classes in LABELS.tasks.items()
    }
    export_saved_model(keras.Model(pixels, tasks), LABELS, folder / "saved_model")
    LABELS.write(folder / "labels.json")
    return SavedModelPredictor(folder)


def is_right(answer: dict, wanted: dict[str, np.ndarray]) -> bool:
    return all(
        abs(entry["probability"] - values[LABELS.tasks[task].index(entry["class"])]) < CLOSE
        for task, values in wanted.items()
        for entry in answer[task]
    )


def judge(
    client: EndpointClient, body: bytes, kind: str, statuses: tuple, check: Callable
) -> tuple[str, str]:
    """Sends a request; returns the outcome, see `Tally.add`, and what was said."""
    try:
        answer = client.send(body, kind, top="all")["predictions"]
    except WorkshopError as error:
        found = re.search(r"\((\d{3})\)", str(error))
        status = int(found[1]) if found else 599
        return ("refused" if status in statuses else "wrong"), f"{statuses}: {error}"
    good = 200 in statuses and check(answer)
    return ("ok" if good else "wrong"), f"{statuses}: answered {str(answer)[:200]}"


def run(tally: Tally, count: int, seed: int) -> None:
    """Sends `count` requests, and prints the memory that all servers hold."""
    with tempfile.TemporaryDirectory() as name, open_session("rehearsal") as session:
        folder, mine = Path(name), threading.local()
        predictor = export(folder)
        serve(session, archive_folder(folder, folder / "model", SCRIPTS), NAME)
        expected = predictor.predict_bytes(GOOD)
        wanted = [{task: rows[i] for task, rows in expected.items()} for i in range(len(GOOD))]

        def send(number: int) -> tuple[str, str]:
            if not hasattr(mine, "client"):
                mine.client = EndpointClient(session, NAME)
            if number % 10 == 0:
                bad = broken_requests(seed + number // 400)
                return judge(mine.client, *bad[number // 10 % len(bad)], lambda _: True)
            one, other = number % len(GOOD), (number * 7 + seed) % len(GOOD)
            if number % 10 == 1:  # a broken image among good ones costs the others nothing

                def are_right(answer: list[dict]) -> bool:
                    good = is_right(answer[0], wanted[one]), is_right(answer[2], wanted[other])
                    return all(good) and list(answer[1]) == ["error"]

                body = in_json(GOOD[one], FILES["baseline.jpg"][:-300], GOOD[other])
                return judge(mine.client, body, JSON, (200,), are_right)
            right = lambda answer: is_right(answer[0], wanted[one])  # noqa: E731
            return judge(mine.client, GOOD[one], JPEG, (200,), right)

        try:
            with ThreadPoolExecutor(CLIENTS) as pool:
                early = max(CLIENTS, count // 10)
                for number, (outcome, told) in enumerate(pool.map(send, range(early))):
                    tally.add(outcome, f"request {number} of seed {seed}: {told}")
                before = memory_of_containers()
                for number, (outcome, told) in enumerate(pool.map(send, range(early, count))):
                    tally.add(outcome, f"request {early + number} of seed {seed}: {told}")
                after = memory_of_containers()
        finally:
            delete_all(session)
        early_mb, all_mb = f"{before:.0f} MB after {early} requests", f"{after:.0f} MB after all"
        print(f"memory of all servers: {early_mb}, {all_mb}")
        if after - before > GROWTH / 1000:
            tally.add("wrong", f"{after - before:.0f} MB more memory")
