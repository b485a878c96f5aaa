"""Flags that several commands share."""

from __future__ import annotations

import argparse
import re
import shlex
import typing
from collections.abc import Callable

from pydantic_core import PydanticUndefined

from kerassl._display import counted
from kerassl._errors import UserError
from kerassl.config.config import kind_of, setting_of
from kerassl.config.pretraining import VIEWS
from kerassl.resizing import check_image_size
from kerassl.runs.plan.stages import Plan
from kerassl.types import METRIC_NAMES

if typing.TYPE_CHECKING:
    from kerassl.runs.results import RunResult


def command(
    subparsers: argparse._SubParsersAction, name: str, purpose: str, *, config: bool = True
) -> argparse.ArgumentParser:
    """Add the parser of a command."""
    parser = subparsers.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    if config:
        parser.add_argument("--config", metavar="FILE", help="settings in YAML, as those in configs/; flags go over it")
    return parser


def run_folder(parser: argparse.ArgumentParser) -> None:
    """Add the folder of a run, and what happens to a run that is in it."""
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the run's folder; must be new or empty")
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in the folder, with the settings that are there; flags must agree with them, but "
        "--epochs may be more where training can continue",
    )
    again.add_argument("--replace", action="store_true", help="remove the run that is in the folder")
    parser.add_argument("--plan", action="store_true", help="print the stages, done and left, and do nothing")


def labels(parser: argparse.ArgumentParser, *, broken: bool = True, part: str | None = "test") -> None:
    """Add the flags of labeled images.

    Args:
        parser: `argparse.ArgumentParser`.
        broken: Bool. Whether labels that cannot be read are refused at all.
        part: Str, the setting of `data` that they override, `"train"` or `"test"`, or None.
    """
    default = "" if part is None else f" (default: data.{part} of the configuration)"
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="labels: a COCO json, a YOLO data.yaml or folder, a folder of VOC's XML, CVAT's XML, a CSV or lines of "
        f"boxes, shards, or tfds:NAME{default}",
    )
    parser.add_argument(
        "--data-images", metavar="FOLDER", help="folder of the images that the labels name (default: found beside them)"
    )
    parser.add_argument(
        "--split",
        metavar="NAME",
        help="the data's own split, as train, val or test (default: all labeled images; finetune and compare train on "
        "train, where the data have splits)",
    )
    setting(parser, "data.classes")
    if broken:
        setting(parser, "data.allow_broken_labels")


def held_out(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the labeled images to choose and to score on, and of how many are used to train."""
    for part, use, default in (("val", "choose the best epoch on", 0.1), ("test", "score on", 0.2)):
        either = parser.add_mutually_exclusive_group()
        either.add_argument(
            f"--{part}",
            metavar="PATH",
            help=f"labels to {use} (default: the data's own split {part}, else {default} of --data, where neither "
            "--val nor --test is given)",
        )
        setting(either, f"data.{part}.share", f"{part}-split")
    setting(parser, "data.group_by", metavar="REGEX", type=_expression)
    for key in ("data.count", "data.fraction"):
        setting(parser, key)


def model(parser: argparse.ArgumentParser) -> None:
    """Add the file of a detector or a localizer."""
    parser.add_argument("--model", required=True, metavar="FILE", help="detector.keras or localizer.keras of a run")


def models(parser: argparse.ArgumentParser, advice: str, images: str) -> None:
    """Add the files of several models, with their help, and images without labels for them."""
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=FILE", help=advice)
    parser.add_argument("--images", nargs="+", metavar="PATH", help=images)
    parser.add_argument(
        "--image-size", type=image_size, help="side in pixels, a multiple of 32, for models that are backbones"
    )


def setting(
    parser: argparse._ActionsContainer,
    key: str,
    flag: str | None = None,
    *,
    metavar: str = "NAME",
    default: bool = True,
    type: Callable[[str], str] = str,
) -> None:
    """Add a flag that overrides a setting, with the type, the description and the default of that.

    Args:
        parser: `argparse.ArgumentParser`, or a group of it.
        key: Str, with dots, as `"pretrain.epochs"`.
        flag: Str, the flag without its hyphens, or None for the last part of the key.
        metavar: Str, what the help calls a value that is a text.
        default: Bool. Whether the help has the setting's default.
        type: Function that checks a text.
    """
    field = setting_of(key)
    kind, check = kind_of(field)
    has_default = default and field.default not in (None, [], False, True, PydanticUndefined)
    advice = (field.description or "").rstrip(".").replace("null is", "default:")
    first = advice.partition(" ")[0]
    if first == "A" or first[1:].islower():  # as the help of other flags, but SimCLR stays
        advice = first.lower() + advice[len(first) :]
    kwargs: dict[str, typing.Any] = {
        "help": (f"{advice} (default {field.default})" if has_default else advice).replace("%", "%%")
    }
    if kind is bool:
        kwargs["action"] = argparse.BooleanOptionalAction
    elif typing.get_origin(kind) is typing.Literal:
        kwargs |= {"choices": typing.get_args(kind), "type": typing.get_args(kind)[0].__class__}
    elif typing.get_origin(kind) is list:
        kwargs |= {"nargs": "+", "metavar": metavar}
    elif check is not None:
        kwargs |= {"type": image_size if check is check_image_size else number(check), "metavar": "N"}
    else:
        kwargs |= {"metavar": metavar, "type": type}
    parser.add_argument(f"--{flag or key.rpartition('.')[2].replace('_', '-')}", **kwargs)


def part(parser: argparse.ArgumentParser) -> None:
    """Add the share of the images that one of several processes takes."""
    parser.add_argument(
        "--part",
        metavar="K/N",
        help="take one of N shares of the images, as 3/16: by their names, on every machine the same; the "
        "folder of all parts is read as one",
    )


def network(parser: argparse.ArgumentParser, default: str, flag: str = "backbone") -> None:
    """Add the network that is trained and the weights that it starts with.

    Args:
        parser: `argparse.ArgumentParser`.
        default: Str, the weights where neither a flag nor the configuration names any.
        flag: Str, the flag of the network without its hyphens.
    """
    parser.add_argument(
        f"--{flag}",
        metavar="NAME|FILE.keras",
        help="network, as EfficientNetB1 or MobileNet, the fastest on a CPU (default EfficientNetB1); or a "
        "backbone.keras, with its weights",
    )
    parser.add_argument(
        "--weights",
        metavar="imagenet|random|FILE",
        help="what the network starts with: Keras's own, random ones, or a .keras, .weights.h5, .h5 or .npz file "
        f"(default {default})",
    )


def views(parser: argparse.ArgumentParser) -> None:
    """Add the views of pre-training by name."""
    parser.add_argument(
        "--views",
        choices=tuple(VIEWS),
        help="mild: crops from a fifth of the image up and half of the color jitter, for small networks; strong: "
        "SimCLR's own (default: those of the configuration, or strong)",
    )


def level(parser: argparse.ArgumentParser, advice: str, default: str | None = None) -> None:
    """Add a level of the feature pyramid."""
    parser.add_argument("--level", choices=("P3", "P4", "P5"), default=default, help=advice)


def number(kind: Callable[[str], int | float]) -> Callable[[str], int | float]:
    """Return the `type` of a flag that takes such a number."""

    def read(text: str) -> int | float:
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"is {text}; {error}") from None

    return read


def image_size(text: str) -> int:
    """Return a side in pixels."""
    try:
        return check_image_size(int(text))
    except ValueError as error:
        advice = error if isinstance(error, UserError) else "give a multiple of 32"
        raise argparse.ArgumentTypeError(f"is {text}; {advice}") from None


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"is {text!r}, which is no regular expression ({error}); give one, as '^(.*)_frame'"
        ) from None
    return text


def given(arguments: argparse.Namespace) -> dict:
    """Return the arguments of the function that a command is."""
    return {name: value for name, value in vars(arguments).items() if name != "command"}


def run(function: Callable, arguments: argparse.Namespace) -> typing.Any:
    """Call the function that a command is; a plan is printed, and None returned."""
    found = function(**given(arguments))
    if not isinstance(found, Plan):
        return found
    print(found.describe())
    return None


def report_backbone(function: Callable, arguments: argparse.Namespace, kind: str) -> None:
    """Do a run that learns a backbone, or print its plan, and print what it found by its `kind` and what to do next."""
    found = run(function, arguments)
    if found is not None:
        print(f"{found.results['summary']} {found.results[kind]['minutes']:.1f} minutes.")
        print(f"backbone: {found.model}")
        print_next(
            found, "finetune", "--backbone", str(found.model), "--data", "LABELS", "--out", f"{found.folder}-detector"
        )


def images_read(read: int, broken: int) -> str:
    """Return in words how many images were read."""
    return counted(read, "image") + (f" ({broken} more cannot be read)" if broken else "")


def print_metrics(figures: dict) -> None:
    """Print the metrics among the figures by their names, shares in %."""
    for key, (name, unit, _) in METRIC_NAMES.items():
        if isinstance(value := figures.get(key), (int, float)):
            print(f"{name:12} {100 * value:6.1f} %" if unit == "%" else f"{name:12} {value:6.1f}")


def print_next(found: RunResult, *command: str) -> None:
    """Print the report of a run and what to do next, as the last lines of a command."""
    print(f"report: {found.report}")
    print(f"next: kerassl {shlex.join(command)}")
