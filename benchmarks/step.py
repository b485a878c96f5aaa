"""How fast is a whole pre-training step? kerassl, the usual Keras example, lightly and the bare encoder, in one run.

    python -m benchmarks.step                        # the comparison, then the training of detectors
    python -m benchmarks.step --only-detectors       # training of detectors alone
    python -m benchmarks.step --stages               # and what the parts of kerassl's step cost alone
    python -m benchmarks.step --grow                 # instead: larger batches, more replicas, tiles of the loss
    python -m benchmarks.step --images photos/ --out bench.json

`docs/results/benchmarks.md` says what is compared, how to read it, and what was measured.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import tempfile
import time

from benchmarks import comparison, growth, machine, oracle, protocol, tables
from benchmarks.measuring import QUIET, measure, say


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of JPEG files, 600 or more; generated scenes if left out")
    parser.add_argument("--count", type=int, default=640, help="generated scenes: twenty batches or more keep the "
                        "start of an epoch out of most rounds")  # fmt: skip
    parser.add_argument("--backbone", default="EfficientNetB1", help="of keras.applications; lightly has EfficientNets")
    parser.add_argument("--image-size", type=int, default=128, help="side of the views, a multiple of 32")
    parser.add_argument("--batch-size", type=int, default=32, help="pairs of views a step")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; 5 to 9, more on a busy machine")
    parser.add_argument("--steps", type=int, default=8, help="steps a turn that count")
    parser.add_argument("--warmup", type=int, default=3, help="steps a turn before those, which fill what reads ahead")
    parser.add_argument("--cores", type=int, default=2, help="cores that each may use")
    others = [*(name for name in comparison.LABELS if name != "whole"), "detectors"]
    parser.add_argument("--without", nargs="+", default=[], choices=others, help="leave these out")
    parser.add_argument("--only-detectors", action="store_true", help="measure the training of detectors alone")
    parser.add_argument("--stages", action="store_true", help="also measure kerassl's reading, views and loss alone")
    parser.add_argument(
        "--grow", action="store_true", help="instead measure how kerassl's cost grows; needs 256 images"
    )
    parser.add_argument("--out", help="a JSON file for all figures, versions and the machine")
    options = parser.parse_args(arguments)
    for name in ("rounds", "steps", "warmup", "cores", "count"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; give 1 or more")
    if options.batch_size < 2:
        parser.error(f"--batch-size is {options.batch_size}; give 2 or more, or there is nothing to contrast with")
    if options.images and not pathlib.Path(options.images).is_dir():
        parser.error(f"there is no folder {options.images}; give a folder of JPEG files")
    return options


def main(arguments=None):
    options = parse(arguments)
    report = {"date": time.strftime("%Y-%m-%d"), **machine.about()}
    with contextlib.ExitStack() as stack:
        images = options.images and str(pathlib.Path(options.images).resolve())
        if not images and not options.only_detectors:
            images = draw(stack.enter_context(tempfile.TemporaryDirectory()), options.count, options.cores)
        settings = {
            "network": options.backbone,
            "image_size": options.image_size,
            "batch_size": options.batch_size,
            "images": images,
        }
        report["settings"] = {
            **{key: value for key, value in settings.items() if key != "images"},
            "images": "own folder" if options.images else f"{options.count} generated scenes, 375x500",
            **{key: getattr(options, key) for key in ("rounds", "steps", "warmup", "cores")},
        }
        if options.only_detectors:
            failed = detect(options, settings, report)
        else:
            failed = (grow if options.grow else compare)(options, settings, report)
            if not options.grow and "detectors" not in options.without:
                failed = detect(options, settings, report) or failed
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        say(f"figures written to {options.out}")
    return failed


def compare(options, settings, report):
    rows = comparison.rows(settings, options.without, options.stages)
    turns = {name: getattr(options, name) for name in ("rounds", "steps", "warmup", "cores")}
    results = measure(rows, **turns)
    comparison.add_ratios(results)
    report["step"] = [result for result in results if result["contender"] in comparison.LABELS]
    report["stages"] = [result for result in results if result["contender"] in comparison.STAGES]
    print(heading(report), end="\n\n")
    print(tables.comparison_table(report["step"]), end="\n\n")
    by_name = {result["contender"]: result for result in results if "ms" in result}
    if report["stages"]:
        bare = [result for result in report["step"] if result["contender"] == "bare"]
        print(tables.stages_table(report["stages"] + bare), end="\n\n")
    if {"whole", "bare"} <= set(by_name):
        report["whole_over_bare"] = by_name["whole"]["ms"] / by_name["bare"]["ms"]
        print(f"Whole step over bare encoder: {report['whole_over_bare']:.2f} times the time.")
    if "lightly" not in options.without:
        try:
            report["info_nce"] = found = oracle.compare(options.cores)
        except protocol.WorkerError as error:
            print(f"InfoNCE was not compared with lightly's NTXentLoss: {error}")
            return 1
        print(f"{oracle.sentence(found)}.")
        if found and found["largest_difference"] > oracle.TOLERANCE:
            return 1
    tell_disturbed(results)
    return 0 if "whole" in by_name else 1


def detect(options, settings, report):
    # After the others, whose processes would be beside these in memory.
    turns = {name: getattr(options, name) for name in ("rounds", "steps", "warmup", "cores")}
    own = {key: value for key, value in settings.items() if key != "images"}
    results = report["detectors"] = measure(comparison.detector_rows(own), **turns)
    comparison.add_bare_ratios(results)
    size = f"{own['image_size']} px, batch {results[0]['settings']['batch_size']}"
    print("\n" + heading(report, f"{size}, float32, random images and boxes from memory"), end="\n\n")
    print(tables.detectors_table(results))
    tell_disturbed(results)
    return int(any("ms" not in result for result in results))


def grow(options, settings, report):
    # One process after the other, so there is nothing to interleave; and the largest steps take ten seconds.
    few = {name: max(1, getattr(options, name) // 2) for name in ("rounds", "steps", "warmup")}
    report["settings"].update(few)
    steps, losses = growth.measure_growth(settings, cores=options.cores, **few)
    report["growth"] = {"steps": steps, "loss": losses}
    print(heading(report), end="\n\n")
    print(tables.growth_table("kerassl's whole step", steps), end="\n\n")
    print(tables.growth_table("InfoNCE and its gradient, 128 dimensions", losses))
    tell_disturbed([*steps, *losses])
    return int(any("ms" not in result for result in steps[:1]))


def tell_disturbed(results):
    rows = [result for result in results if result.get("disturbed")]
    if rows:
        print(
            f"\nBusy machine: other processes took more than {QUIET:.0%} of the cores in all rounds but one or none "
            "of: "
            f"{'; '.join(row['label'] for row in rows)}. These figures are worse than they should be, and not all of "
            "them by as much."
        )


def draw(folder, count, cores):
    say(f"drawing {count} scenes")
    # In a worker: this process stays small beside the ones that are measured.
    with protocol.Worker(sys.executable, "benchmarks.tensorflow_worker", cores) as worker:
        return worker.ask("draw", folder=str(pathlib.Path(folder) / "scenes"), count=count)


def heading(report, what=None):
    settings, cores = report["settings"], report["machine"]["cores"]
    views = f"views of {settings['image_size']} px, batch {settings['batch_size']}, float32, {settings['images']}"
    return (
        f"{settings['network']}, {what or views}; {settings['cores']} of {cores} cores; {report['date']}, commit "
        f"{report['commit']}; medians of {settings['rounds']} rounds, {settings['steps']} steps each"
    )


if __name__ == "__main__":
    sys.exit(main())
