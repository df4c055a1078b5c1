"""The command: python -m tests.hostile NAME [--count N] [--seed N]."""

import argparse
import importlib
import sys
from pathlib import Path

from tests.hostile import Tally


def main() -> None:
    names = sorted(p.stem for p in Path(__file__).parent.glob("[!_]*.py"))
    parser = argparse.ArgumentParser("python -m tests.hostile")
    parser.add_argument("name", choices=names)
    parser.add_argument("--count", type=int, help="how many tries (those of the long run)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    module = importlib.import_module(f"tests.hostile.{arguments.name}")
    tally = Tally()
    module.run(tally, arguments.count or module.COUNT, arguments.seed)
    print("\n".join([*tally.found, tally.line(arguments.name)]))
    sys.exit(1 if tally.bad else 0)


if __name__ == "__main__":
    main()
