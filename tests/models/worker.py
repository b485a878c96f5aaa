"""One worker of `test_workers.py`: a step of SimCLR in double precision, and what it changed.

TF_CONFIG=… python tests/models/worker.py STATE.npz
"""

import sys

import keras
import numpy as np
import tensorflow as tf

import kerassl


def step(strategy, run_eagerly=False):
    """Return the changes of a step, variable by variable, and the `logs`; the policy is that of whoever calls."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        inputs = keras.Input((None, None, 3))
        x = inputs
        for level in range(2):
            x = keras.layers.Conv2D(8, 5, strides=4, padding="same", use_bias=False, name=f"conv{level}")(x)
            x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{level}")(x)
            x = keras.layers.Activation("swish", name=f"act{level}")(x)
        backbone = kerassl.backbones.with_fast_layers(keras.Model(inputs, x))
        model = kerassl.SimCLR(
            backbone, 32, hidden_dim=16, projection_dim=8, augmentation=kerassl.augment.SimCLRViews.mild(32)
        )
        model.compile(keras.optimizers.SGD(1.0), run_eagerly=run_eagerly)
    variables = [*model.backbone.variables, *model.projection_head.variables]
    rng = np.random.default_rng(0)
    for variable in variables:
        if len(variable.shape) > 1:  # the same start in every process
            variable.assign(rng.normal(0, 0.2, variable.shape))
    start = [variable.numpy() for variable in variables]
    coarse = rng.uniform(0, 255, (8, 4, 4, 3))
    images = tf.image.resize(tf.constant(coarse, tf.float32), (40, 40))
    history = model.fit(tf.data.Dataset.from_tensor_slices(images).batch(8), verbose=0).history
    changes = {f"arr_{i}": before - now.numpy() for i, (before, now) in enumerate(zip(start, variables))}
    return {**changes, "logs": np.array([float(np.squeeze(history[name][0])) for name in sorted(history)])}


if __name__ == "__main__":
    # As conftest.py has it: Grappler changes float32 by roundings.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    workers = tf.distribute.MultiWorkerMirroredStrategy()
    keras.mixed_precision.set_global_policy("float64")
    np.savez(sys.argv[1], **step(workers))
