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


def _check_out(arguments: argparse.Namespace) -> None:
    """Refuses an --out that is of the data: a file that is named, or in --root without labels."""
    root, out = arguments.root, arguments.out
    given = [root / str(value) for name, value in vars(arguments).items() if name != "out"]
    inside = Path(os.path.realpath(out)).is_relative_to(os.path.realpath(root))
    is_found = arguments.name == "csv" and not arguments.csv  # the only CSV there is read
    if inside and (is_found or not (out.parent / LABELS_FILE).is_file()):
        given += [out] if out.exists() else []
    check_file(out, given)


def main() -> None:
    """Reads a source, writes manifest and labels, and prints what is in them."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    if not arguments.root.is_dir():
        raise WorkshopError(
            f"--root {arguments.root}: expected the folder of the data, found "
            f"{'a file' if arguments.root.exists() else 'nothing there'}. Unpack the data first."
        )
    _check_out(arguments)
    manifest = SOURCES[arguments.name].read(arguments.root, arguments)
    manifest.write(arguments.out)
    print(summarize(manifest))
    print(f"wrote {arguments.out} and {arguments.out.parent / 'labels.json'}")


if __name__ == "__main__":
    run_command(main)
