"""`kerassl predict`."""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

from kerassl import _numbers
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "predict", "detect objects in images; writes predictions.json and drawings", config=False
    )
    flags.model(parser)
    parser.add_argument("--images", nargs="+", required=True, metavar="PATH", help="images or folders of them")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="a new folder for the results")
    parser.add_argument(
        "--score",
        type=flags.number(_numbers.SHARE),
        default=0.3,
        help="lowest score that is drawn; 0.3 to 0.5 looks tidy (default 0.3)",
    )


def run(arguments: argparse.Namespace) -> None:
    from PIL import Image
    from tqdm import tqdm

    from kerassl import detectors, metrics
    from kerassl._io import file_names, files
    from kerassl.datasets.pipeline.letterboxed import identified
    from kerassl.runs import outputs, running
    from kerassl.runs.model_files import check_model, load
    from kerassl.runs.predict import detections

    outputs.check_folder(arguments.out)
    files.check_outside(arguments.out, arguments.images)
    check_model(arguments.model)
    _, paths = identified(arguments.images)
    model = load(arguments.model)
    with files.whole(arguments.out, replace=False) as part:
        found = detections(model, paths)
        (part / "drawings").mkdir(parents=True)
        metrics.save_predictions(part / "predictions.json", found)
        for number, path in enumerate(tqdm(found, desc="draw", unit="image", disable=running.verbosity() == 2), 1):
            drawn = detectors.draw(path, found[path], model.classes, score_threshold=arguments.score)
            # Numbered: files of two folders may share a name.
            Image.fromarray(drawn).save(
                part / "drawings" / f"{number:04d}_{file_names.file_name(pathlib.Path(path).stem)}.png"
            )
    objects = sum(int(np.sum(each["scores"] >= arguments.score)) for each in found.values())
    read = flags.images_read(len(found), len(paths) - len(found))
    print(f"{objects} objects with a score of {arguments.score} or more in {read}: {arguments.out}")
