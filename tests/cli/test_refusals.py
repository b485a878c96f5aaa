"""Command lines that are refused: in one line, with status 2, before TensorFlow is loaded, and nothing is created."""

import json
import os
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from kerassl.datasets import SCENE_CLASSES, write_scenes

pytestmark = pytest.mark.current_stack

PHOTOS, MODEL = ["--images", "photos"], ["--model", "model.keras"]
PRETRAIN = ["pretrain", *PHOTOS, "--image-size", "32", "--batch-size", "2", "--out", "new"]
FINETUNE = ["finetune", "--data", "voc", "--out", "new"]
SELF_TRAIN = ["self-train", "--data", "voc", "--images", "photos", "--out", "new"]
DISTILL = ["distill", *PHOTOS, "--image-size", "32", "--batch-size", "2", "--out", "new"]
PREDICT = ["predict", *MODEL, *PHOTOS, "--out", "new"]
EVALUATE = ["evaluate", *MODEL, "--data", "voc"]
EXPLAIN = ["explain", "--models", "a=model.keras", *PHOTOS, "--out", "new.png"]
AUDIT = ["audit", *MODEL, "--data", "voc", "--out", "new"]
FEATURES = ["features", "--models", "a=model.keras", *PHOTOS, "--out", "new.html"]
EXPORT = ["export", *MODEL, "--out", "new"]
SCENES = ["scenes", "--out", "new", "--train", "1", "--val", "1"]
SHARDS = ["shards", *PHOTOS, "--out", "new"]
VIEWS = ["views", "photos", "--out", "new.png"]
EMBED = ["embed", "--backbone", "model.keras", *PHOTOS, "--out", "new.npz"]
COMPARE = ["compare", "--config", "compare.yaml", "--out", "new"]
WHOLE, COUNT = "give a whole number from 0 to 4294967295", "give a whole number from 1 up"
SHARE, ABOVE_0 = "give a number from 0 to 1", "give a number above 0"

# Flags that take numbers: what is refused of each, and the advice.
NUMBERS = [
    *((command, "--seed", value, WHOLE) for command in (PRETRAIN, FINETUNE, AUDIT, FEATURES, SCENES, VIEWS, EXPLAIN,
                                                        COMPARE)
      for value in ("-1", "4294967296", f"1{'0' * 20}", "1.5", "nan")),
    *((command, "--count", value, COUNT) for command in (FINETUNE, AUDIT, FEATURES, VIEWS, EXPLAIN)
      for value in ("-1", "0", "nan", "2.5", f"1{'0' * 30}")),
    *((PREDICT, "--score", value, SHARE) for value in ("nan", "inf", "-0.1", "1.01")),
    *((EVALUATE, "--score", value, "give a finite number") for value in ("nan", "inf", "x")),
    *((command, flag, value, COUNT) for command, flag in (
        (PRETRAIN, "--batch-size"), (PRETRAIN, "--epochs"), (FINETUNE, "--batch-size"), (FINETUNE, "--epochs"),
        (EXPORT, "--batch-sizes"), (SCENES, "--train"), (SCENES, "--val"), (SHARDS, "--image-size"),
        (SHARDS, "--per-shard"), (SHARDS, "--workers")) for value in ("0", "-3", "x", f"1{'0' * 30}")),
    *((command, "--image-size", value, "multiple of 32") for command in (PRETRAIN, FINETUNE, VIEWS, FEATURES, EMBED,
                                                                         EXPLAIN)
      for value in ("100", "16", "9000")),
    *((PRETRAIN, "--temperature", value, ABOVE_0) for value in ("0", "nan", "inf", "-1")),
    *((COMPARE, "--minutes", value, ABOVE_0) for value in ("0", "nan", "inf", "-1")),
    *((FINETUNE, "--fraction", value, "above 0 and at most 1") for value in ("0", "nan", "1.5")),
    *((FINETUNE, flag, value, "at most 0.9") for flag in ("--val-split", "--test-split") for value in ("0", "1")),
    *((SHARDS, "--quality", value, "from 1 to 100") for value in ("0", "101")),
    (EXPLAIN, "--insertion", "-1", "from 0 up"),
    (AUDIT, "--drawn", "-1", "from 0 up"),
    (SCENES, "--unlabeled", "-1", "from 0 up"),
    (["check", "photos"], "--seconds", "nan", "from 0 up"),
]  # fmt: skip

# Outputs that cannot be written: the command without its --out, and what the output is.
OUTPUTS = [
    (PRETRAIN, "folder"), (FINETUNE, "folder"), (COMPARE, "folder"), (PREDICT, "folder"), (AUDIT, "folder"),
    (EXPORT, "folder"), (SCENES, "folder"), (SHARDS, "folder"), (EXPLAIN, ".png"), (FEATURES, ".html"),
    (VIEWS, ".png"), (EMBED, ".npz"), ([*EVALUATE, "--out", "new"], ".json"), ([*EVALUATE, "--plots", "new"], "folder"),
    (["inspect", "photos", "--out", "new"], ".png"),
]  # fmt: skip

# The refusal of ImageNet weights that cannot be downloaded.
OFFLINE = (
    "weights of EfficientNetB1 are not in keras/models/efficientnetb1_notop.h5",
    "https://storage.googleapis.com/keras-applications/efficientnetb1_notop.h5 cannot be downloaded",
    "give --weights random or --weights FILE",
)

# Everything else: arguments, and what the line has to contain.
OTHERS = [
    (["pretrain", "--out", "new"], "no images", "--images"),
    (["pretrain", "--images", "nowhere", "--out", "new"], "nowhere", "give a folder"),
    (["pretrain", "--images", "empty", "--out", "new"], "empty holds no images", ".jpg"),
    ([*PRETRAIN, "--batch-size", "64"], "3 images", "64", "(--batch-size) of at most 3"),
    ([*PRETRAIN, "--batch-size", "1"], "(--batch-size) is 1", "2 or more"),
    ([*PRETRAIN, "--backbone", "VGG"], "'VGG'", "EfficientNetB1"),
    ([*PRETRAIN, "--resume"], "new", "no run"),
    ([*PRETRAIN, "--resume", "--replace"], "--replace", "--resume"),
    ([*PRETRAIN, "--config", "none.yaml"], "none.yaml", "kerassl config"),
    ([*PRETRAIN, "--config", "typo.yaml"], "'pretrain.epoch'", "'epochs'"),
    ([*PRETRAIN, "--config", "text.yaml"], "text.yaml", "sections"),
    (["finetune", "--out", "new"], "no labeled images", "--data"),
    (["finetune", "--data", "nowhere", "--out", "new"], "nowhere", "COCO json"),
    ([*FINETUNE, "--split", "test"], "test"),
    ([*FINETUNE, "--val", "voc", "--val-split", "0.1"], "--val-split", "--val"),
    ([*FINETUNE, "--test-split", "0.2", "--group-by", "x{9}"], "'x{9}'", "train_000000"),
    ([*FINETUNE, "--test-split", "0.2", "--group-by", "^zzz"], "--group-by '^zzz' matches no"),
    ([*FINETUNE, "--group-by", "("], "--group-by is '('", "no regular expression"),
    (["finetune", "--data", "nowhere", "--weights", "random", "--out", "new", "--plan"], "nowhere", "COCO json"),
    (["pretrain", "--images", "nowhere", "--out", "new", "--plan"], "nowhere", "give a folder"),
    ([*COMPARE, "--data", "nowhere", "--plan"], "nowhere", "COCO json"),
    (["self-train", "--data", "voc", "--out", "new"], "no images without labels", "--images"),
    ([*SELF_TRAIN, "--weights", "random", "--images", "nowhere"], "nowhere", "give a folder"),
    ([*SELF_TRAIN, "--weights", "random", "--images", "empty"], "empty holds no images", ".jpg"),
    ([*SELF_TRAIN, "--weights", "random", "--images", "voc/VOC2007/JPEGImages"], "all of 5 images", "--images"),
    (["compare", "--config", "labeled.yaml", "--out", "new"], "all of 5 images are labeled", "data.unlabeled"),
    (["compare", "--config", "gone.yaml", "--out", "new"], "nowhere", "give a folder"),
    ([*SELF_TRAIN, "--run", "photos"], "--run is photos", "kerassl finetune"),
    ([*SELF_TRAIN, "--teacher", "model.keras"], "model.keras", "detector.keras"),
    ([*SELF_TRAIN, "--split", "train", "--test-split", "0.4"], "validation images", "--val"),
    ([*FINETUNE, "--backbone", "gone.keras"], "--backbone is gone.keras", "name of a network", "backbone.keras"),
    ([*DISTILL, "--teacher", "a.npz"], "a.npz", "--teacher NAME --teacher-weights FILE"),
    ([*DISTILL, "--teacher", "bad.json"], "bad.json", "kerashub:PRESET"),
    ([*DISTILL, "--teacher", "dinov2_small"], "'dinov2_small'", "kerashub:dinov2_small"),
    ([*DISTILL, "--teacher", "./gone.keras"], "gone.keras", "feature maps"),
    ([*DISTILL, "--teacher", "kerashub:"], "no preset", "kerashub:dinov2_small"),
    ([*DISTILL, "--teacher", "MobileNet", "--images", "nowhere", "--plan"], "nowhere", "give a folder"),
    (["pretrain", "--images", "bad.json", "--out", "new"], "bad.json is no image", "--data"),
    ([*FINETUNE, "--backbone", "network.keras"], "--backbone is network.keras", "--weights network.keras"),
    ([*FINETUNE, "--backbone", "model.keras", "--weights", "random"], "model.keras", "leave one of them out"),
    ([*FINETUNE, "--weights", "gone.npz"], "--weights is gone.npz", "give random, imagenet, or a .keras"),
    ([*FINETUNE, "--backbone", "NASNetMobile"], "NASNetMobile cannot be a backbone: ", "EfficientNetV2B0"),
    ([*FINETUNE, "--classes", *SCENE_CLASSES], *OFFLINE),
    ([*PRETRAIN, "--weights", "imagenet"], *OFFLINE),
    (["compare", "--config", "published.yaml", "--out", "new"], *OFFLINE),
    ([*FINETUNE, "--classes", *SCENE_CLASSES, "--count", "100"], "count is 100", "from 1 to 3"),
    ([*FINETUNE, "--task", "localizer", "--detector", "yolov8"], "--detector is yolov8", "leave one"),
    ([*FINETUNE, "--task", "segmenter"], "'segmenter'", "localizer"),
    (["predict", "--model", "gone.keras", *PHOTOS, "--out", "new"], "gone.keras", "detector.keras"),
    (["predict", "--model", "photos/0.jpg", *PHOTOS, "--out", "new"], "photos/0.jpg", "detector.keras"),
    (["predict", "--model", "network.keras", *PHOTOS, "--out", "new"], "network.keras", "Functional", "detector.keras"),
    ([*PREDICT, "--images", "nowhere"], "nowhere", "give a folder"),
    (["embed", "--backbone", "gone.keras", *PHOTOS, "--out", "new.npz"], "gone.keras"),
    ([*EMBED, "--out", "new.txt"], "new.txt", ".npz"),
    (["evaluate", "--data", "voc"], "--model", "--predictions"),
    (["evaluate", *MODEL], "no labeled images", "--data"),
    ([*EVALUATE, "--data", "gone.json"], "gone.json"),
    ([*EVALUATE, "--classes", "cow", "car"], "'cow'", "lacks", "--classes car"),
    ([*EVALUATE, "--split", "nosplit"], "nosplit"),
    (["evaluate", "--predictions", "gone.json", "--data", "voc"], "gone.json"),
    ([*EXPLAIN, "--class", "cow"], "'cow'", SCENE_CLASSES[0]),
    ([*EXPLAIN, "--method", "lime"], "'lime'", "gradcam"),
    ([*EXPLAIN, "--models", "a=gone.keras"], "gone.keras"),
    ([*EXPLAIN, "--models", "a=model.keras", "a=model.keras"], "'a'", "name of its own"),
    ([*EXPLAIN, "--image-size", "96"], "--image-size is 96", "64", "leave it out"),
    ([*AUDIT, "--classes", "cow"], "'cow'", "lacks", SCENE_CLASSES[0]),
    (["explain", "--models", "a=model.keras", "--data", "voc", "--classes", "cow", "--out", "new"], "'cow'", "model a"),
    (["explain", "--models", "a=model.keras", "--data", "voc", "--count", "3", "--out", "new"], "--count is 3", "4 or"),
    ([*FEATURES, "--out", "new.txt"], "new.txt", ".html"),
    ([*FEATURES, "--data", "voc"], "--images photos", "--data", "give one of them"),
    ([*EXPORT, "--batch-sizes", "4", "2"], "--batch-sizes is 4 2", "rising, as 1 2 4 8"),
    (["check", "nowhere"], "nowhere", "kerassl export"),
    (["check", "photos"], "photos", "saved_model.pb"),
    (["shards", "--data", "gone.json", "--out", "new"], "gone.json"),
    (["shards", "--out", "new"], "no images", "--images"),
    (["inspect"], "nothing is named", "--data"),
    (["inspect", "nowhere"], "nowhere"),
    (["views", "--out", "new.png"], "no images", "kerassl views"),
    ([*VIEWS, "--out", "new.gif"], "new.gif", ".png"),
    (["views", "nowhere", "--out", "new.png"], "nowhere"),
    (["views", "--data", "voc", "--split", "nothing", "--out", "new.png"], "no split 'nothing'"),
    (["inspect", "photos", "--split", "train"], "photos"),
    (["inspect", "photos", "voc", "--split", "train"], "--split", "--data"),
    (["features", "--models", "a=model.keras", "--out", "new.html"], "no images are named"),
    (["features", "--models", "gone.keras", *PHOTOS, "--out", "new.html"], "no model", "gone.keras"),
    (["features", "--models", "network.keras", *PHOTOS, "--out", "new.html"], "give --image-size"),
    ([*AUDIT, "--model", "gone.keras"], "gone.keras"),
    ([*SHARDS, "--data", "voc"], "give one of them"),
    (["shards", "--data", "voc", "--split", "test", "--out", "new"], "no split 'test'"),
    (["shards", "--split", "train", "--out", "new"], "--split and --classes are for labels"),
    (["compare", "--out", "new"], "nothing to compare", "frozen"),
    (["compare", "--config", "start.yaml", "--out", "new"], "variants.a.start is gone.npz", "variant above"),
    (["compare", "--config", "start.yaml", "--out", "new", "--plan"], "variants.a.start is gone.npz"),
    (["finetune", "--data", "broken", "--out", "new"], "broken", "known format"),
    (["pretrain", "--images", "packed", "--out", "new"], "packed/index.json", "new folder"),
    ([*EVALUATE, "--data", "bad.json", "--data-images", "photos"], "bad.json"),
    ([*EVALUATE, "--data", "photos"], "photos", "COCO json"),
    (["evaluate", "--predictions", "bad.json", "--data", "voc"], "bad.json"),
    (["inspect", "--data", "bad.json", "--data-images", "photos"], "bad.json"),
    (["inspect", "photos", "--data", "voc"], "photos", "--data", "give one of them"),
    (["views", "photos", "--data", "voc", "--out", "new.png"], "photos", "give one of them"),
    (["views", "--task", "detector", "--out", "new.png"], "no labeled images", "--data"),
    (["compare", "--config", "few.yaml", "--out", "new"], "batch of 64", "pretrain.batch_size", "of at most 3"),
    (["compare", "--config", "shared.yaml", "--out", "new"], "'a b'", "'a-b'", "rename"),
    ([*COMPARE, "--skip", "c"], "--skip", "'c'", "a, b"),
    ([*COMPARE, "--skip", "a", "b"], "names all variants", "leave one"),
    ([*COMPARE, "--backbone", "VGG"], "'VGG'", "EfficientNetB1"),
    (["trian"], "'trian'", "pretrain"),
    (["pretrain"], "--out", "kerassl pretrain --help"),
    ([*PRETRAIN, "--batchsize", "3"], "--batchsize", "kerassl"),
]  # fmt: skip

SELF_TRAINED = "train: voc}\ndetector: {image_size: 64}\nvariants: {a: {start: random, self_train: {}}}"
CONFIGS = {
    "typo.yaml": "pretrain: {epoch: 3}",
    "text.yaml": "only words",
    "compare.yaml": "data: {train: voc}\nfrozen: {image_size: 64}\nvariants: {a: random, b: random}",
    "few.yaml": "data: {train: voc}\nfrozen: {image_size: 64, labels: [50]}",
    "labeled.yaml": f"data: {{unlabeled: [voc/VOC2007/JPEGImages], {SELF_TRAINED}",
    "gone.yaml": f"data: {{unlabeled: [nowhere], {SELF_TRAINED}",
    "shared.yaml": "variants: {a b: random, a-b: imagenet}",
    "published.yaml": "data: {train: voc}\nfrozen: {image_size: 64}\nvariants: {a: imagenet}",
    "start.yaml": "data: {train: voc}\nfrozen: {image_size: 64}\nvariants: {a: gone.npz}",
}


def _outputs():
    for command, kind in OUTPUTS:
        flag = "--plots" if "--plots" in command else "--out"
        place = command.index(flag)
        rest = [*command[:place], *command[place + 2 :]]
        suffix = "" if kind == "folder" else kind
        for out in (f"photos/0.jpg/x{suffix}", f"/proc/nope{suffix}", f"{'n' * 300}{suffix}"):
            yield [*rest, flag, out], (out[:40],)
        if kind == "folder" and flag == "--out" and command[0] not in ("scenes", "shards"):
            yield [*rest, flag, "voc"], ("voc", "already")
        elif kind != "folder":
            yield [*rest, flag, f"folder{suffix}"], (f"folder{suffix} is a folder",)
            yield [*rest, flag, f"mine{suffix}"], (f"mine{suffix} already exists; choose another path",)
            if command[0] in ("inspect", "views", "explain"):
                yield [*rest, flag, f"photos/new{suffix}"], (f"photos/new{suffix} is in photos", "outside of it")


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Every row of the tables, and what became of it."""
    folder = tmp_path_factory.mktemp("refused")
    write_scenes(folder / "voc", train=3, val=2, unlabeled=0, single_object=True)
    (folder / "photos").mkdir()
    for name in ("empty", *(f"folder{kind}" for _, kind in OUTPUTS if kind != "folder")):
        (folder / name).mkdir(exist_ok=True)
    for _, kind in OUTPUTS:
        (folder / f"mine{kind}").write_text("mine")
    for number in range(3):
        Image.fromarray(np.full([48, 64, 3], 60 * number, np.uint8)).save(folder / "photos" / f"{number}.jpg")
    for name, text in CONFIGS.items():
        (folder / name).write_text(text)
    (folder / "broken" / "VOC2007" / "Annotations").mkdir(parents=True)
    (folder / "packed").mkdir()
    (folder / "packed" / "shard-00000.tfrecord").write_bytes(b"")
    for name in ("packed/index.json", "bad.json"):
        (folder / name).write_text('{"images": 3')
    localizer = {"class_name": "Localizer", "config": {"class_names": list(SCENE_CLASSES), "image_size": 64}}
    for name, config in (("model.keras", localizer), ("network.keras", {"class_name": "Functional", "config": {}})):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("config.json", json.dumps(config))
    rows = [([*command, flag, value], (f"{flag} is {value}", advice)) for command, flag, value, advice in NUMBERS]
    rows += [*_outputs(), *((arguments, message) for arguments, *message in OTHERS)]
    done = subprocess.run(
        [sys.executable, pathlib.Path(__file__).with_name("refusing.py")],
        input=json.dumps([arguments for arguments, _ in rows]), cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "KERAS_HOME": "keras", "https_proxy": "http://127.0.0.1:9"},  # where nothing answers
    )  # fmt: skip
    return [(*row, *found) for row, found in zip(rows, json.loads(done.stdout), strict=True)]


def test_command_line_is_refused_without_tensorflow_when_it_is_invalid(refused):
    wrong = []
    for arguments, message, status, lines, seconds, changed in refused:
        line = lines.strip()
        one = line.startswith("kerassl: ") and "\n" not in line
        if status != 2 or not one or not all(part in line for part in message) or changed or seconds > 2:
            wrong.append(
                f"kerassl {' '.join(arguments)[:120]}\n  {status} {seconds:.1f} s {changed} {line[:300]}\n  {message}"
            )
    assert not wrong, "\n".join([f"{len(wrong)} of {len(refused)}", *wrong])
