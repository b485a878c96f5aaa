"""What do TFLite files of trained models find, beside the models that they were made from?

    python -m studies.tflite_accuracy runs/a/localizer.keras runs/b/detector.keras --voc VOCdevkit

Each model is scored on the same labeled images as it is and as TFLite files of both precisions, by the same rules; the
size of a model is that of its weights in float32. `docs/results/serving.md` tells what was seen.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

from benchmarks import machine
from benchmarks.measuring import say


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m studies.tflite_accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="FILE", help="localizer.keras or detector.keras of a run")
    parser.add_argument("--voc", required=True, metavar="FOLDER", help="the folder that holds VOC2007")
    parser.add_argument("--split", default="val", help="images that the models have not seen")
    parser.add_argument("--count", type=int, default=200, help="images; 200 and more tell half a point apart")
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error(f"--count is {options.count}; give 1 or more")
    return options


def main(arguments=None):
    options = parse(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    import kerassl
    from kerassl.detectors.model_files import load
    from kerassl.serving.tflite import PRECISIONS, export_tflite

    print(
        f"{options.count} images of {options.split}, TensorFlow {tf.__version__}; {time.strftime('%Y-%m-%d')}, commit "
        f"{machine.about('studies.tflite_accuracy')['commit']}\n"
    )
    print("| model | as | MB | AP VOC10 | AP COCO | mean IoU | LocAcc@0.5 | LocAcc@0.7 | Top-1 |\n" + "|---" * 9 + "|")
    for file in options.models:
        model = load(file)
        records = kerassl.datasets.DetectionDataset.from_voc(
            options.voc, 2007, options.split, class_names=model.class_names
        ).subset(options.count)
        if isinstance(model, kerassl.detectors.Localizer):
            records = [record for record in records if record.largest() is not None]
        predictions = kerassl.detectors.predict(model, records)
        _row(model, "the model in memory", 4 * model.count_params() / 1e6, predictions, records)
        for precision in PRECISIONS:
            with tempfile.TemporaryDirectory() as folder:
                say(f"converting {file} to {precision}")
                path = export_tflite(model, pathlib.Path(folder) / "model.tflite", precision=precision)
                run = tf.lite.Interpreter(str(path), num_threads=os.cpu_count()).get_signature_runner()
                found = {record.image_id: _found(run, record, model.image_size) for record in records}
                _row(model, f"TFLite, {precision}", path.stat().st_size / 1e6, found, records)


def _found(run, record, size):
    """Return the detections of a file in pixels of the image."""
    import numpy as np

    import kerassl

    image = kerassl.datasets.read_image(record.path)
    square, scale = kerassl.resizing.letterbox(image, size)
    answer = run(images=square[None].numpy())
    if "box" in answer:
        best = answer["probabilities"][0].argmax()
        boxes, scores, classes = answer["box"], answer["probabilities"][0, best, None], np.array([best], "int32")
    else:
        count = int(answer["num_detections"][0])
        boxes, scores, classes = (answer[name][0, :count] for name in ("boxes", "scores", "classes"))
    height, width = image.shape[:2]
    boxes = np.clip(boxes / float(scale), 0, [width, height, width, height]).astype("float32")
    return kerassl.types.Detections(boxes, scores, classes)


def _row(model, label, size, predictions, records):
    import kerassl

    figures = kerassl.metrics.evaluate_detections(predictions, records, model.class_names).scalars()
    keys = ("voc10_ap50", "coco_ap", "mean_iou", "loc_acc_50", "loc_acc_70", "top1")
    cells = " | ".join(f"{100 * figures[key]:.1f}" for key in keys)
    print(f"| {type(model).__name__} | {label} | {size:.1f} | {cells} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
