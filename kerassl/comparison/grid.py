"""The trials of a comparison: every variant with every number of labels and every seed, for each way of measuring."""

import contextlib
import shlex
import typing

from kerassl._errors import UserError
from kerassl.runs.config import axes, protocols


class Trial(typing.NamedTuple):
    """One training on labels and its scoring.

    Attributes:
        variant: str, its name.
        protocol: str, one of `PROTOCOLS`.
        labels: int, how many images' labels are used, or None for all.
        seed: int. Of the choice of those images, of what starts at random, and of the order of training.
    """

    variant: str
    protocol: str
    labels: int | None
    seed: int

    @property
    def name(self):
        """What it is called in its variant's folder."""
        return f"{self.protocol}-{'all' if self.labels is None else self.labels}-{self.seed}"


def trials(config):
    """All trials, in the order in which they are done.

    On frozen features a variant's trials follow each other, for which its features are kept. Else the variants take
    turns, so that a comparison that is stopped half way has seen all of them.
    """
    found = []
    for protocol in protocols(config):
        variants, labels, seeds = axes(config, protocol)
        if protocol == "frozen":
            found += [
                Trial(variant, protocol, count, seed) for variant in variants for count in labels for seed in seeds
            ]
        else:
            found += [
                Trial(variant, protocol, count, seed) for seed in seeds for count in labels for variant in variants
            ]
    return found


def section(config, protocol, variant):
    """A way of measuring as it is for a variant: with its own neck, and of frozen features its own batch normalisation.

    Args:
        config: `Config`.
        protocol: str.
        variant: str, its name.

    Returns:
        `sections.Protocol`.
    """
    names = ("neck", "batch_norm") if protocol == "frozen" else ("neck",)
    own = {name: getattr(config.variants[variant], name) for name in names}
    return getattr(config, protocol).model_copy(
        update={name: value for name, value in own.items() if value is not None}
    )


def is_kept(config, trial):
    """Whether a trial's model is kept: that of the first seed and the most labels, for pictures and for use."""
    _, labels, seeds = axes(config, trial.protocol)
    return trial.seed == seeds[0] and trial.labels == most(labels)


def most(labels):
    """The largest number of labels, or None for all."""
    return None if None in labels else max(labels)


@contextlib.contextmanager
def of_variant(name):
    """Adds to what goes wrong in the block whose fault it is, and how the others continue."""
    try:
        yield
    except UserError as error:
        where = f"variant {name!r}: {error}; leave it out by compare.skip to continue with the others"
        shell = f"variant {name!r}: {error.shell}; continue with the others by --resume --skip {shlex.quote(name)}"
        raise UserError(where, shell=shell) from error
