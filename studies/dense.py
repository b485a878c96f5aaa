"""What does contrast between locations cost? A step of `DenseSimCLR` over one of `SimCLR`, in turns, views included.

    python -m studies.dense                                  # EfficientNetB1, 128 px, batch 32
    python -m studies.dense --levels P3 P4 P5 --locations 32

On a busy machine compare the processor's time, which counts what the cores did for a step, and not the clock's.
"""

import argparse
import statistics
import sys

from benchmarks import machine, tables
from benchmarks.measuring import Row, measure


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m studies.dense", description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="EfficientNetB1", help="of keras.applications")
    parser.add_argument("--image-size", type=int, default=128, help="side of the views, a multiple of 32")
    parser.add_argument("--batch-size", type=int, default=32, help="pairs of views a step")
    parser.add_argument("--levels", nargs="+", default=["P4", "P5"], help="of P3, P4 and P5")
    parser.add_argument("--locations", type=int, default=16, help="locations of a view that are drawn at each level")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; more on a busy machine")
    parser.add_argument("--steps", type=int, default=4, help="steps a turn that count; two more do not")
    parser.add_argument("--cores", type=int, default=2, help="cores that each may use")
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    settings = {"network": options.backbone, "image_size": options.image_size, "batch_size": options.batch_size}
    dense = {"levels": options.levels, "locations_per_image": options.locations}
    rows = [
        Row("SimCLR", "contrast", settings),
        Row(f"DenseSimCLR, {', '.join(options.levels)}", "contrast", {**settings, "dense": dense}),
    ]
    results = measure(rows, rounds=options.rounds, steps=options.steps, warmup=2, cores=options.cores)
    for result in results:
        if "note" in result:
            print(f"{result['label']} could not be measured: {result['note']}")
            return 1
        result["processor_ms"] = statistics.median(result["rounds_processor_ms"])
    columns = ("ms", "processor_ms", "memory_mib")
    figures = [(result["label"], *(f"{result[name]:.0f}" for name in columns)) for result in results]
    ratios = [f"{results[1][name] / results[0][name]:.3f}" for name in columns]
    print(
        f"{settings}, {options.locations} locations; {options.cores} cores; commit {machine.about()['commit']}",
        end="\n\n",
    )
    header = ("step", "ms", "processor's ms", "peak memory, MiB")
    print(tables.table(header, [*figures, ("ratio", *ratios)]))
    if any(result["disturbed"] for result in results):
        print("\nBusy machine: the clock's times are worse than they should be, and not all by as much.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
