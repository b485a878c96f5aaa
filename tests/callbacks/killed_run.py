"""A small pre-training that goes on wherever it was stopped; `test_resume.py` kills it.

python tests/callbacks/killed_run.py PHOTOS CHECKPOINTS WEIGHTS
"""

import sys

import keras
import numpy as np

import kerassl

photos, checkpoints, weights = sys.argv[1:]
keras.utils.set_random_seed(0)
inputs = keras.Input((None, None, 3))
x = inputs
for level in range(5):
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name=f"conv{level}")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{level}")(x)
    x = keras.layers.Activation("swish", name=f"act{level}")(x)
backbone = kerassl.backbones.with_fast_layers(keras.Model(inputs, x))
model = kerassl.SimCLR(backbone, 32, hidden_dim=16, projection_dim=8, seed=1)
model.compile(kerassl.optimizers.LARS(kerassl.optimizers.WarmupCosine(0.3, 60, warmup_steps=5)))
images = kerassl.datasets.image_folder(photos, 32, 4, seed=2)
resume = kerassl.callbacks.Resume(checkpoints, data=images, every=2)
print("begun at", resume.epoch, resume.step, flush=True)
model.fit(images, epochs=12, verbose=0, callbacks=[resume])
np.savez(weights, *[variable.numpy() for variable in (*model.backbone.variables, *model.projection_head.variables)])
print("ended", flush=True)
