"""Files that cross from one stack to the other: made by a process of one, checked by a process of the other.

python tests/stack_pipeline.py make FOLDER
python tests/stack_pipeline.py check FOLDER
"""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

import kerassl

CLASSES = ["red", "green", "blue"]
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
PHOTOS = np.random.default_rng(1).uniform(0, 255, (8, 64, 64, 3)).astype("float32")


def backbone(name="MobileNet"):
    """Its moving statistics follow the last batch, so that after a pass in training its features are not all 0."""
    return kerassl.backbones.build(name, batch_norm_momentum=0.5)


def trained(model):
    model(IMAGES, training=True)
    return model


def detector():
    return kerassl.detectors.RetinaNet(backbone(), CLASSES, image_size=64)


def yolov8():
    return kerassl.detectors.YOLOV8(backbone(), CLASSES, image_size=64, num_filters=16)


def localizer():
    return kerassl.detectors.Localizer(backbone(), CLASSES, image_size=64)


def simclr():
    # Without blur: its kernels are compiled, and two TensorFlow versions compile them to other last bits.
    views = kerassl.augment.SimCLRViews(32, blur=0.0)
    model = kerassl.SimCLR("MobileNet", image_size=32, augmentation=views, seed=3)
    model.compile(kerassl.optimizers.LARS(kerassl.optimizers.WarmupCosine(0.5, 20, warmup_steps=3)))
    return model


def losses(start, save=False):
    """The losses of ten steps from the weights in a file, in double precision.

    In single precision a difference in rounding, as between any two TensorFlow versions or processors, grows a
    hundredfold with every step of a fresh network, and says nothing about the mathematics.
    """
    keras.mixed_precision.set_global_policy("float64")
    model = simclr()
    if save:
        kerassl.detectors.save_weights(model, start)
    kerassl.detectors.load_weights(model, start)
    seen = []
    kept = keras.callbacks.LambdaCallback(on_batch_end=lambda step, logs: seen.append(float(logs["loss"])))
    batches = tf.data.Dataset.from_tensor_slices(PHOTOS).batch(8)
    model.fit(batches, epochs=10, verbose=0, callbacks=[kept])
    keras.mixed_precision.set_global_policy("float32")
    return np.array(seen)


def lamb():
    """A kernel after five steps: Keras's LAMB on the one stack, that of tensorflow-addons on the other."""
    rng = np.random.default_rng(2)
    kernel = tf.Variable(rng.normal(size=(4, 3)), dtype=tf.float32)
    optimizer = kerassl.optimizers.get("lamb", 0.01, weight_decay=0.0, epsilon=1e-6)
    for _ in range(5):
        optimizer.apply_gradients([(tf.constant(rng.normal(size=(4, 3)), tf.float32), kernel)])
    return kernel.numpy()


def answers(servable):
    signature = tf.saved_model.load(str(servable)).signatures["serving_default"]
    found = signature(images=tf.constant(IMAGES))
    return {f"servable_{key}": found[key].numpy() for key in ("boxes", "scores", "classes", "num_detections")}


def make(folder):
    keras.utils.set_random_seed(0)
    efficient_net = trained(backbone("EfficientNetB0"))
    kerassl.backbones.save(efficient_net, folder / "backbone.keras")
    expected = {"features": efficient_net(IMAGES).numpy()}
    for name, build in (("detector", detector), ("yolov8", yolov8), ("localizer", localizer)):
        model = trained(build())
        kerassl.detectors.save_weights(model, folder / f"{name}.npz")
        expected.update({f"{name}_{key}": value.numpy() for key, value in model(IMAGES).items()})
        if name == "detector":
            kerassl.serving.export(model, folder / "servable" / "1")
    expected.update(answers(folder / "servable" / "1"))
    expected["lamb"] = lamb()
    expected["losses"] = losses(folder / "start.npz", save=True)
    np.savez(folder / "expected.npz", keras=keras.__version__, **expected)


def check(folder):
    """Prints the largest differences; fails where one is too large."""
    with np.load(folder / "expected.npz") as file:
        expected = dict(file)
    assert str(expected["keras"]) != keras.__version__, "made and checked on one stack"
    found = {"features": kerassl.backbones.load(folder / "backbone.keras")(IMAGES).numpy()}
    for name, build in (("detector", detector), ("yolov8", yolov8), ("localizer", localizer)):
        model = build()
        kerassl.detectors.load_weights(model, folder / f"{name}.npz")
        found.update({f"{name}_{key}": value.numpy() for key, value in model(IMAGES).items()})
    found.update(answers(folder / "servable" / "1"))
    found["lamb"] = lamb()
    found["losses"] = losses(folder / "start.npz")
    for key, value in found.items():
        largest, spread = np.abs(expected[key]).max(), np.std(expected[key])
        difference = np.abs(value - expected[key]).max() / largest
        print(f"{key:25} up to {largest:8.3g}, deviation {spread:8.3g}, apart by {difference:.1e} of it")
        assert difference <= 1e-5, key
        assert spread > 1e-3 * largest or key.startswith("servable"), f"{key} are the same for any weights"
    report = kerassl.serving.check(folder / "servable" / "1", seconds=0.0)
    apart = [max(request.apart.values()) for request in report.requests]
    print(f"{'servable by the C library':25} {report.tensorflow}, apart by up to {max(apart):.1e}")
    assert len(apart) == 8
    assert report.conform, report.faults


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
