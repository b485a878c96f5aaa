"""The `kerassl` command."""

import argparse
import errno
import logging
import os
import re
import sys

from kerassl._display import printable
from kerassl._environment import check_environment
from kerassl._errors import UserError
from kerassl._numbers import (
    ABOVE_0,
    COUNT,
    COUNT_OR_NONE,
    FROM_0,
    QUALITY,
    REAL,
    SEED,
    SHARE,
    SHARE_ABOVE_0,
    YEAR,
)
from kerassl._version import __version__


def main(arguments=None):
    """Runs the command line.

    Args:
        arguments: list of str, or None for those of the process.

    Returns:
        int, the exit status: 0; 2 after a person's mistake, which is told in one line; 1 from `check`, where a
        servable differs; 3 from `compare`, where `--minutes` were over before the end.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # for names of files that the terminal's encoding lacks
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("kerassl").setLevel(logging.INFO)
    logging.raiseExceptions = False  # a full disk is reported once, not for each line of a log
    options = None
    try:
        options = parser().parse_args(arguments)
        check_environment()
        # Imported here: matplotlib and others take half a second, and --help needs none of them.
        if options.command == "check":
            from kerassl.cli import check as commands
        else:
            from kerassl.cli import commands

        status = getattr(commands, options.command)(options) or 0
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"kerassl: {error.shell}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has enough of it, as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        told = _full_disk(error, getattr(options, "out", None))
        if told is None:
            raise
        again = ", then continue by --resume" if hasattr(options, "resume") else ""
        print(f"kerassl: {told}{again}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("kerassl: stopped; what was finished is kept, --resume continues", file=sys.stderr)
        return 130


def _full_disk(error, out=None):
    """The line for an output that cannot be written, from the exception of whichever library wrote it; else None."""
    while error is not None:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            why = os.strerror(number)
            of_a_file = isinstance(error, OSError) or type(error).__module__.startswith("tensorflow")
            if of_a_file and (getattr(error, "errno", None) == number or why in str(error)):
                file = getattr(error, "filename", None) or out
                what = "an output" if file is None else printable(os.fsdecode(file))
                return f"{what} cannot be written ({why}); make room or choose another place"
        error = error.__cause__ or error.__context__
    return None


class _OneLine(logging.Formatter):
    """A message a line, whatever names of files and classes are in it."""

    def formatMessage(self, record):
        return printable(super().formatMessage(record))


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others."""

    def error(self, message):
        told = re.fullmatch(r"argument ([^:]+): (.*)", message, re.DOTALL)
        advice = "" if told and told[2].startswith("is ") else f"; see {self.prog} --help"
        raise UserError(f"{told[1]} {told[2]}{advice}" if told else f"{message}{advice}")


def _number(kind):
    """The `type` of a flag that takes such a number."""

    def read(text):
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"is {text}; {error}") from None

    return read


def _image_size(text):
    from kerassl.resizing import check_image_size  # here: it loads Pillow, which --help can do without

    try:
        return check_image_size(int(text))
    except ValueError as error:
        told = error if isinstance(error, UserError) else "give a multiple of 32"
        raise argparse.ArgumentTypeError(f"is {text}; {told}") from None


def parser():
    parser = _Parser(
        prog="kerassl",
        description="Pre-train a detector's backbone on unlabeled images, then train, score, explain and export "
        "the detector.",
    )
    parser.add_argument("--version", action="version", version=f"kerassl {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    pretrain = _command(commands, "pretrain", "learn a backbone from images without labels", run=True)
    pretrain.add_argument(
        "--images", nargs="+", metavar="FOLDER", help="folders of photographs; a few thousand at least, best like yours"
    )
    pretrain.add_argument("--backbone", help="network, as EfficientNetB1 (default), EfficientNetB0, MobileNet")
    pretrain.add_argument(
        "--image-size",
        type=_image_size,
        help="side of the views in pixels, a multiple of 32; 96 to 128 on a CPU, 224 on a GPU",
    )
    pretrain.add_argument(
        "--batch-size",
        type=_number(COUNT),
        help="images a step; 64 fits 24 GiB of memory on a CPU, more gives more negatives",
    )
    pretrain.add_argument(
        "--epochs",
        type=_number(COUNT),
        help="passes over the photographs; contrastive learning wants many, 100 and more",
    )
    pretrain.add_argument(
        "--temperature",
        type=_number(ABOVE_0),
        help="0.1 to 0.2; lower looks harder at near negatives and is less stable",
    )
    _seed(pretrain)

    finetune = _command(commands, "finetune", "train a detector or a localiser on VOC labels", run=True)
    finetune.add_argument("--task", choices=("detector", "localizer"), help="what to train (default detector)")
    finetune.add_argument("--detector", choices=("retinanet", "yolov8"), help="which one to train (default retinanet)")
    finetune.add_argument("--backbone", help="backbone.keras of a pre-training, a file of weights, or a network's name")
    _voc(finetune, "train")
    finetune.add_argument(
        "--fraction", type=_number(SHARE_ABOVE_0), help="share of the training images whose labels are used, 0 to 1"
    )
    finetune.add_argument("--count", type=_number(COUNT), help="number of training images whose labels are used")
    finetune.add_argument(
        "--image-size", type=_image_size, help="side in pixels, a multiple of 32; 160 on a CPU, 512 on a GPU"
    )
    finetune.add_argument("--batch-size", type=_number(COUNT), help="images a step; 8 to 32")
    finetune.add_argument(
        "--epochs", type=_number(COUNT), help="passes over the labeled images; 10 to 100, more for fewer"
    )
    _seed(finetune)

    predict = _command(commands, "predict", "detect objects in images; writes predictions.json and drawings")
    _model(predict)
    predict.add_argument("--images", nargs="+", required=True, metavar="PATH", help="images or folders of them")
    predict.add_argument("--out", required=True, metavar="FOLDER", help="a new folder for the results")
    predict.add_argument(
        "--score",
        type=_number(SHARE),
        default=0.3,
        help="lowest score that is drawn; 0.3 to 0.5 looks tidy (default 0.3)",
    )

    embed = _command(commands, "embed", "features of images from a backbone, as .npz of names and vectors")
    embed.add_argument("--backbone", required=True, help="backbone.keras of a pre-training")
    embed.add_argument("--images", nargs="+", required=True, metavar="PATH", help="images or folders of them")
    embed.add_argument("--out", required=True, metavar="FILE", help="the .npz file to write")
    embed.add_argument(
        "--image-size", type=_image_size, default=128, help="side in pixels, a multiple of 32 (default 128)"
    )

    evaluate = _command(commands, "evaluate", "score a detector, or predictions saved before, on VOC or COCO labels")
    evaluate.add_argument("--model", help="detector.keras or localizer.keras")
    evaluate.add_argument(
        "--predictions",
        nargs="+",
        metavar="PATH",
        help="in place of --model: predictions.json, a COCO results json, or the devkit's comp4_det_<set>_<class>.txt "
        "files or their folder",
    )
    _voc(evaluate, "test")
    evaluate.add_argument("--coco", metavar="FILE", help="a COCO json of boxes, in place of --voc")
    evaluate.add_argument("--images", metavar="FOLDER", help="the folder of the images that --coco names")
    evaluate.add_argument("--shards", metavar="FOLDER", help="a folder of labelled shards, in place of --voc")
    evaluate.add_argument(
        "--score",
        type=_number(REAL),
        help="lowest score of the detections whose errors are sorted; 0.3 to 0.5 is what people would be shown, "
        "default all; every AP counts all",
    )
    evaluate.add_argument("--out", metavar="FILE", help="also write the figures to this .json file")
    evaluate.add_argument(
        "--plots",
        metavar="FOLDER",
        help="also draw precision against recall, and the kinds of errors, into this folder",
    )

    explain = _command(commands, "explain", "draw class activation maps, and score them on labeled images")
    explain.add_argument(
        "--arms",
        "--models",
        dest="models",
        nargs="+",
        required=True,
        metavar="NAME=FILE",
        help="as ours=a/detector.keras random=b/…; with --voc backbones, too",
    )
    explain.add_argument("--images", nargs="+", metavar="PATH", help="images or folders of them: heatmaps alone")
    _voc(explain, "test")
    explain.add_argument(
        "--class", dest="class_name", help="whose evidence to draw of --images; default: the best-scoring class"
    )
    explain.add_argument(
        "--method", choices=("gradcam", "gradcam++", "layercam", "scorecam"), default="gradcam",
        help="scorecam takes minutes an image (default gradcam)",
    )  # fmt: skip
    explain.add_argument(
        "--level", choices=("P3", "P4", "P5"),
        help="feature map; P5 is coarse and sure (default the deepest; with --voc the best on images not scored)",
    )  # fmt: skip
    explain.add_argument(
        "--count",
        type=_number(COUNT),
        help="at most so many images (default 8; of --voc 400, a quarter of them to choose on)",
    )
    explain.add_argument(
        "--insertion", type=_number(COUNT_OR_NONE), default=0, metavar="STEPS",
        help="also put pixels in and take them out by falling heat, in so many steps; 10 to 20, slow (default 0: no)",
    )  # fmt: skip
    explain.add_argument("--image-size", type=_image_size, help="side in pixels, for arms that are backbones")
    explain.add_argument("--seed", type=_number(SEED), help="draws the images, those to choose on, and the bootstrap")
    explain.add_argument(
        "--out",
        required=True,
        metavar="PATH",
        help="the .png file to write; with --voc the folder of table and pictures",
    )

    audit = _command(commands, "audit", "find where a model looks at the wrong thing; writes report.html and JSON")
    _model(audit)
    _voc(audit, "test")
    audit.add_argument(
        "--count", type=_number(COUNT), help="at most so many images, a subset by --seed; 300 and more tell most"
    )
    audit.add_argument(
        "--level",
        choices=("P3", "P4", "P5"),
        default="P4",
        help="feature map; finer ones show smaller things (default P4)",
    )
    audit.add_argument(
        "--pictures",
        type=_number(COUNT_OR_NONE),
        default=24,
        help="images that the page draws, the worst first (default 24)",
    )
    audit.add_argument("--out", required=True, metavar="FOLDER", help="a new folder for page, audit.json, regions.json")
    _seed(audit)

    export = _command(commands, "export", "write a SavedModel for TensorFlow Serving")
    _model(export)
    export.add_argument(
        "--out",
        required=True,
        metavar="FOLDER",
        help="a new version's folder, as servables/voc/1",
    )
    export.add_argument(
        "--batch-sizes", type=_number(COUNT), nargs="+", default=(1, 2, 4, 8), metavar="N",
        help="images that a server works on at once, rising; a batch is filled up to the next (default 1 2 4 8)",
    )  # fmt: skip

    check = _command(
        commands, "check", "ask a servable again what it was asked at its export, without Python TensorFlow"
    )
    check.add_argument("servable", metavar="FOLDER", help="a version's folder, as servables/voc/1")
    check.add_argument(
        "--library", metavar="FILE", help="libtensorflow_cc of another TensorFlow (default: the installed one's)"
    )

    check.add_argument(
        "--seconds",
        type=_number(FROM_0),
        default=1.0,
        help="for the latency of each recorded request; 0 asks it 3 times more",
    )

    scenes = _command(commands, "scenes", "generate a VOCdevkit of toy scenes with exact boxes and masks")
    scenes.add_argument("--out", required=True, metavar="FOLDER", help="the folder to write")
    scenes.add_argument("--train", type=_number(COUNT), help="labeled images to train on; 600 trains a small localizer")
    scenes.add_argument(
        "--val", type=_number(COUNT), help="labeled images to score on; under 200 the metrics are noisy"
    )
    scenes.add_argument("--unlabelled", type=_number(COUNT_OR_NONE), help="images without labels, for pre-training")
    scenes.add_argument("--single-object", action="store_true", default=None, help="one object an image")
    _seed(scenes)

    shards = _command(commands, "shards", "pack images into a few large files, shrunk, that are read like their folder")
    shards.add_argument(
        "--images", nargs="+", metavar="FOLDER", help="folders of photographs; with --coco or --yolo the one folder"
    )
    form = shards.add_mutually_exclusive_group()
    form.add_argument("--coco", metavar="FILE", help="pack the boxes of this COCO json along")
    form.add_argument("--yolo", action="store_true", help="pack the boxes of YOLO's label files along")
    _voc(shards, None)
    shards.add_argument(
        "--out", required=True, metavar="FOLDER", help="the folder to write; started again, it goes on where it was"
    )
    shards.add_argument(
        "--image-size",
        type=_number(COUNT),
        help="short side in pixels that larger images are shrunk to; twice that of the views",
    )
    shards.add_argument(
        "--quality", type=_number(QUALITY), default=90, help="of the JPEGs, 1 to 100; 85 to 95 (default 90)"
    )
    shards.add_argument("--per-shard", type=_number(COUNT), default=1000, help="images a file; 50 to 500 MB are handy")
    shards.add_argument(
        "--workers", type=_number(COUNT), default=2, help="images that are encoded side by side; one a core"
    )

    inspect = _command(commands, "inspect", "tell what a data set holds: sizes, classes, boxes, broken files")
    inspect.add_argument("path", nargs="*", metavar="PATH", help="images or folders of them, a VOCdevkit, or shards")
    form = inspect.add_mutually_exclusive_group()
    form.add_argument("--coco", metavar="FILE", help="a COCO json of boxes; PATH is then the folder of its images")
    form.add_argument("--yolo", action="store_true", help="PATH is a folder of images with YOLO's label files")
    _voc(inspect, None, broken=False)  # it is for finding them
    inspect.add_argument("--decode", action="store_true", help="decode each image wholly; finds files that are cut off")
    inspect.add_argument("--out", metavar="FILE", help="also draw the card into this .png file")

    views = _command(
        commands, "views", "draw the views that pre-training makes of photographs, or --voc what fine-tuning sees"
    )
    views.add_argument("images", nargs="*", metavar="PATH", help="images or folders of them (or data.images)")
    views.add_argument("--out", required=True, metavar="FILE", help="the .png file to write")
    views.add_argument(
        "--count", type=_number(COUNT), default=6, help="at most so many photographs, chosen by --seed (default 6)"
    )
    views.add_argument(
        "--image-size", type=_image_size, help="side of the views in pixels, a multiple of 32 (default 128)"
    )
    _voc(views, "train")
    views.add_argument(
        "--task", choices=("detector", "localizer"), help="whose training images to draw of --voc (default detector)"
    )
    views.add_argument("--mild", action="store_true", help="crops from a fifth up and half the jitter: small networks")
    views.add_argument(
        "--level", choices=("P3", "P4", "P5"), default="P5", help="feature map of the cells (default P5)"
    )
    _seed(views)

    compare = _command(
        commands, "compare", "run the whole pipeline for several variants, into one report.html", run=True
    )
    compare.add_argument("--backbone", help="network of every variant, as EfficientNetB1")
    compare.add_argument(
        "--minutes", type=_number(ABOVE_0), metavar="N",
        help="stop after the training or the checkpoint in which so many minutes are over, with exit status 3; the "
        "same command with --resume goes on and repeats nothing",
    )  # fmt: skip
    compare.add_argument(
        "--skip",
        nargs="*",
        metavar="NAME",
        help="variants to leave out, as one that failed; without names all are taken in again",
    )
    _seed(compare)

    geometry = _command(commands, "geometry", "describe and compare the feature spaces of several arms, on one page")
    geometry.add_argument(
        "--arms",
        nargs="+",
        required=True,
        metavar="NAME=FILE",
        help="backbone.keras, localizer.keras or detector.keras each, or a network's name for a random start",
    )
    geometry.add_argument("--images", nargs="+", metavar="PATH", help="images or folders of them, without labels")
    _voc(geometry, "test")
    geometry.add_argument(
        "--image-size", type=_image_size, help="side in pixels, a multiple of 32, for arms that are backbones"
    )
    geometry.add_argument(
        "--count",
        type=_number(COUNT),
        default=500,
        help="at most so many images, chosen by --seed; 200 to 2000 (default 500)",
    )
    geometry.add_argument("--homology", action="store_true", help="also count loops; pip install 'kerassl[topology]'")
    _seed(geometry)
    geometry.add_argument("--out", required=True, metavar="FILE", help="the .html page; figures go beside it as .json")
    return parser


def _command(commands, name, purpose, run=False):
    parser = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    parser.add_argument("--config", metavar="FILE", help="settings in YAML, as those in configs/; flags go over it")
    if run:
        parser.add_argument("--out", required=True, metavar="FOLDER", help="the run's folder; must be new or empty")
        again = parser.add_mutually_exclusive_group()
        again.add_argument(
            "--resume",
            action="store_true",
            help="continue the run in the folder, with the settings that are there; flags must agree with them, but "
            "--epochs may be more where training can continue",
        )
        again.add_argument("--replace", action="store_true", help="remove the run that stands in the folder")
    return parser


def _voc(parser, split, broken=True):
    parser.add_argument(
        "--voc", metavar="FOLDER", help="a VOCdevkit, which holds VOC2007, or a folder of JPEGImages and Annotations"
    )
    parser.add_argument("--year", type=_number(YEAR), help="2007 to 2012; default: the only one that there is")
    default = "every image" if split is None else f"data.voc.{split} of the configuration"
    parser.add_argument("--split", help=f"a list in ImageSets/Main (default: {default})")
    parser.add_argument(
        "--classes",
        nargs="+",
        help="class names in your order, or a file of them (one a line, or data.yaml); default: the 20 of VOC",
    )
    if broken:
        parser.add_argument(
            "--allow-broken-labels",
            action="store_true",
            default=None,
            help="leave out labels that cannot be read even if they are more than a tenth",
        )


def _model(parser):
    parser.add_argument("--model", required=True, metavar="FILE", help="detector.keras or localizer.keras of a run")


def _seed(parser):
    parser.add_argument(
        "--seed", type=_number(SEED), help="0 to 4294967295; the same gives the same run on the same machine"
    )


if __name__ == "__main__":
    sys.exit(main())
