"""`kerassl finetune`."""

from __future__ import annotations

import argparse

from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "finetune", "train a detector or a localizer on labels")
    flags.run_folder(parser)
    parser.add_argument("--task", choices=("detector", "localizer"), help="what to train (default detector)")
    flags.setting(parser, "detector.kind", "detector")
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="detector.keras or localizer.keras whose training continues, on the same classes or on others",
    )
    flags.network(parser, "imagenet")
    flags.labels(parser, part="train")
    flags.held_out(parser)
    for key in ("detector.batch_size", "detector.epochs", "seed"):
        flags.setting(parser, key)
    flags.setting(parser, "detector.image_size", default=False)


def run(arguments: argparse.Namespace) -> None:
    from kerassl.runs.finetune import finetune

    found = flags.run(finetune, arguments)
    if found is None:
        return
    task = found.model.stem
    ((_, variant),) = found.results["variants"].items()
    print(found.results["summary"])
    flags.print_metrics(variant[task])
    print(f"{task}: {found.model}")
    advice: tuple[str, ...]
    if task == "detector":
        advice = ("self-train", "--run", str(found.folder), "--images", "FOLDER", "--out", f"{found.folder}-self")
    else:
        advice = ("export", "--model", str(found.model), "--out", "servables/localizer/1")
    flags.print_next(found, *advice)
