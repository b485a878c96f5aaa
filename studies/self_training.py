"""Does a detector gain from images that its teacher labels, beyond what as many images with labels give it?

    python -m studies.self_training screens --data DATA --out FOLDER      # what limits the gain, by true labels
    python -m studies.self_training choose --data DATA --out FOLDER       # the recipe, one factor at a time
    python -m studies.self_training noise --data DATA --out FOLDER        # images without an object to label
    python -m studies.self_training test --score-test-images --data DATA --out FOLDER
    python -m studies.self_training table --data DATA --out FOLDER        # differences with intervals, of what is done
    python -m studies.self_training labels --data DATA --out FOLDER       # how good the labels of choose are
    … --minutes 55, and again, does it in parts (exit status 3 while something is left)

`DATA` holds VOCdevkit/VOC2007, voc_unlabelled/, unlabelled/ and mobilenet_v1_1.0_imagenet_minus_pw13.npz. A run is a
comparison, `kerassl compare`, of one number of labels and one seed in a folder of `FOLDER`. What is done is a file of
`studies/results/self_training` for each variant. All but `test` score the 200 images of val that settings are chosen
on, and have seeds from 100 on. `test` scores the other 800, by the committed recipe in `studies/self_training.yaml`.
"""

import argparse
import collections
import dataclasses
import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import yaml
from PIL import Image

import kerassl
from benchmarks import machine
from kerassl._io.state import write_json
from kerassl.boxes import box_iou
from kerassl.comparison import trials
from kerassl.comparison.summary import summarize
from kerassl.config import read_config
from kerassl.config.config import slug
from kerassl.config.sources import sources
from kerassl.datasets import DetectionDataset, LabelWeights, Record, write_coco
from kerassl.metrics import CocoMatches
from kerassl.report.comparison import comparison_text
from kerassl.runs.plan.comparison import plan_comparison
from kerassl.runs.plan.stages import Mixed
from kerassl.runs.running import OutOfTimeError, TimeLimit

HOME = pathlib.Path(__file__).parent
RESULTS, RECIPE = HOME / "results" / "self_training", HOME / "self_training.yaml"
FACTORS = {
    "self-trained": {},
    "threshold 0.3": {"threshold": 0.3},
    "from the teacher": {"student_start": "teacher"},
    "teacher 320 px": {"teacher": {"image_size": 320}},
    "weights by score": {"weight_by_score": True},
    "two rounds": {"rounds": 2},
    "background 0.5": {"background": 0.5, "keep_empty": True, "empty_background": 0.05},
    "two teachers": {"teacher": {"merged": 2}},
    "mirrored": {"mirror": True, "least_agreement": 0.8},
    "like the labels": {"keep_foreign": False},
}
"""The changes of each variant in the section `self_train` of the recipe, one factor at a time."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A comparison of variants at one number of labels and one seed.

    Attributes:
        part: str, the part of the study that it belongs to.
        pool: str, the images without labels: `"own"` and the rest of train, `"train"` alone, `"foreign"` or `"noise"`.
        labels, seed: int.
        variants: dict from name to the changes in `self_train`.
    """

    part: str
    pool: str
    labels: int
    seed: int
    variants: dict

    @property
    def name(self):
        return f"{self.part}-{self.pool}-{self.labels}-{self.seed}"


def runs(part, labels, seeds):
    """Return the runs of a part, in the order in which they are done; labels and seeds that are given win."""
    plain, filtered = {"self-trained": {}}, {"self-trained": {}, "like the labels": {"keep_foreign": False}}
    if part == "screens":
        grid = [("train", 300, 100, plain)]
    elif part == "choose":
        grid = [("own", 300, seed, FACTORS) for seed in (100, 101)]
    elif part == "noise":
        grid = [("noise", 300, seed, filtered) for seed in (100, 101, 102)]
    else:
        grid = [("own", count, seed, plain) for seed in range(3) for count in (300, 100, 1000)]
        grid += [("own", 300, seed, plain) for seed in (3, 4)]
        grid += [("foreign", 300, seed, filtered) for seed in range(3)]
    found = [
        Run(part, pool, labels or count, other, variants)
        for pool, count, seed, variants in grid
        for other in (seeds or [seed])
    ]
    return list({run.name: run for run in found}.values())


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m studies.self_training", description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("screens", "choose", "noise", "test", "table", "labels"))
    parser.add_argument("--data", required=True, type=pathlib.Path, help="the folder of images and weights")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the folder of the runs")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes")
    parser.add_argument("--score-test-images", action="store_true", help="test needs it: once, by a committed recipe")
    parser.add_argument("--labels", type=int, help="another number of labels")
    parser.add_argument("--seeds", type=int, nargs="+", help="other seeds")
    parser.add_argument("--pools", nargs="+", choices=("own", "foreign"), help="of test: these pools alone")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="the variants of these names alone, and the controls")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings over the recipe, to try this"
    )
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="the folder of the results")
    options = parser.parse_args(arguments)
    if options.part in ("table", "labels"):
        (table if options.part == "table" else labels)(options)
        return 0
    if options.part == "test":
        if not options.score_test_images:
            parser.error("the test images are scored once, when the recipe stands; give --score-test-images")
        if options.set or git("status", "--porcelain", "--", RECIPE):
            parser.error(f"{RECIPE.name} is not committed as it is used; commit it, and leave --set out")
    limit, options.begun = TimeLimit(options.minutes), time.monotonic()
    try:
        for run in runs(options.part, options.labels, options.seeds):
            if options.part != "test" or run.pool in (options.pools or [run.pool]):
                do(run, options, limit)
    except OutOfTimeError:
        print("something is left; the same command again continues", flush=True)
        return 3
    return 0


def git(*command):
    """Return what git says, in this repository."""
    return subprocess.run(["git", "-C", HOME, *command], capture_output=True, text=True, check=True).stdout.strip()


def do(run, options, limit):
    """Do what is left of a run, and record each variant that is done."""
    folder = options.out / run.name
    config = folder.with_suffix(".yaml")
    options.out.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(settings(run, options), sort_keys=False))
    resume = (folder / "config.yaml").is_file()
    try:
        limit.check()
        minutes = options.minutes and options.minutes - (time.monotonic() - options.begun) / 60
        try:
            kerassl.run_comparison(config=config, out=folder, resume=resume, minutes=minutes)
        except kerassl.UserError as error:
            if run.pool != "noise" or "finds nothing" not in str(error):
                raise
            print(f"{run.name}: {error}", flush=True)  # there is nothing to train on, and so nothing to lose
        if run.part == "screens":
            for name, change in SCREENS.items():
                screen(name, change, folder, limit)
    finally:
        if (folder / "config.yaml").is_file():
            record(run, folder, options)


def settings(run, options):
    """Return the configuration of a run."""
    data = options.data.resolve()
    voc = {"path": str(data / "VOCdevkit" / "VOC2007")}
    pools = {"own": data / "voc_unlabelled/", "foreign": data / "unlabelled/", "noise": options.out / "noise"}
    if run.pool == "noise":
        make_noise(pools["noise"])
    variants = {name: {"self_train": change} for name, change in run.variants.items()}
    if options.only:
        variants = {name: own for name, own in variants.items() if name in ("self-trained", *options.only)}
    found = {
        **yaml.safe_load(RECIPE.read_text(encoding="utf-8")),
        "backbone": "MobileNet",
        "cut_at": "conv_pw_12_relu",
        "weights": str(data / "mobilenet_v1_1.0_imagenet_minus_pw13.npz"),
        "seed": run.seed,
        "data": {
            "train": {**voc, "split": "train"},
            "test": {**voc, "split": "val"},
            "unlabeled": [str(pools[run.pool].resolve())] if run.pool in pools else [],
            "use_training_images": run.pool in ("own", "train"),
        },
        "variants": {"supervised": {}, **variants, "control": {"control_of": "self-trained"}},
        "compare": {
            "labels": [run.labels],
            "baseline": "control",
            "tuning_images": 200,
            "split": "report" if run.part == "test" else "tuning",
        },
    }
    for text in options.set:
        key, value = text.split("=", 1)
        section, name = key.split(".")
        found[section][name] = yaml.safe_load(value)
    return found


def make_noise(folder, count=1000, size=200):
    """Draw images without an object: noise of several scales, and gradients."""
    if folder.exists():
        return
    part, draw = folder.with_name("noise.part"), np.random.default_rng(0)
    part.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        side = int(draw.choice([2, 4, 16, 64, size]))
        coarse = Image.fromarray(draw.integers(0, 256, (side, side, 3), np.uint8))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(part / f"{number:04d}.jpg", quality=90)
    part.rename(folder)


def record(run, folder, options):
    """Write a file for each variant of a run that is done and not recorded."""
    plan = plan_comparison(read_config(folder / "config.yaml", expand=False), folder)
    names = [stage.variant for stage in plan.trials] + [*SCREENS]
    for name in names:
        own = folder / "trials" / slug(name) / f"detector-{run.labels}-{run.seed}.json"
        target = options.results / f"{run.name}-{slug(name)}.json"
        if target.is_file() or not own.is_file():
            continue
        trial = json.loads(own.read_text(encoding="utf-8"))
        recipe = plan.config.detector.model_dump(mode="json")
        content = {
            "variant": name,
            **dataclasses.asdict(run),
            "settings": {"detector": recipe, "self_train": _self_training(plan.config.self_train, name, run)},
            "images_seen": trial.get("images_seen", trial["images"] * plan.config.detector.epochs),
            "minutes": round(trial["minutes"], 2),
            "figures": {key: round(value, 5) for key, value in trial["figures"].items()},
            "recipe_commit": git("log", "-1", "--format=%h", "--", RECIPE),
            "commit": machine.about()["commit"],
        }
        content.pop("variants")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(target.stem, content["figures"]["coco_ap"], flush=True)


def _self_training(section, name, run):
    """The settings of self-training of a variant; none of one that learns from labels alone."""
    if name not in run.variants and name not in SCREENS:
        return {}
    own = {} if section is None else section.model_dump(mode="json", exclude_unset=True)
    return {**own, **run.variants.get(name, {})}


def screen(name, change, folder, limit):
    """Train a student on the pool with labels that are changed by the true ones."""
    config = read_config(folder / "config.yaml", expand=False)
    plan, data = plan_comparison(config, folder), sources(config, folder)
    student = next(stage for stage in plan.of(Mixed) if stage.variant == "self-trained")
    test = data.test.subset(config.compare.tuning_images, seed=0)
    labeled = data.train.subset(student.labels, seed=student.labels_seed)
    home = folder / "trials" / slug(name)
    labels = dataclasses.replace(student.labeling, folder=home / "labels")
    stage = dataclasses.replace(
        student, variant=name, labeling=labels, folder=folder / "variants" / slug(name), stage=f"detector:{name}",
        record=home / student.record.name,
    )  # fmt: skip
    if stage.done():
        return
    limit.check()
    if labels.kept() is None:
        truth = {pathlib.Path(record.path).stem: record for record in data.train}
        found = DetectionDataset.open(student.labeling.folder, class_names=data.train.class_names)
        changed = [change(record, truth[pathlib.Path(record.path).stem]) for record in found]
        write_coco(found.with_records(changed), labels.folder, progress=False)
        write_json(labels.folder / "settings.json", {"result": student.labeling.kept()})
    trials.finetune(stage, dataclasses.replace(data, train=labeled, test=test), limit)


def with_boxes(record, *rows):
    """Return a record with other boxes: rows of box, class, and whether the region is ignored."""
    boxes, classes, ignore = zip(*rows) if rows else ((), (), ())
    count = len(rows)
    weights = LabelWeights(np.ones(count), np.ones(count), np.array(ignore, bool).reshape(-1), 1.0)
    return Record(
        record.image_id, record.path, record.height, record.width, np.reshape(boxes, [-1, 4]).astype(np.float32),
        np.array(classes, np.int32).reshape(-1), np.zeros(count, bool), weights=weights,
    )  # fmt: skip


def matched(record, truth, named=True):
    """Pair the boxes of a teacher with the true objects that they overlap by half, each once, the first ones first.

    Returns:
        Dict from the row of a box to the row of an object; with `named`, of the same class alone.
    """
    overlap = box_iou(record.boxes, truth.boxes) if len(record.boxes) and len(truth.boxes) else np.zeros([0, 0])
    found = {}
    for row, overlaps in enumerate(overlap):
        alike = (truth.classes == record.classes[row]) | (not named)
        free = [each for each in np.argsort(-overlaps) if alike[each] and each not in found.values()]
        if free and overlaps[free[0]] >= 0.5:
            found[row] = int(free[0])
    return found


def ceiling(record, truth):
    """Return the true labels."""
    return with_boxes(record, *((box, kind, bad) for box, kind, bad in zip(truth.boxes, truth.classes, truth.ignored)))


def correct(record, truth, rest=False):
    """Return the right boxes of the teacher; with `rest`, what it missed is ignored, and else background."""
    pairs = matched(record, truth)
    rows = [(record.boxes[row], record.classes[row], False) for row in pairs]
    missed = [row for row in range(len(truth.boxes)) if row not in pairs.values()]
    return with_boxes(record, *rows, *((truth.boxes[row], truth.classes[row], True) for row in missed if rest))


def true_names(record, truth):
    """Return the boxes of the teacher, with the true class of those that are on an object."""
    pairs = matched(record, truth, named=False)
    kinds = [truth.classes[pairs[row]] if row in pairs else kind for row, kind in enumerate(record.classes)]
    return with_boxes(record, *zip(record.boxes, kinds, record.ignored))


def quality(found, truth):
    """Count the labels of a teacher, and the objects that they are on.

    Args:
        found, truth: sequences of records of the same images.

    Returns:
        Dict of str to int: `images`, `objects` (without difficult ones), `labels`, `right` (on an object of their
        class, each object once), `right_but_class` (on an object of another class), `found` (objects),
        `ignored_regions`, and `found_or_ignored` (objects that a label or an ignored region of their class is on).
    """
    counts = collections.Counter(images=len(found))
    for record, true in zip(found, truth, strict=True):
        ignored = record.ignored | (False if record.weights is None else record.weights.ignore)
        labels = with_boxes(record, *((*row, False) for row in zip(record.boxes[~ignored], record.classes[~ignored])))
        own, on_any = matched(labels, true), matched(labels, true, named=False)
        counted = set(np.flatnonzero(~true.ignored).tolist())
        counts.update(
            objects=len(counted), labels=len(labels.boxes), right=len(own), found=len(counted & {*own.values()}),
            right_but_class=max(len(on_any) - len(own), 0), ignored_regions=int(ignored.sum()),
            found_or_ignored=len(counted & {*matched(record, true).values()}),
        )  # fmt: skip
    return dict(counts)


def labels(options):
    """Count, and keep, how good the labels of teachers are on the images of train, whose true labels are known."""
    train = DetectionDataset.from_voc(options.data / "VOCdevkit", 2007, "train")
    truth = {pathlib.Path(record.path).stem: record for record in train}
    for run in runs("choose", None, options.seeds):
        content = {}
        for name in run.variants:
            folder = (
                options.out / run.name / "self_training" / slug(name) / f"detector-{run.labels}-{run.seed}" / "labels"
            )
            if (folder / "annotations.json").is_file():
                found = DetectionDataset.open(folder / "annotations.json", class_names=train.class_names)
                known = [record for record in found if pathlib.Path(record.path).stem in truth]
                content[name] = quality(known, [truth[pathlib.Path(record.path).stem] for record in known])
                print(run.name, name, content[name], flush=True)
        if content:
            target = options.results / f"labels-{run.name}.json"
            target.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


SCREENS = {
    "true labels": ceiling,
    "right boxes, rest ignored": lambda record, truth: correct(record, truth, rest=True),
    "right boxes, rest background": correct,
    "true names": true_names,
}
"""How each screen changes what the teacher labeled, by the true labels."""


def table(options):
    """Print and keep means, and differences from the control with intervals over images and seeds, of what is done."""
    found = collections.defaultdict(list)
    for path in sorted(options.results.glob("*.json")):
        one = json.loads(path.read_text(encoding="utf-8"))
        if "variant" not in one:
            continue
        name = f"{one['part']}-{one['pool']}-{one['labels']}-{one['seed']}"
        file = options.out / name / "trials" / slug(one["variant"]) / f"detector-{one['labels']}-{one['seed']}.json"
        if file.with_suffix(".npz").is_file():
            trial = json.loads(file.read_text(encoding="utf-8"))
            matches = CocoMatches.load(file.with_suffix(".npz"))
            found[one["part"], one["pool"]].append({**trial, "variant": one["variant"], "matches": matches})
    for (part, pool), own in found.items():
        names = {trial["variant"] for trial in own}
        if {"control", "self-trained"} <= names:
            pairs = [(name, "self-trained") for name in FACTORS if name in names - {"self-trained"}]
            summary = summarize(own, baseline="control", pairs=pairs)
            target = options.results / f"summary-{part}-{pool}.json"
            target.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
            print(part, pool, comparison_text(summary), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
