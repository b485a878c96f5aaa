"""Which recipe trains the best detector on 300 labeled images? One factor at a time, on images chosen for that.

    python -m studies.recipe --data DATA --out FOLDER                     # all trials, the most promising ones first
    python -m studies.recipe --data DATA --out FOLDER --only base width   # trials of some names
    python -m studies.recipe --data DATA --out FOLDER --table             # differences from the base, with intervals

`DATA` holds VOCdevkit/VOC2007 and mobilenet_v1_1.0_imagenet_minus_pw13.npz: MobileNet, cut after the layer that the
file ends with. Each trial is a run of `kerassl.finetune` in a folder of `FOLDER`; one that was stopped continues from
its checkpoint. What is done is a file of `studies/results/recipe` and is not done again.

A trial learns from 300 images of VOC 2007 train by its seed; the weights after its last step are scored on the other
images of train, and on the 200 images of val that settings are chosen on (`DetectionDataset.subset(200, seed=0)`). The
other images of val are never read.
"""

import argparse
import json
import pathlib
import statistics

import numpy as np
import yaml

import kerassl
from benchmarks import machine
from kerassl.metrics import coco_ap_of_images, evaluate_detections, evaluate_localization, load_predictions
from kerassl.types import METRIC_NAMES

RESULTS = pathlib.Path(__file__).with_name("results") / "recipe"
LABELS = 300
METRICS = ("coco_ap", "coco_ap50", "coco_ap75", "voc07_ap50", "mean_iou", "loc_acc_50", "loc_acc_70", "top1")
BASE = {
    "kind": "yolov8",
    "num_filters": 64,
    "image_size": 160,
    "batch_size": 16,
    "epochs": 32,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "lr_multipliers": {"backbone": 0.1},
    "warmup": 0.05,
    "augmentation": {},
    "batch_norm": "trained",
    "ema": 0.99,
}
"""The section `detector`."""
CHANGES = {
    "base": {},
    "rate 0.002": {"learning_rate": 2e-3},
    "rate 0.004": {"learning_rate": 4e-3},
    "rate 0.0005": {"learning_rate": 5e-4},
    "backbone 0.3": {"lr_multipliers": {"backbone": 0.3}},
    "backbone 1": {"lr_multipliers": {}},
    "mosaic": {"augmentation": {"mosaic": 0.5}},
    "scale": {"augmentation": {"zoom_range": [0.3, 2.0], "scale": [0.15, 1.0]}},
    "width 96": {"num_filters": 96},
    "width 128": {"num_filters": 128},
    "batch 8": {"batch_size": 8},
    "batch norm frozen": {"batch_norm": "frozen"},
    "no average": {"ema": None},
    "length 24,000": {"epochs": 80, "ema": 0.998},
    "224 px": {"image_size": 224},
    "RetinaNet": {"kind": "retinanet", "num_filters": None},
    "RetinaNet, rate 0.0005": {"kind": "retinanet", "num_filters": None, "learning_rate": 5e-4},
}
"""The changes of each trial in the section `detector` of the base."""
TRIALS = [
    *(("base", 100), ("rate 0.002", 100), ("backbone 0.3", 100), ("base", 101), ("rate 0.002", 101)),
    *(("mosaic", 100), ("width 128", 100), ("length 24,000", 100), ("no average", 100), ("224 px", 100)),
    *(("rate 0.004", 100), ("scale", 100), ("batch norm frozen", 100), ("batch 8", 100), ("backbone 1", 100)),
    *(("rate 0.0005", 100), ("width 96", 100), ("RetinaNet", 100), ("RetinaNet, rate 0.0005", 100)),
]
"""Name and seed of each trial, in the order in which they are done."""


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m studies.recipe", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=pathlib.Path, help="the folder of images and weights")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the folder of the trials' runs")
    parser.add_argument("--only", nargs="+", choices=CHANGES, help="names of trials; all if left out")
    parser.add_argument("--table", action="store_true", help="only compare what is done")
    options = parser.parse_args(arguments)
    trials = [(name, seed) for name, seed in TRIALS if name in (options.only or CHANGES)]
    if options.table:
        table(options, [trial for trial in trials if result(*trial).is_file()])
        return
    for name, seed in trials:
        if not result(name, seed).is_file():
            do(options, name, seed)


def result(name, seed):
    """Return the file of a trial that is done."""
    return RESULTS / f"{slug(name)}-{seed}.json"


def slug(name):
    return name.replace(" ", "_").replace(",", "")


def images(data, seed):
    """Return the images to choose by: those of train that the seed leaves, and 200 of val."""
    labeled = kerassl.datasets.DetectionDataset.from_voc(data / "VOCdevkit", 2007, "train")
    learned = {record.image_id for record in labeled.subset(LABELS, seed=seed)}
    others = [record for record in labeled if record.image_id not in learned]
    val = kerassl.datasets.DetectionDataset.from_voc(data / "VOCdevkit", 2007, "val").subset(200, seed=0)
    return labeled.with_records([*val, *others]), len(val)


def do(options, name, seed):
    """Train and score a detector, and record it."""
    shown, chosen = images(options.data, seed)
    labels = options.out / f"images-{seed}"
    if not labels.exists():
        kerassl.datasets.write_coco(shown, labels, progress=False)
    section, folder = {**BASE, **CHANGES[name]}, options.out / f"{slug(name)}-{seed}"
    config = {
        "backbone": "MobileNet",
        "cut_at": "conv_pw_12_relu",
        "weights": f"{options.data / 'mobilenet_v1_1.0_imagenet_minus_pw13.npz'}",
        "data": {
            "train": {"path": f"{options.data / 'VOCdevkit' / 'VOC2007'}", "split": "train"},
            "test": f"{labels / 'annotations.json'}",
            "count": LABELS,
        },
        "detector": section,
        "seed": seed,
    }
    file = options.out / f"{folder.name}.yaml"
    file.write_text(yaml.safe_dump(config))
    run = kerassl.finetune(out=folder, config=file, resume=(folder / "config.yaml").is_file())
    figures = run.results["variants"][next(iter(run.results["variants"]))]["detector"]
    found = predictions(folder, labels)
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    parts = {"val": shown[:chosen], "train": shown[chosen:], "all": shown}
    content = {
        "trial": name,
        "seed": seed,
        "settings": section,
        "images_seen": LABELS * section["epochs"],
        "minutes": round(figures["minutes"], 2),
        "images_per_second": statistics.median(line["images_per_second"] for line in epochs if "loss" in line),
        "metrics": {part: scores(found, records, shown.class_names) for part, records in parts.items()},
        "images": {part: len(records) for part, records in parts.items()},
        "commit": machine.about()["commit"],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    result(name, seed).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(name, seed, content["minutes"], content["metrics"]["all"], flush=True)


def predictions(folder, labels):
    """Return what a run found, by the names of the files without their endings."""
    names = {
        record.image_id: pathlib.Path(record.path).stem
        for record in kerassl.datasets.DetectionDataset.open(labels / "annotations.json")
    }
    return {names[key]: each for key, each in load_predictions(folder / "detector_predictions.json").items()}


def scores(found, records, classes):
    own = {record.image_id: found[record.image_id] for record in records}
    figures = evaluate_detections(own, records, classes).to_dict()
    figures |= evaluate_localization(own, records, classes)[0].to_dict()
    return {key: round(figures[key], 5) for key in METRICS}


def table(options, trials):
    """Compare trials with the base of the same seeds, over the images that these scored."""
    heads = ["trial", "images seen", "seeds", *(METRIC_NAMES[key].name for key in METRICS)]
    heads += ["AP COCO − base's", "AP75 −"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name in dict.fromkeys(name for name, _ in trials):
        own = [seed for trial, seed in trials if trial == name and result("base", seed).is_file()]
        done = [json.loads(result(name, seed).read_text()) for seed in own]
        cells = [name, f"{done[0]['images_seen']:,}", ", ".join(map(str, own))]
        cells += [f"{100 * statistics.mean(each['metrics']['all'][key] for each in done):.1f}" for key in METRICS]
        models = {each: mean_over_seeds(options, each, own) for each in dict.fromkeys(["base", name])}
        compared = kerassl.statistics.paired_bootstrap({key: each[0] for key, each in models.items()}, models[name][1])
        for key in ("coco_ap", "coco_ap75"):
            row = compared.differences[name][key] if name != "base" else ()
            cells.append("{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * each for each in row)) if row else "")
        print("| " + " | ".join(cells).replace("-", "−") + " |", flush=True)


def mean_over_seeds(options, name, seeds):
    """Return average precision, the mean over seeds, as a function of images, and how many images there are.

    An image that is drawn counts in each seed that scored it.
    """
    places, models = {}, []
    for seed in seeds:
        records, _ = images(options.data, seed)
        found = predictions(options.out / f"{slug(name)}-{seed}", options.out / f"images-{seed}")
        rows = [places.setdefault(record.image_id, len(places)) for record in records]
        own = {record.image_id: found[record.image_id] for record in records}
        models.append((rows, coco_ap_of_images(own, records, records.class_names)))

    def figures(drawn):
        each = []
        counts = np.bincount(drawn, minlength=len(places))
        for rows, figures_of in models:
            each.append(figures_of(np.repeat(np.arange(len(rows)), counts[rows])))
        return {key: statistics.mean(one[key] for one in each) for key in each[0]}

    return figures, len(places)


if __name__ == "__main__":
    main()
