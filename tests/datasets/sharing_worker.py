"""One worker of `test_shares.py`: fits on its share of the images and tells which it saw.

TF_CONFIG=… python tests/datasets/sharing_worker.py PHOTOS SEEN.json
"""

import json
import sys

from kerassl import _compat  # isort: skip
import numpy as np
import tensorflow as tf

from kerassl.datasets import image_folder

strategy = tf.distribute.MultiWorkerMirroredStrategy()
seen, made = [], []


class Watcher(_compat.Model):
    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(), name="scale")
        self.built = True

    def train_step(self, images):
        tf.numpy_function(
            lambda images: seen.append(np.round(images[:, 0, 0, 0] / 10).astype(int).tolist()), [images], []
        )
        return _compat.step_logs({"mean": tf.reduce_mean(images)})


def share(context):
    worker = context.input_pipeline_id, context.num_input_pipelines
    made.append(image_folder(sys.argv[1], 32, 2, seed=4, worker=worker))
    return made[0].repeat()  # epoch after epoch, each in its own order


data = strategy.distribute_datasets_from_function(share)
with strategy.scope():
    model = Watcher()
    model.compile(optimizer="sgd")
model.fit(data, epochs=2, steps_per_epoch=made[0].steps, shuffle=False, verbose=0)
with open(sys.argv[2], "w") as file:
    json.dump({"steps": made[0].steps, "seen": seen[: 2 * made[0].steps]}, file)
