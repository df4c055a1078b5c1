"""Measures: speed, ideas, recipes, an endpoint, a detector. `python -m benchmarks` lists them.

A benchmark is imported when it is named: some need TensorFlow, some a package of their own.
"""

import argparse
import sys
from importlib import import_module

from helpers.common import expected, run_command
from helpers.manifest import did_you_mean

BENCHMARKS = {
    "speed": "each part beside its peer or its limit, trainings beside published recipes",
    "baselines": "what a network has to beat: largest class, colors, ImageNet's features",
    "ablation": "what each idea adds to a recipe, over several seeds",
    "signs": "our recipe for signs and the published one, by an honest split and a leaky one",
    "detection": "our detector beside KerasHub's RetinaNet, for the same minutes",
    "endpoint": "JPEG files beside pixels as JSON in the rehearsal",
    "plan": "how long each stage of a recipe takes at most, and in how much memory",
    "lessons": "what real photographs teach: leak, cameras, people",
}


def main() -> None:
    """Runs the command."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print("python -m benchmarks NAME [flags], where NAME is one of\n")
        print("\n".join(f"{name:11}{what}" for name, what in BENCHMARKS.items()))
        return
    if name not in BENCHMARKS:
        names = ", ".join(BENCHMARKS)
        raise expected(f"a benchmark of {names}", repr(name), did_you_mean(name, BENCHMARKS))
    benchmark = import_module(f"benchmarks.{name}")
    about = benchmark.__doc__.splitlines()[0]
    parser = argparse.ArgumentParser(f"python -m benchmarks {name}", description=about)
    for flag, options in benchmark.FLAGS.items():
        parser.add_argument(flag, **options)
    benchmark.run(parser.parse_args(rest))


if __name__ == "__main__":
    run_command(main)
