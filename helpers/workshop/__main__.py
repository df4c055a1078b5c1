"""Runs the workshop from start to end: notebooks 01 to 04 in full, then the scores.

python -m helpers.workshop            the main line
python -m helpers.workshop 10 11 12   these notebooks
"""

import argparse

from helpers.common import run_command
from helpers.workshop.runner import MAIN_LINE, describe_results, run_workshop


def main() -> None:
    """Runs the workshop; `--scores` only prints the results of the last run again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="their numbers (default: 01 to 04)")
    parser.add_argument("--scores", action="store_true", help="print the last run's results only")
    args = parser.parse_args()
    if args.scores:
        print(describe_results())
    else:
        run_workshop(args.notebooks or MAIN_LINE)


if __name__ == "__main__":
    run_command(main)
