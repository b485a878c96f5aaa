"""How well do features find objects? Trains the localizer's head on frozen features and scores it, as one line of JSON.

    python -m studies.localizer --voc VOCdevkit --backbone MobileNet --weights imagenet.npz --cut-at conv_pw_12_relu

Head and settings were chosen on 200 images of val (`--part choose`); figures are reported on the others. Both parts
are those of `DetectionDataset.subset(200, seed=0)`. Results are in docs/results/localizer.md.
"""

import argparse
import json
import statistics
import time

import keras
import numpy as np

import kerassl
from benchmarks import machine
from kerassl.types import LOCALIZATION_METRICS


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voc", required=True, help="the folder that holds VOC2007")
    parser.add_argument("--backbone", default="EfficientNetB1", help="a network by name, or a .keras file of kerassl")
    parser.add_argument("--weights", help="a file of weights; a random start (seed 0) if left out")
    parser.add_argument("--cut-at", help="the layer after which the network is cut, where the weights need that")
    parser.add_argument("--count", type=int, help="images of train to learn from; all if left out")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--part", choices=("choose", "report"), default="report", help="of val: the 200, or the others")
    parser.add_argument("--seeds", type=int, default=3, help="heads to train, of seeds 0, 1, …")
    parser.add_argument("--cache", help="a folder that keeps features for later runs")
    parser.add_argument("--save", help="a .keras file for the localizer of seed 0, for `kerassl explain`")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON of fit_frozen's arguments to change")
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    if options.backbone.endswith(".keras"):
        backbone = kerassl.backbones.load(options.backbone)
    else:
        backbone = kerassl.backbones.build(options.backbone, weights=options.weights, cut_at=options.cut_at)
    train = kerassl.datasets.DetectionDataset.from_voc(options.voc, 2007, "train").subset(options.count)
    val = kerassl.datasets.DetectionDataset.from_voc(options.voc, 2007, "val")
    chosen = {record.image_id for record in val.subset(200, seed=0)}
    val = [record for record in val if (record.image_id in chosen) == (options.part == "choose")]

    begun = time.perf_counter()
    common = {"image_size": options.image_size, "cache": options.cache, "verbose": 1}
    train = kerassl.detectors.FrozenFeatures(backbone, train, **common)
    val = kerassl.detectors.FrozenFeatures(backbone, val, flip=False, **common)
    features_seconds = time.perf_counter() - begun
    figures, seconds, classes = [], [], kerassl.datasets.VOC_CLASSES
    for seed in range(options.seeds):
        begun = time.perf_counter()
        localizer = kerassl.detectors.fit_frozen(train, classes, seed=seed, **options.settings)
        seconds.append(time.perf_counter() - begun)
        if options.save and seed == 0:
            localizer.save(options.save)
        found = kerassl.detectors.predict(localizer, val, verbose=0)
        figures.append(kerassl.metrics.evaluate_localization(found, val.records, classes)[0].to_dict())
    result = {
        **machine.about("studies.localizer"),
        "train_images": len(train),
        "val_images": len(val),
        "features_seconds": features_seconds,
        "fit_seconds": statistics.mean(seconds),
        # What one learns without looking at the image: the mean box of the training images.
        "mean_box": kerassl.metrics.localization(
            np.tile(train.boxes.mean((0, 1)), [len(val), 1]), val.boxes[:, 0]
        ).to_dict(),
    }
    for key in LOCALIZATION_METRICS:
        values = [each[key] for each in figures]
        result[key] = {"mean": statistics.mean(values), "spread": max(values) - min(values), "seeds": values}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
