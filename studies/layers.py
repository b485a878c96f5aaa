"""How much faster do the fast layers make a training step of each network? Forward and backward, no optimizer.

python -m studies.layers                                 # every family, about three minutes on two cores
python -m studies.layers EfficientNetB1 --batch-size 64
"""

import argparse
import statistics
import time

from kerassl import backbones  # isort: skip
import tensorflow as tf

NETWORKS = ("EfficientNetB1", "MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "ResNet50")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m studies.layers", description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS, help="names that backbones.build knows")
    parser.add_argument("--batch-size", type=int, default=32, help="images a step")
    parser.add_argument("--image-size", type=int, default=128, help="side in pixels, a multiple of 32")
    parser.add_argument("--rounds", type=int, default=9, help="steps of each, in turns; the median counts")
    options = parser.parse_args(arguments)
    shape = (options.batch_size, options.image_size, options.image_size, 3)
    images = tf.random.stateless_uniform(shape, [0, 1], 0, 255)
    print(f"Keras's layers against the fast ones, float32, batch {options.batch_size}, {options.image_size} px\n")
    print("| network | Keras's, ms a step | fast, ms a step | times as fast |\n|---|---|---|---|")
    for name in options.networks:
        fast = backbones.build(name)
        stock_ms, fast_ms = times([step(backbones.with_keras_layers(fast), images), step(fast, images)], options.rounds)
        print(f"| {name} | {stock_ms:.0f} | {fast_ms:.0f} | {stock_ms / fast_ms:.2f} |", flush=True)


def step(model, images):
    """A function that runs forward and backward once."""

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(images, training=True) ** 2)
        return tf.add_n([tf.reduce_sum(each) for each in tape.gradient(loss, model.trainable_variables)])

    return run


def times(functions, rounds):
    """Median milliseconds of each, taking turns so that what disturbs the machine hits all."""
    for function in functions:
        function().numpy()
        function().numpy()
    seen = [[] for _ in functions]
    for _ in range(rounds):
        for function, own in zip(functions, seen):
            begun = time.perf_counter()
            function().numpy()
            own.append(1000 * (time.perf_counter() - begun))
    return [statistics.median(own) for own in seen]


if __name__ == "__main__":
    main()
