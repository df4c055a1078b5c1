"""Command line of the sources: `python -m data.sources NAME --root DIR --out manifest.csv`."""

import argparse
import logging
import os
import sys
from pathlib import Path

from data.sources import folders, gtsrb, hvc, market1501, peta, table
from helpers.common import WorkshopError, check_file, run_command
from helpers.manifest import LABELS_FILE, summarize

SOURCES = {
    "csv": table,
    "folders": folders,
    "peta": peta,
    "market1501": market1501,
    "hvc": hvc,
    "gtsrb": gtsrb,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m data.sources", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, source in SOURCES.items():
        one = names.add_parser(name, help=source.DESCRIPTION, description=source.DESCRIPTION)
        one.add_argument("--root", type=Path, required=True, help="the folder of the data")
        one.add_argument("--out", type=Path, required=True, help="the manifest CSV to write")
        source.add_arguments(one)
    return parser


def main() -> None:
    """Reads a source, writes manifest and labels, and prints what is in them."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    if not arguments.root.is_dir():
        raise WorkshopError(
            f"--root {arguments.root}: expected the folder of the data, found "
            f"{'a file' if arguments.root.exists() else 'nothing there'}. Unpack the data first."
        )
    given = [arguments.root / str(name) for name in vars(arguments).values() if name]
    out = arguments.out
    inside = Path(os.path.realpath(out)).is_relative_to(os.path.realpath(arguments.root))
    theirs = out.is_file() and inside and not (out.parent / LABELS_FILE).is_file()
    # a table of the data itself has no labels.json beside it
    check_file(out, [path for path in given if path != arguments.root / out] + [out] * theirs)
    manifest = SOURCES[arguments.name].read(arguments.root, arguments)
    manifest.write(arguments.out)
    print(summarize(manifest))
    print(f"wrote {arguments.out} and {arguments.out.parent / 'labels.json'}")


if __name__ == "__main__":
    run_command(main)
