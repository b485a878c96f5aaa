"""SimCLR's views with one operation at a time."""

from __future__ import annotations

from kerassl._compat import tf
from kerassl.augment import SimCLRViews

_OFF = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "jitter": 0.0, "grayscale": 0.0, "blur": 0.0}
_COLORS = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}  # and what leaves an image as it is

OPERATIONS = ("crop", "flip", *_COLORS, "grayscale", "blur")
"""The operations of `augment.SimCLRViews`."""


def view_operations(views: SimCLRViews) -> dict[str, SimCLRViews]:
    """Split a policy of views into `OPERATIONS`: views that have one alone, always, in the strength of the policy."""
    config = views.get_config()
    one = {
        "crop": {"scale": config["scale"], "ratio": config["ratio"]},
        "flip": {"flip": 1.0},
        "grayscale": {"grayscale": 1.0},
        "blur": {"blur": 1.0},
    }
    made = {name: SimCLRViews(**{**config, **_OFF, **on}) for name, on in one.items()}
    made |= {name: _OneColor(name, **{**config, **_OFF, "jitter": 1.0}) for name in _COLORS}
    return {name: made[name] for name in OPERATIONS}


class _OneColor(SimCLRViews):
    """Views whose jitter changes one thing."""

    def __init__(self, color, **config):
        super().__init__(**config)
        self.color = color

    def _jitter(self, draws):
        drawn = super()._jitter(draws)
        still = {name: tf.fill(tf.shape(drawn.hue), value) for name, value in _COLORS.items() if name != self.color}
        return drawn._replace(**still)
