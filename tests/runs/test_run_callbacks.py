"""A training that ends when its time is over."""

import contextlib
import types

import keras
import numpy as np
import pytest

from kerassl.callbacks import Resume
from kerassl.runs.run_callbacks import StopInTime
from kerassl.runs.running import OutOfTimeError


@pytest.mark.current_stack
@pytest.mark.parametrize("epochs", [1, 2])
def test_epoch_is_kept_when_time_is_over_before_a_checkpoint_is_due(epochs, tmp_path):
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    resume = Resume(tmp_path, seconds=1000)
    stop = StopInTime(types.SimpleNamespace(over=lambda: True), resume, clock=None)
    # After the last epoch little is left to do.
    with contextlib.nullcontext() if epochs == 1 else pytest.raises(OutOfTimeError):
        model.fit(np.ones([4, 2]), np.ones([4, 1]), epochs=epochs, verbose=0, callbacks=[resume, stop])
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-000001-00000000.npz"]
