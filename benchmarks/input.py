"""How many pairs of views a second does one core make, from JPEG files and from images in memory?

    python -m benchmarks.input                       # kerassl, lightly, albumentations, Keras layers; 128 and 224 px
    python -m benchmarks.input --images photos/ --out input.json
    python -m benchmarks.input --sizes 128 --stages jpeg --without keras albumentations

`docs/results/views.md` says what is compared and what was measured.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import tempfile
import time

from benchmarks import input_rows, machine, protocol, tables
from benchmarks.measuring import QUIET, measure, say


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.input", description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of JPEG files, 300 or more; generated scenes if left out")
    parser.add_argument("--count", type=int, default=320, help="generated scenes of 375x500")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 224], help="sides of the views, multiples of 32")
    parser.add_argument("--stages", nargs="+", default=list(input_rows.STAGES), choices=list(input_rows.STAGES))
    parser.add_argument("--batch-size", type=int, default=32, help="pairs of views a step")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; 5 to 9, more on a busy machine")
    parser.add_argument("--steps", type=int, default=12, help="steps a turn that count")
    parser.add_argument("--warmup", type=int, default=3, help="steps a turn before those, which fill what reads ahead")
    others = [name for name in input_rows.LABELS if name != "kerassl"]
    parser.add_argument("--without", nargs="+", default=[], choices=others, help="leave these out")
    parser.add_argument("--out", help="a JSON file for all figures, versions and the machine")
    options = parser.parse_args(arguments)
    for name in ("rounds", "steps", "warmup", "count", "batch_size"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}; give 1 or more")
    for size in options.sizes:
        if size < 32 or size % 32:
            parser.error(f"--sizes has {size}; give multiples of 32")
    if options.images and not pathlib.Path(options.images).is_dir():
        parser.error(f"there is no folder {options.images}; give a folder of JPEG files")
    return options


def main(arguments=None):
    options = parse(arguments)
    report = {"date": time.strftime("%Y-%m-%d"), **machine.about("benchmarks.input")}
    turns = {name: getattr(options, name) for name in ("rounds", "steps", "warmup")}
    report["settings"] = {
        "images": "own folder" if options.images else f"{options.count} generated scenes, 375x500",
        "batch_size": options.batch_size,
        **turns,
    }
    report["results"], columns = [], []
    with contextlib.ExitStack() as stack:
        images = options.images and str(pathlib.Path(options.images).resolve())
        if not images:
            images = draw(stack.enter_context(tempfile.TemporaryDirectory()), options.count)
        # One comparison after the other: all their processes at once would take more memory than a small machine has.
        for stage in options.stages:
            for size in options.sizes:
                say(f"views of {size} px {input_rows.STAGES[stage]}")
                settings = {"image_size": size, "batch_size": options.batch_size, "images": images}
                results = measure(input_rows.rows(settings, stage, options.without), cores=1, **turns)
                input_rows.add_ratios(results)
                report["results"] += results
                columns.append((size, stage, f"{size} px {input_rows.STAGES[stage]}"))
    print(heading(report), end="\n\n")
    print(tables.input_table(report["results"], columns))
    if any(result.get("disturbed") for result in report["results"]):
        print(
            f"\n* Busy machine: other processes took more than {QUIET:.0%} of the core in all rounds but one or none."
        )
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        say(f"figures written to {options.out}")
    return int(any("ms" not in result for result in report["results"] if result["contender"] == "kerassl"))


def draw(folder, count):
    say(f"drawing {count} scenes")
    with protocol.Worker(sys.executable, "benchmarks.tensorflow_worker", 1) as worker:
        return worker.ask("draw", folder=str(pathlib.Path(folder) / "scenes"), count=count)


def heading(report):
    settings = report["settings"]
    return (
        f"Two views of each of {settings['batch_size']} images a step, {settings['images']}; each on one core, one at "
        f"a time; {report['date']}, commit {report['commit']}; medians of {settings['rounds']} rounds, "
        f"{settings['steps']} steps each"
    )


if __name__ == "__main__":
    sys.exit(main())
