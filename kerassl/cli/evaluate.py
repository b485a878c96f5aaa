"""`kerassl evaluate`."""

from __future__ import annotations

import argparse
import pathlib

from kerassl import _numbers
from kerassl._errors import UserError
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "evaluate", "score a detector, or saved predictions, on VOC or COCO labels")
    parser.add_argument("--model", help="detector.keras or localizer.keras")
    parser.add_argument(
        "--predictions",
        nargs="+",
        metavar="PATH",
        help="in place of --model: predictions.json, a COCO results json, or the devkit's comp4_det_<set>_<class>.txt "
        "files or their folder",
    )
    flags.voc(parser, "test")
    parser.add_argument("--coco", metavar="FILE", help="a COCO json of boxes, in place of --voc")
    parser.add_argument("--images", metavar="FOLDER", help="the folder of the images that --coco names")
    parser.add_argument("--shards", metavar="FOLDER", help="a folder of labeled shards, in place of --voc")
    parser.add_argument(
        "--score",
        type=flags.number(_numbers.REAL),
        help="lowest score of the detections whose errors are sorted; 0.3 to 0.5 is what users would be shown, "
        "default all; every AP counts all",
    )
    parser.add_argument("--out", metavar="FILE", help="also write the figures to this .json file")
    parser.add_argument(
        "--plots",
        metavar="FOLDER",
        help="also draw precision against recall, and the kinds of errors, into this folder",
    )


def run(arguments: argparse.Namespace) -> None:
    from kerassl import metrics
    from kerassl.runs import evaluate as scoring
    from kerassl.runs import outputs
    from kerassl.runs.config import read_config, voc_settings
    from kerassl.runs.model_files import check_model, load
    from kerassl.runs.predict import score

    if (arguments.model is None) == (arguments.predictions is None):
        raise UserError("give either --model or --predictions to evaluate")
    for flag, value in (("--coco", arguments.coco), ("--shards", arguments.shards)):
        if value is not None and any(each is not None for each in (arguments.voc, arguments.split, arguments.year)):
            raise UserError(f"{flag} {value} is named beside --voc, --year or --split; give the labels of one data set")
    outputs.check_file(arguments.out, (".json",), "JSON")
    outputs.check_folder(arguments.plots, new=False)
    for path in scoring.plot_files(arguments.plots):
        outputs.check_file(path)
    others = arguments.coco is not None or arguments.shards is not None
    settings = voc_settings(
        "test", arguments.voc, arguments.year, arguments.split, arguments.classes, arguments.allow_broken_labels
    )
    if others:
        settings = {"data.allow_broken_labels": arguments.allow_broken_labels}
    config = read_config(arguments.config, settings)
    classes = check_model(arguments.model).classes if arguments.model else None
    truth = scoring.ground_truth(config, arguments.coco, arguments.images, classes, arguments.shards, arguments.classes)
    if arguments.model:
        figures, predictions, _ = score(load(arguments.model), truth.records, truth.classes, sizes=True)
    else:
        predictions = scoring.read_predictions(arguments.predictions, truth)
        truth = scoring.without_broken(truth, predictions)
        figures = metrics.evaluate_detections(predictions, truth.records, truth.classes, sizes=True)
    if "errors" not in figures:
        flags.print_figures(figures)
    else:
        if arguments.score is not None:
            errors = metrics.error_kinds(predictions, truth.records, truth.classes, score_threshold=arguments.score)
            figures = {**figures, "errors": errors}
        print(scoring.table(figures))
    if arguments.out:
        scoring.write_figures(pathlib.Path(arguments.out), figures)
        print(f"figures: {arguments.out}")
    if arguments.plots:
        for path in scoring.draw(arguments.plots, predictions, truth, figures):
            print(f"plot: {path}")
