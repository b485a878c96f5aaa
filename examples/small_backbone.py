"""Write a very small network with random weights as a backbone.keras.

    python examples/small_backbone.py backbone.keras --seed 0
    kerassl self-train --backbone backbone.keras ...

Any functional network can be a backbone whose maps have an eighth, a 16th and a 32nd of the image's side.
"""

import argparse

import keras

import kerassl


def small_network() -> keras.Model:
    """Return the network: images `[B, H, W, 3]` in [0, 255] to a map of a 32nd of their side."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    for width in (16, 32, 32, 64, 64):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Activation("swish")(x)
    return kerassl.backbones.with_fast_layers(keras.Model(inputs, x, name="small"))


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", help="the backbone.keras to write")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    kerassl.backbones.save(small_network(), options.file)


if __name__ == "__main__":
    main()
