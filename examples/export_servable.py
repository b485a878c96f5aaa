"""Export a detector as a SavedModel for TensorFlow Serving, and run the servable on an image.

python examples/export_servable.py detector.keras --image photo.jpg --out servables/voc/1
"""

import argparse

import tensorflow as tf

import kerassl


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a detector.keras")
    parser.add_argument("--image", required=True)
    parser.add_argument("--out", default="servables/voc/1", help="folder of a version, a number that increases")
    options = parser.parse_args()

    detector = kerassl.load(options.model)
    kerassl.serving.export(detector, options.out)

    servable = tf.saved_model.load(options.out).signatures["serving_default"]
    images = kerassl.datasets.read_image(options.image)[None]  # [1, H, W, 3]
    answer = servable(images=tf.cast(images, tf.float32))
    for i in range(int(answer["num_detections"][0])):
        if answer["scores"][0, i] >= 0.3:
            name = answer["class_names"][0, i].numpy().decode()
            corners = ", ".join(f"{corner:.0f}" for corner in answer["boxes"][0, i])
            print(f"{name} {answer['scores'][0, i]:.2f} at ({corners})")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
