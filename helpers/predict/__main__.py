"""Describes images with a run's export, with the probability of every class.

    python -m helpers.predict --run RUN IMAGE ... [--json]

It uses the LiteRT export and never imports TensorFlow, so the first answer comes at once.
"""

import argparse
import json
import sys
from pathlib import Path

from helpers.common import WorkshopError, progress_bar, run_command
from helpers.predict.litert import LiteRTPredictor, find_images, named, predict_files


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("helpers.predict", description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="the folder of the run")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image, or a folder")
    arguments = parser.parse_args()
    paths = find_images(arguments.images)
    predictor = LiteRTPredictor(Path(arguments.run) / "export")
    labels, failed, predictions = predictor.labels, 0, predict_files(predictor, paths)
    seen = sys.stdout.isatty()  # the answers themselves then show how far it is
    bar = progress_bar(iterable=predictions, total=len(paths), unit="image", disable=seen)
    for path, answer in bar:
        if isinstance(answer, str):
            failed += 1
            print(f"{path}: {answer}", file=sys.stderr)
        elif arguments.json:
            found = {"image_path": str(path), **named(labels, answer)}
            print(json.dumps(found, ensure_ascii=False))
        else:
            print(path)
            for task, classes in named(labels, answer).items():
                best = [f"{labels.display_name(task, c)} {p:.3f}" for c, p in classes.items()][:3]
                print(f"  {task:<14} {', '.join(best)}")
    if failed:
        raise WorkshopError(f"{failed} of {len(paths)} files could not be read; see above.")


if __name__ == "__main__":
    run_command(main)
