"""Outputs of commands, checked before any work: nothing of the user's is in their way."""

import pathlib

from kerassl import _files

_PLOTS = ("precision_recall.png", "errors.png")
# Commands whose output must not exist, and those that write images, which no input folder may hold.
_NEW = {"predict", "embed", "evaluate", "explain", "audit", "export", "inspect", "views", "geometry"}
_IMAGES = {"predict", "explain", "audit", "views", "inspect", "pretrain", "finetune", "compare"}


def check_outputs(options, inputs=()):
    """Refuse an output that is in the way of what exists, or within a folder of images that is read.

    Args:
        options: those of the command.
        inputs: further folders that are read, as those of the configuration.

    Raises:
        UserError: in one line.
    """
    for path in _paths(options):
        if options.command in _NEW:
            _files.check_new(path)
        if options.command in _IMAGES:
            named = (getattr(options, "images", None), getattr(options, "path", None), inputs)
            _files.check_outside(path, [each for group in named for each in group or ()])


def _paths(options):
    out = getattr(options, "out", None)
    if out is not None:
        yield pathlib.Path(out)
    if options.command == "geometry":
        yield pathlib.Path(out).with_suffix(".json")
    if getattr(options, "plots", None) is not None:
        yield from (pathlib.Path(options.plots, name) for name in _PLOTS)
