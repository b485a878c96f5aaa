"""By which settings does MobileNet learn from 500 photos without labels? Contrast, neighbors and a localizer's boxes.

    python -m studies.pretraining_defaults --images FOLDER --probe FOLDER --voc VOCdevkit --out RUNS choose
    python -m studies.pretraining_defaults --images OTHERS --probe FOLDER --voc VOCdevkit --out RUNS confirm
    python -m studies.pretraining_defaults --table

A trial is a run of `kerassl.pretrain` from random initialization on 500 photos by its seed, in a folder of `RUNS`; one
that was stopped continues from its checkpoint, and `--only` names trials. What is done is a file of
`studies/results/pretraining_defaults` and is not done again. `choose` tries settings with seed 100 and scores boxes on
400 images of VOC 2007 train that teach nothing, and on 200 of val; `confirm` trains the chosen ones with seeds 0, 1 and
2 and scores them on the other images of val. Results are in docs/results/pretraining.md.
"""

import argparse
import json
import pathlib
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

import kerassl
from benchmarks import machine
from kerassl.callbacks import KNNProbe
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.statistics import image_counts, pigeonhole_interval, seed_counts

RESULTS = pathlib.Path(__file__).with_name("results") / "pretraining_defaults"
PHOTOS, HELD_OUT, LABELS = 500, 256, 300
VIEWS, BOXES = 96, 128
"""Sides in pixels of the views, and of the localizer's images."""
PLAIN = {
    "image_size": VIEWS,
    "load_size": 128,
    "batch_size": 64,
    "epochs": 20,
    "cache": "memory",
    "optimizer": "lars",
    "learning_rate": None,
    "smallest_crop": 0.08,
    "strength": 1.0,
    "temperature": 0.1,
    "decoupled": False,
    "projection_dim": 128,
    "hidden_dim": None,
    "dense": None,
}
"""The section `pretrain`, as SimCLR has it."""
SMALL = {**PLAIN, "smallest_crop": 0.2, "strength": 0.5, "decoupled": True, "projection_dim": 256, "hidden_dim": 2048}
ADAMW = {**SMALL, "optimizer": "adamw", "learning_rate": 2e-3, "batch_size": 32}
SETTINGS = {
    "untrained": None,
    "simclr, lars": PLAIN,
    "mild, lars": SMALL,
    "mild, adamw": ADAMW,
    "mild, adamw, dense": {**ADAMW, "dense": {}},
    "mild, lars, dense, 200 epochs": {**SMALL, "dense": {}, "epochs": 200},
}
CHOSEN = "mild, adamw"
TRIALS = {
    "choose": [(name, 100) for name in SETTINGS],
    "confirm": [(name, seed) for seed in range(3) for name in ("untrained", CHOSEN)],
}
BOXES_FIGURES = ("mean_iou", "loc_acc_50", "loc_acc_70")
FIGURES = ("contrast_accuracy", "contrast_re_estimated", "knn_top1", "knn_re_estimated", *BOXES_FIGURES)
"""The first four with batch-norm statistics as they were saved, and re-estimated on the photos at the views' size."""


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m studies.pretraining_defaults", description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=TRIALS, help="which trials to do")
    parser.add_argument("--images", type=pathlib.Path, help="folder of photos without labels")
    parser.add_argument("--probe", type=pathlib.Path, help="folder of train and test, with a sub-folder for each class")
    parser.add_argument("--voc", type=pathlib.Path, help="the folder that holds VOC2007")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the trials' runs")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, help="names of trials; all if left out")
    parser.add_argument("--seeds", nargs="+", type=int, help="their seeds; all if left out")
    parser.add_argument("--table", action="store_true", help="only print what is done")
    options = parser.parse_args(arguments)
    if options.table:
        for part in TRIALS:
            table(part)
        return
    for name, seed in TRIALS[options.part]:
        wanted = name in (options.only or SETTINGS) and seed in (options.seeds or [seed])
        if wanted and not result(options.part, name, seed).is_file():
            do(options, name, seed)


def result(part, name, seed):
    """Return the file of a trial that is done."""
    return RESULTS / f"{part}-{name.replace(', ', '_')}-{seed}.json"


def photos(folder, seed):
    """Return 500 photos to learn from, and others to measure contrast on."""
    files = kerassl.datasets.image_files([folder])
    order = np.random.default_rng(seed).permutation(len(files))[: PHOTOS + HELD_OUT]
    drawn = [str(files[place]) for place in order]
    return drawn[:PHOTOS], drawn[PHOTOS:]


def do(options, name, seed):
    """Train and score a backbone, and record it."""
    learned, held_out = photos(options.images, seed)
    content = {"trial": name, "seed": seed, "part": options.part, "photos": PHOTOS, "settings": SETTINGS[name]}
    if SETTINGS[name] is None:
        keras.utils.set_random_seed(seed)
        backbone = kerassl.backbones.build("MobileNet")
    else:
        folder = options.out / f"{options.part}-{name.replace(', ', '_')}-{seed}"
        settings = {f"pretrain.{key}": value for key, value in SETTINGS[name].items()}
        run = kerassl.pretrain(
            learned, out=folder, backbone="MobileNet", seed=seed, settings=settings, resume=folder.is_dir()
        )
        found = run.results["pretrain"]
        content |= {key: found[key] for key in ("steps", "loss", "chance", "learned", "minutes")}
        content["contrast_in_training"] = found["contrast_accuracy"]
        content["alarms"] = [alarm["kind"] for alarm in found["alarms"]]
        backbone = kerassl.backbones.load(run.model)
    begun = time.perf_counter()
    figures = {"contrast_accuracy": contrast(backbone, held_out), "knn_top1": neighbors(backbone, options.probe)}
    before = backbone.get_weights()
    reestimate(backbone, learned, VIEWS)
    figures["contrast_re_estimated"] = contrast(backbone, held_out)
    figures["knn_re_estimated"] = neighbors(backbone, options.probe)
    backbone.set_weights(before)
    if SETTINGS[name] is not None:  # boxes of a random start are worse with statistics of its own: its features fade
        reestimate(backbone, learned, BOXES)
    found, ious = boxes(backbone, options, seed)
    content["figures"] = {key: round(value, 4) for key, value in (figures | found).items()}
    content["iou_permille"] = " ".join(str(int(1000 * value)) for value in ious)
    content["scoring_minutes"] = round((time.perf_counter() - begun) / 60, 2)
    content["commit"] = machine.about()["commit"]
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2) + "\n"
    result(options.part, name, seed).write_text(text, encoding="utf-8")
    print(name, seed, {key: value for key, value in content.items() if key != "iou_permille"}, flush=True)


def reestimate(backbone, files, size):
    batches = (images for _, images, _, _ in letterboxed_batches(files, size, 32))
    kerassl.backbones.reestimate_batch_norm(backbone, batches)


def contrast(backbone, files):
    """Return how often, of 127 strong views, the other one of an image has the most similar pooled features."""
    views = kerassl.augment.SimCLRViews(VIEWS)
    loss = kerassl.losses.InfoNCE(dtype="float64")
    found = []
    for step, images in enumerate(kerassl.datasets.image_folder(files, 128, 64, shuffle=False)):
        drawn = views(images, tf.constant([0, step]))
        first, second = (unit(embed(backbone, each)) for each in (drawn.first, drawn.second))
        found.append(float(loss.contrast(first, second).accuracy))
    return statistics.mean(found)


def neighbors(backbone, folder):
    probe = KNNProbe(folder / "train", folder / "test", image_size=VIEWS)
    return probe.measure(lambda images: embed(backbone, images))["knn_top1"]


def unit(features):
    """Return features of length 1: `InfoNCE` leaves those as they are that are as short as an untrained network's."""
    features = tf.cast(features, tf.float64)
    return features / tf.norm(features, axis=1, keepdims=True)


def embed(backbone, images):
    return tf.cast(tf.reduce_mean(backbone(images, training=False), [1, 2]), tf.float32)


def boxes(backbone, options, seed):
    """Return the figures of a localizer on frozen features that 300 labels teach, and the IoU of each image."""
    labeled = kerassl.datasets.DetectionDataset.from_voc(options.voc, 2007, "train")
    train = labeled.subset(LABELS, seed=seed)
    val = kerassl.datasets.DetectionDataset.from_voc(options.voc, 2007, "val")
    chosen = {record.image_id for record in val.subset(200, seed=0)}
    if options.part == "confirm":
        shown = [record for record in val if record.image_id not in chosen]
    else:
        taught = {record.image_id for record in train}
        shown = [record for record in val if record.image_id in chosen]
        shown += [record for record in labeled if record.image_id not in taught][:400]
    features = kerassl.detectors.FrozenFeatures(backbone, train, BOXES)
    test = kerassl.detectors.FrozenFeatures(backbone, shown, BOXES, flip=False)
    localizer = kerassl.detectors.fit_frozen(features, kerassl.datasets.VOC_CLASSES, seed=seed)
    predictions = kerassl.detectors.predict(localizer, test, verbose=0)
    found, each = kerassl.metrics.evaluate_localization(predictions, test.records, kerassl.datasets.VOC_CLASSES)
    return {key: getattr(found, key) for key in BOXES_FIGURES}, each.iou


def table(part):
    """Print figures in %, and of boxes the difference from the untrained network of the same seeds."""
    heads = ["setting", "seeds", *FIGURES, "mean IoU − untrained", "LocAcc@0.5 −", "LocAcc@0.7 −"]
    print(f"\n{part}\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name in dict.fromkeys(name for name, _ in TRIALS[part]):
        seeds = [
            seed
            for trial, seed in TRIALS[part]
            if trial == name and all(result(part, each, seed).is_file() for each in (name, "untrained"))
        ]
        if not seeds:
            continue
        done = [json.loads(result(part, name, seed).read_text()) for seed in seeds]
        base = [json.loads(result(part, "untrained", seed).read_text()) for seed in seeds]
        cells = [name, ", ".join(map(str, seeds))]
        cells += [f"{100 * statistics.mean(each['figures'][key] for each in done):.1f}" for key in FIGURES]
        if name != "untrained":
            scores = box_scores(done) - box_scores(base)
            drawn = image_counts(scores.shape[2], 2000, 0), seed_counts(len(seeds), 2000, 0)
            for value, low, high in np.transpose(pigeonhole_interval(scores, *drawn, 0.95)):
                cells.append(f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})")
        print("| " + " | ".join(cells).replace("-", "−") + " |")


def box_scores(trials):
    """Return IoU and whether it is 0.5 and 0.7, `[3, seeds, images]`."""
    ious = np.array([[int(value) / 1000 for value in trial["iou_permille"].split()] for trial in trials])
    return np.stack([ious, ious >= 0.5, ious >= 0.7])


if __name__ == "__main__":
    main()
