"""What does a step of distillation cost over the training of its student and the inference of its teacher?

    python -m benchmarks.distillation                                 # MobileNet into EfficientNetB1, 96 px, batch 32
    python -m benchmarks.distillation --student MobileNetV3Small --contrast dense

Three functions take turns in one process, on the same random images: the step of `FeatureDistillation`; a step of the
student alone, with the same views and optimizer and the mean square of its maps as loss; and the teacher's maps of as
many views. The figure is the first over the sum of the others, the median over the turns. On a busy machine compare the
processor's time.
"""

import argparse
import statistics
import sys
import time
import typing

from kerassl import backbones
from kerassl.augment import SimCLRViews
from kerassl.models import FeatureDistillation
from kerassl.models.view_model import ViewModel

from benchmarks import machine, tables  # isort: skip
import keras  # isort: skip
import tensorflow as tf  # isort: skip

LEVELS = ("P4", "P5")


class _Loss(typing.NamedTuple):
    loss: tf.Tensor


class Student(ViewModel):
    """The training of the student alone, with a loss that costs nothing."""

    def __init__(self, backbone, image_size):
        super().__init__(backbone, image_size, SimCLRViews.mild(image_size), 0)
        names = backbones.pyramid(self.backbone, image_size)
        maps = [self.backbone.get_layer(names[level]).output for level in LEVELS]
        self._maps = keras.Model(self.backbone.inputs[0], maps).__call__
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def _shares(self, views, training):
        maps = self._maps(tf.concat([views.first, views.second], axis=0), training=training)
        return _Loss(tf.add_n([tf.reduce_mean(tf.square(each)) for each in maps]))

    def _log(self, shares):
        self.loss_tracker.update_state(shares.loss)
        return self._logs()


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distillation", description=__doc__.splitlines()[0])
    parser.add_argument("--student", default="EfficientNetB1", help="of keras.applications")
    parser.add_argument("--teacher", default="MobileNet", help="of keras.applications; its weights are random")
    parser.add_argument("--image-size", type=int, default=96, help="side of the views, a multiple of 32")
    parser.add_argument("--batch-size", type=int, default=32, help="images a step")
    parser.add_argument("--contrast", choices=("global", "dense"), help="contrast beside distillation")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; more on a busy machine")
    parser.add_argument("--steps", type=int, default=3, help="steps a turn")
    return parser.parse_args(arguments)


def functions(options):
    """Return the functions that take turns, by name."""
    keras.utils.set_random_seed(0)
    read = options.image_size + 32
    images = tf.cast(tf.random.uniform([options.batch_size, read, read, 3], maxval=256, dtype=tf.int32), tf.uint8)
    teacher = backbones.build(options.teacher)
    distillation = FeatureDistillation(options.student, teacher, options.image_size, contrast=options.contrast)
    distillation.adapt([images])
    student = Student(options.student, options.image_size)
    views = tf.random.uniform([2 * options.batch_size, options.image_size, options.image_size, 3], maxval=255.0)
    for model in (distillation, student):
        model.compile("adamw")
        model.optimizer.build(model.trainable_variables)
    return {
        "distillation": tf.function(lambda: distillation.train_step(images)),
        "student alone": tf.function(lambda: student.train_step(images)),
        "teacher alone": tf.function(lambda: distillation._teacher(views)),
    }


def turn(function, steps):
    """Seconds a step by the clock, and of the processor."""
    begun = time.perf_counter(), time.process_time()
    for _ in range(steps):
        tf.nest.map_structure(lambda each: each.numpy(), function())
    return [(now - then) / steps for now, then in zip((time.perf_counter(), time.process_time()), begun)]


def main(arguments=None):
    options = parse(arguments)
    made = functions(options)
    for function in made.values():
        turn(function, 1)
    found = {name: [] for name in made}
    for _ in range(options.rounds):
        for name, function in made.items():
            found[name].append(turn(function, options.steps))
    clocks = {name: [*zip(*turns)] for name, turns in found.items()}
    rows = [(name, *(f"{1000 * statistics.median(one):.0f}" for one in both)) for name, both in clocks.items()]
    ratios = [
        [whole / (one + other) for whole, one, other in zip(*(both[clock] for both in clocks.values()))]
        for clock in (0, 1)
    ]
    texts = [f"{statistics.median(one):.3f} ({min(one):.3f} to {max(one):.3f})" for one in ratios]
    print(f"{vars(options)}; commit {machine.about('benchmarks.distillation')['commit']}\n")
    print(tables.table(("step", "ms", "processor's ms"), [*rows, ("distillation / sum of the others", *texts)]))


if __name__ == "__main__":
    sys.exit(main())
