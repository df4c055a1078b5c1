"""python -m helpers.detection.export --run RUN [--archive model.tar.gz]."""

import argparse
from pathlib import Path

from helpers.common import run_command


def main() -> None:
    """Runs the command."""
    what = "Exports the newest checkpoint of a run."
    parser = argparse.ArgumentParser("helpers.detection.export", description=what)
    parser.add_argument("--run", type=Path, required=True, help="the folder of the run")
    parser.add_argument("--archive", type=Path, help="also pack it for an endpoint, as tar.gz")
    arguments = parser.parse_args()
    from helpers.detection.runs import open_run
    from helpers.detection.serving import archive_export, export_run

    run = open_run(arguments.run)
    print(f"exported to {export_run(run)}")
    if arguments.archive:
        print(f"packed: {archive_export(run, arguments.archive)}")


if __name__ == "__main__":
    run_command(main)
