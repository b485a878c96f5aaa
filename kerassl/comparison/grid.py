"""The cells of a comparison: every arm with every number of labels and every seed, for each way of measuring."""

import contextlib
import shlex
import typing

from kerassl._errors import UserError
from kerassl.runs.config import axes, protocols


class Cell(typing.NamedTuple):
    """One training on labels and its scoring.

    Attributes:
        arm: str, its name.
        protocol: str, one of `PROTOCOLS`.
        labels: int, how many images' labels are used, or None for all.
        seed: int. Of the choice of those images, of what starts at random, and of the order of training.
    """

    arm: str
    protocol: str
    labels: int | None
    seed: int

    @property
    def name(self):
        """What it is called in its arm's folder."""
        return f"{self.protocol}-{'all' if self.labels is None else self.labels}-{self.seed}"


def cells(config):
    """All cells, in the order in which they are done.

    On frozen features an arm's cells follow each other, for which its features are kept. Else the arms take turns, so
    that a comparison that is stopped half way has seen all of them.
    """
    found = []
    for protocol in protocols(config):
        arms, labels, seeds = axes(config, protocol)
        if protocol == "frozen":
            found += [Cell(arm, protocol, count, seed) for arm in arms for count in labels for seed in seeds]
        else:
            found += [Cell(arm, protocol, count, seed) for seed in seeds for count in labels for arm in arms]
    return found


def section(config, protocol, arm):
    """A way of measuring as it is for an arm: with its own neck, and of frozen features its own batch normalisation.

    Args:
        config: `Config`.
        protocol: str.
        arm: str, its name.

    Returns:
        `sections.Protocol`.
    """
    names = ("neck", "batch_norm") if protocol == "frozen" else ("neck",)
    own = {name: getattr(config.arms[arm], name) for name in names}
    return getattr(config, protocol).model_copy(
        update={name: value for name, value in own.items() if value is not None}
    )


def is_kept(config, cell):
    """Whether a cell's model is kept: that of the first seed and the most labels, for pictures and for use."""
    _, labels, seeds = axes(config, cell.protocol)
    return cell.seed == seeds[0] and cell.labels == most(labels)


def most(labels):
    """The largest number of labels, or None for all."""
    return None if None in labels else max(labels)


@contextlib.contextmanager
def of_arm(name):
    """Adds to what goes wrong in the block whose fault it is, and how the others continue."""
    try:
        yield
    except UserError as error:
        where = f"arm {name!r}: {error}; leave it out by compare.skip to continue with the others"
        shell = f"arm {name!r}: {error.shell}; continue with the others by --resume --skip {shlex.quote(name)}"
        raise UserError(where, shell=shell) from error
