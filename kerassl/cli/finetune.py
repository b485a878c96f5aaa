"""`kerassl finetune`."""

from __future__ import annotations

import argparse
import pathlib
import time

from kerassl._errors import UserError
from kerassl.cli import flags
from kerassl.runs.config import Config, read_config, voc_settings


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "finetune", "train a detector or a localizer on VOC labels")
    flags.run_folder(parser)
    parser.add_argument("--task", choices=("detector", "localizer"), help="what to train (default detector)")
    flags.setting(parser, "detector.kind", "detector")
    parser.add_argument("--backbone", help="backbone.keras of a pre-training, a file of weights, or a network's name")
    flags.voc(parser, "train")
    for key in ("data.voc.fraction", "data.voc.count", "detector.batch_size", "detector.epochs", "seed"):
        flags.setting(parser, key)
    flags.setting(parser, "detector.image_size", default=False)


def run(arguments: argparse.Namespace) -> None:
    from kerassl.backbones.families import canonical
    from kerassl.comparison.variants import seen
    from kerassl.runs import finetune as finetuning
    from kerassl.runs import pretrain_neck as neck
    from kerassl.runs import running
    from kerassl.runs.results import write_results
    from kerassl.runs.sources import check_decoded, sources
    from kerassl.runs.start import check_network, check_start

    before = _resumed(arguments)
    task = arguments.task or (finetuning.task_of(before) if before else "detector")
    if before and task != finetuning.task_of(before):
        raise UserError(
            f"--task is {task}, but {arguments.out} trains a {finetuning.task_of(before)}; leave --task out"
        )
    if arguments.detector and task != "detector":
        raise UserError(f"--detector is {arguments.detector}, but --task is {task}; leave one of them out")
    settings = {
        **voc_settings(
            "train",
            arguments.voc,
            arguments.year,
            arguments.split,
            arguments.classes,
            arguments.allow_broken_labels,
        ),
        "detector.kind": arguments.detector,
        "data.voc.fraction": arguments.fraction,
        "data.voc.count": arguments.count,
        "seed": arguments.seed,
        f"{task}.image_size": arguments.image_size,
        f"{task}.batch_size": arguments.batch_size,
        f"{task}.epochs": arguments.epochs,
    }
    config = flags.run_config(arguments, settings)
    if getattr(config, task) is None:
        config = flags.run_config(arguments, {**settings, task: {}})
    start = arguments.backbone or (finetuning.start_of(before) if before else "random")
    if canonical(start) is not None:
        config, start = config.model_copy(update={"backbone": start}), "random"
    elif start != "random":
        check_start(start, "--backbone")
    check_network(config)
    config = finetuning.alone(config, task, start)
    begun = time.time()
    with flags.claimed(arguments, config, grows=f"{task}.epochs", done=f"{task}.json") as folder:
        data = sources(config, folder)
        neck.check(getattr(config, task), task, start)
        check_decoded(data)
        running.prepare(config)
        figures = finetuning.finetune(config, task, start, data, folder, folder, task)
        flags.print_figures(figures)
        after = neck.seen({task: getattr(config, task)})
        page = write_results(
            folder,
            f"kerassl: a {task} fine-tuned",
            f"{len(data.train)} labeled images to fine-tune on, {len(data.test)} to score on, which it has not seen.",
            begun,
            generated=data.generated,
            variants={start: {"start": start, "seen": seen(start) + after, task: figures}},
        )
        print(f"{task}: {folder / f'{task}.keras'}")
        print(f"report: {page}")


def _resumed(arguments: argparse.Namespace) -> Config | None:
    """Return the configuration of the run to resume; None of a new run, or of one whose `config.yaml` is gone."""
    path = pathlib.Path(arguments.out) / "config.yaml"
    if not arguments.resume or not path.is_file():
        return None
    return read_config(path, expand=False)
