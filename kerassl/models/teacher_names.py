"""Names of teachers, checked before TensorFlow is loaded."""

from __future__ import annotations

import pathlib

from kerassl._errors import UserError
from kerassl.backbones.families import find
from kerassl.models.kerashub import PREFIX, check_kerashub, seen_by_preset


def check_teacher(name: str, weights: str | None, cut_at: str | None, image_size: int | None) -> None:
    """Refuse a teacher that `models.open_teacher` cannot open, apart from what is in its files.

    Raises:
        UserError: in one line.
    """
    hub, file = name.startswith(PREFIX), name.endswith(".keras")
    if (hub or file) and (weights is not None or cut_at is not None):
        raise UserError(
            f"the teacher is {name}, which has weights and is not cut; leave the teacher's weights and cut out"
        )
    if image_size is not None and not hub:
        raise UserError(
            f"the teacher {name} takes the student's views; leave its image size out, or give a {PREFIX} one"
        )
    if name == PREFIX:
        raise UserError(f"the teacher {name} names no preset of KerasHub; give one, as {PREFIX}dinov2_small")
    if hub:
        check_kerashub(name)
    elif name.endswith((".npz", ".h5")):
        raise UserError(
            f"the teacher is {name}, a file of weights alone; give the name of its network, and the file as its "
            "weights: --teacher NAME --teacher-weights FILE"
        )
    elif not file and ("/" in name or name.endswith((".json", ".yaml"))):
        raise UserError(f"the teacher is {name}; give a network by its name, a .keras file or {PREFIX}PRESET")
    elif not file:
        if "_" in name:  # as no network of `find`
            raise UserError(f"there is no network {name!r}; give a preset of KerasHub as {PREFIX}{name}")
        find(name)
        if weights not in (None, "imagenet", "random") and not pathlib.Path(weights).is_file():
            raise UserError(
                f"the teacher's weights are {weights}, but there is no such file; give imagenet, random or a .keras, "
                ".npz or .h5 file"
            )


def seen_by_teacher(name: str, weights: str | None) -> str:
    """Return in words what a teacher has seen."""
    if name.startswith(PREFIX):
        return seen_by_preset(name)
    if name.endswith(".keras") or weights not in (None, "imagenet", "random"):
        file = name if weights is None else weights
        return f"whatever {file} was made from; kerassl cannot tell."
    if weights == "random":
        return "no image: its weights are random."
    return "ImageNet, with labels, by the weights that Keras publishes."
