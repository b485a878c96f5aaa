"""Trained models in files."""

import os

from kerassl import detectors, models
from kerassl._errors import UserError


def load(path):
    """A detector or localiser from its file."""
    import keras

    if not os.path.isfile(path):
        raise UserError(f"there is no model {path}; give a detector.keras or localizer.keras of a run")
    try:
        model = keras.saving.load_model(path)
    except (ValueError, OSError, TypeError) as error:
        reason = str(error).splitlines()[0][:160]
        raise UserError(f"{path} does not open as a detector or localiser of this Keras version ({reason})") from error
    if not isinstance(model, (detectors.Detector, models.Localizer)):
        raise UserError(f"{path} is a {type(model).__name__}; give a detector.keras or localizer.keras of a run")
    return model
