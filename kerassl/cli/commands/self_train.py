"""`kerassl self-train`."""

from __future__ import annotations

import argparse

from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "self-train", "train a detector on labeled images, and on others that a teacher labels"
    )
    flags.run_folder(parser)
    parser.add_argument(
        "--images", nargs="+", metavar="PATH", help="images without labels, or folders of them; best like the labeled"
    )
    parser.add_argument(
        "--run",
        metavar="FOLDER",
        help="a finished run of kerassl finetune: its start, recipe and split are taken, and its detector is the "
        "teacher, unless --teacher or --teacher-image-size is given",
    )
    flags.setting(parser, "self_train.teacher.detector", "teacher", metavar="FILE")
    flags.setting(parser, "self_train.teacher.image_size", "teacher-image-size")
    flags.setting(parser, "detector.kind", "detector", default=False)
    flags.network(parser, "imagenet")
    flags.labels(parser, part="train")
    flags.held_out(parser)
    for key in ("self_train.threshold", "self_train.mirror", "self_train.rounds", "self_train.control", "seed"):
        flags.setting(parser, key)
    for key in ("detector.image_size", "detector.batch_size", "detector.epochs"):
        flags.setting(parser, key, default=False)


def run(arguments: argparse.Namespace) -> None:
    from kerassl.runs.self_train import self_train

    found = flags.run(self_train, arguments)
    if found is None:
        return
    print(found.results["summary"], found.results["details"], sep="\n")
    print(f"detector: {found.model}")
    flags.print_next(found, "export", "--model", str(found.model), "--out", "servables/detector/1")
