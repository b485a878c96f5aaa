"""How many images a second do the detectors train on and detect in, beside KerasCV's own over the same backbone?

    python -m studies.detectors                              # EfficientNetB1, 160 px
    python -m studies.detectors --network MobileNet --out detectors.json

All get the same random images and boxes, from memory. KerasCV's detectors are as it makes them, over the layers of
`keras.applications`; its YOLOV8 has a neck as wide as the backbone, kerassl's one of 128 channels at P3.
"""

import argparse
import json
import os
import pathlib
import sys
import time

from benchmarks import machine
from benchmarks.measuring import QUIET, Row, measure, say

KINDS = ("retinanet", "yolov8")
STAGES = {"train": "training step", "infer": "detecting"}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m studies.detectors", description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="EfficientNetB1", help="name that backbones.build knows")
    parser.add_argument("--image-size", type=int, default=160, help="side in pixels, a multiple of 32")
    parser.add_argument("--batch-size", type=int, default=8, help="images a step")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; 5 to 9, more on a busy machine")
    parser.add_argument("--steps", type=int, default=5, help="steps a turn that count")
    parser.add_argument("--warmup", type=int, default=1, help="steps a turn before those")
    parser.add_argument("--out", help="a JSON file for all figures, versions and the machine")
    options = parser.parse_args(arguments)
    for name in ("rounds", "steps", "warmup", "batch_size"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}; give 1 or more")
    if options.image_size < 32 or options.image_size % 32:
        parser.error(f"--image-size is {options.image_size}; give a multiple of 32")
    return options


def main(arguments=None):
    options = parse(arguments)
    settings = {name: getattr(options, name) for name in ("network", "image_size", "batch_size")}
    turns = {name: getattr(options, name) for name in ("rounds", "steps", "warmup")}
    report = {"date": time.strftime("%Y-%m-%d"), **machine.about("studies.detectors"), "settings": settings | turns}
    report["results"] = []
    for kind in options.kinds:
        for stage, label in STAGES.items():
            say(f"{kind}: {label}")
            one = {**settings, "kind": kind, "stage": stage}
            rows = [
                Row(f"{whose}, {kind}, {label}", whose, one, module="studies.detectors_worker")
                for whose in ("kerassl", "KerasCV")
            ]
            results = measure(rows, cores=os.cpu_count(), **turns)
            if all("ms" in result for result in results):
                for result in results:
                    result["kerassl_over_it"] = result["ms"] / results[0]["ms"]
            report["results"] += results
    print(
        f"{options.network}, {options.image_size} px, batch {options.batch_size}, float32; {report['date']}, commit "
        f"{report['commit']}; medians of {options.rounds} rounds, {options.steps} steps each\n"
    )
    print("| detector | images/s | ms a step | kerassl's over it | memory, MiB |\n|---|---|---|---|---|")
    for result in report["results"]:
        print(line(result))
    if any(result.get("disturbed") for result in report["results"]):
        print(f"\n* Busy machine: other processes took more than {QUIET:.0%} of the cores in most rounds.")
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        say(f"figures written to {options.out}")
    return int(any("ms" not in result for result in report["results"]))


def line(result):
    if "ms" not in result:
        return f"| {result['label']} | {result['note']} | | | |"
    star = " *" if result["disturbed"] else ""
    return (
        f"| {result['label']} | {result['pairs_per_second']:.1f}{star} | {result['ms']:.0f} | "
        f"{result.get('kerassl_over_it', float('nan')):.2f} | {result['memory_mib']:.0f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
