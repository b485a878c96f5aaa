"""`kerassl pretrain`."""

from __future__ import annotations

import argparse
import time

from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "pretrain", "learn a backbone from images without labels")
    flags.run_folder(parser)
    flags.setting(parser, "data.images", metavar="FOLDER")
    for key in (
        "backbone", "pretrain.image_size", "pretrain.batch_size", "pretrain.epochs", "pretrain.temperature", "seed",
    ):  # fmt: skip
        flags.setting(parser, key)


def run(arguments: argparse.Namespace) -> None:
    from kerassl.runs import pretrain as pretraining
    from kerassl.runs import running
    from kerassl.runs.results import write_results
    from kerassl.runs.sources import sources
    from kerassl.runs.start import check_network

    settings = {
        "data.images": arguments.images,
        "backbone": arguments.backbone,
        "pretrain.image_size": arguments.image_size,
        "pretrain.batch_size": arguments.batch_size,
        "pretrain.epochs": arguments.epochs,
        "pretrain.temperature": arguments.temperature,
        "seed": arguments.seed,
    }
    config = flags.run_config(arguments, settings)
    check_network(config)
    begun = time.time()
    with flags.claimed(arguments, config, grows="pretrain.epochs") as folder:
        data = sources(config, folder, labels=False)
        pretraining.check(config.pretrain, data.images, "--batch-size")
        running.prepare(config)
        figures = pretraining.pretrain(config, data.images, folder)
        summary = pretraining.summary(config.backbone, figures)
        print(f"{summary} {figures['minutes']:.1f} minutes.")
        page = write_results(
            folder, "kerassl: pre-training", summary, begun, generated=data.generated, pretrain=figures
        )
        print(f"backbone: {folder / 'backbone.keras'}")
        print(f"report: {page}")
