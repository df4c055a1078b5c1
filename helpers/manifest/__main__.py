"""The command: python -m helpers.manifest manifest.csv --split 0.7,0.15,0.15 --out split.csv."""

import argparse
from pathlib import Path

from helpers.common import check_file, expected, run_command, seed_flag
from helpers.manifest.checks import validate
from helpers.manifest.labels import LABELS_FILE, SPLITS, Labels
from helpers.manifest.problems import describe
from helpers.manifest.split import split_by_group
from helpers.manifest.table import read_manifest, summarize


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m helpers.manifest", description=main.__doc__)
    parser.add_argument("manifest", type=Path, help="the CSV")
    parser.add_argument("--tasks", help="only these columns are tasks, with commas: gender,age")
    parser.add_argument("--report", type=Path, help="write all problems to this CSV")
    parser.add_argument("--no-images", "--no-pictures", action="store_true", help="open no images")
    parser.add_argument("--split", help="fractions of train,validation,test: 0.7,0.15,0.15")
    parser.add_argument("--seed", **seed_flag("of the split"))
    parser.add_argument("--out", type=Path, help="where to write the split manifest")
    arguments = parser.parse_args()
    if bool(arguments.split) != bool(arguments.out):
        parser.error("--split and --out go together: --split 0.7,0.15,0.15 --out split.csv")
    return arguments


def _shares(text: str) -> dict[str, float]:
    try:
        given = dict(zip(SPLITS, map(float, text.split(",")), strict=True))
    except ValueError:
        what = "three fractions such as 0.7,0.15,0.15"
        raise expected(what, repr(text), "Correct it.", "--split") from None
    return {name: share for name, share in given.items() if share}


def main() -> None:
    """Checks a manifest, prints what is in it, and splits it by group where asked to."""
    arguments = _arguments()
    tasks = arguments.tasks.split(",") if arguments.tasks else None
    # Names of classes and broken images come in one list: `validate` reports both.
    manifest = read_manifest(arguments.manifest, tasks, check_classes=False)
    inputs = [arguments.manifest, arguments.manifest.parent / LABELS_FILE, *manifest.paths]
    if arguments.out:
        check_file(arguments.out, inputs)
        beside = arguments.out.parent / LABELS_FILE
        if beside.is_file() and Labels.read(beside) != manifest.labels:
            check_file(beside, inputs)
        inputs += [arguments.out, beside]
    if arguments.report:
        check_file(arguments.report, inputs)
    if arguments.split and not manifest.unknown_classes(manifest.tasks):
        manifest = split_by_group(manifest, _shares(arguments.split), seed=arguments.seed)
    print(summarize(manifest))
    warnings = validate(manifest, not arguments.no_images, report=arguments.report)
    print(describe(warnings) if warnings else "no problems")
    if arguments.out:
        manifest.write(arguments.out)
        print(f"wrote {arguments.out}")


if __name__ == "__main__":
    run_command(main)
