"""python -m helpers.detection.train --config config.yaml --out RUN [--num-steps 20] [--resume]."""

import argparse
from functools import partial
from pathlib import Path

import yaml

from helpers.common import check_out, expected, run_command
from helpers.detection.config import Config


def _value(name: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise expected("a value as in YAML", error, "Correct that flag.", name) from None


def main() -> None:
    """Trains a detector from records. Flags come before what the config says."""
    parser = argparse.ArgumentParser("helpers.detection.train", description=main.__doc__)
    add = parser.add_argument
    add("--config", type=Path, help="the YAML file")
    add("--out", type=Path, required=True, help="the folder of the run")
    add("--resume", action="store_true", help="go on after the newest checkpoint in --out")
    add("--overwrite", action="store_true", help="replace a run that is in --out")
    add("--no-export", action="store_true", help="do not export the last checkpoint")
    for name, field in Config.model_fields.items():
        how = {"type": partial(_value, name), "default": argparse.SUPPRESS}
        add(f"--{name.replace('_', '-')}", metavar="YAML", help=field.description, **how)
    arguments = parser.parse_args()
    given = {name: value for name, value in vars(arguments).items() if name in Config.model_fields}
    if arguments.config:
        config = Config.read(arguments.config).replace(**given)
    else:
        config = Config.from_dict(given, Path.cwd())
    from helpers.detection.runs import RUN_FILES
    from helpers.detection.training import train

    if arguments.config and not arguments.resume:
        check_out(arguments.out, RUN_FILES, [arguments.config])
    run = train(config, arguments.out, resume=arguments.resume, overwrite=arguments.overwrite)
    print(f"trained: {run.checkpoints[-1]}")
    if not arguments.no_export:
        from helpers.detection.serving import export_run

        print(f"exported to {export_run(run)}")


if __name__ == "__main__":
    run_command(main)
