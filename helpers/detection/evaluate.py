"""python -m helpers.detection.evaluate --run RUN [--records GLOB]."""

import argparse
from pathlib import Path

from helpers.common import WorkshopError, run_command


def main() -> None:
    """Runs the command."""
    what = "Scores the newest checkpoint of a run."
    parser = argparse.ArgumentParser("helpers.detection.evaluate", description=what)
    parser.add_argument("--run", type=Path, required=True, help="the folder of the run")
    parser.add_argument("--records", help="records to score on (default: the config's val)")
    arguments = parser.parse_args()
    from helpers.detection.records import require_whole, shard_files
    from helpers.detection.runs import open_run
    from helpers.detection.scores import score_network

    run = open_run(arguments.run)
    if not (patterns := arguments.records or run.config.val):
        raise WorkshopError(f"{arguments.run}: expected val in the config, or --records.")
    require_whole(files := shard_files(patterns))
    print(score_network(run.network(), files, run.label_map).round(3).to_string())


if __name__ == "__main__":
    run_command(main)
