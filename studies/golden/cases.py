"""The cases in the interface of the working tree: those of `baseline.py`, whose results they must equal."""

from kerassl.backbones import weights as backbone_weights

from kerassl import _compat  # noqa: F401  # isort: skip
import dataclasses
import json
import pathlib

import common
import keras
import numpy as np
import tensorflow as tf
from common import CLASSES

import kerassl
from kerassl import (
    augment,
    backbones,
    datasets,
    detectors,
    explain,
    features,
    metrics,
    models,
    optimizers,
    serving,
    statistics,
)
from kerassl.boxes import box_iou
from kerassl.cli.main import main
from kerassl.comparison.summary import summarize
from kerassl.types import Detections

SIZE = 64


def tiny(width=8, name="tiny"):
    """The smallest network with a pyramid, with kerassl's fast layers."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    for level, channels in enumerate([width, width, width, 2 * width, 2 * width], start=1):
        x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False, name=f"conv{level}")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{level}")(x)
        x = keras.layers.Activation("swish", name=f"act{level}")(x)
    return common.set_weights(backbones.with_fast_layers(keras.Model(inputs, x, name=name)))


def retinanet():
    return common.set_weights(detectors.RetinaNet(tiny(), CLASSES, SIZE, num_filters=32))


def yolov8():
    return common.set_weights(detectors.YOLOV8(tiny(), CLASSES, SIZE, num_filters=8))


def localizer():
    model = detectors.Localizer(tiny(), CLASSES, SIZE, num_filters=16)
    model.compile()
    return common.set_weights(model)


def records(count=12):
    """Records of image files in the working folder."""
    make, found = datasets.Record, []
    for number, path in enumerate(common.image_files("images", count)):
        height, width = common.shape(number)
        boxes, labels = zip(*(common.box(height, width, number, *more) for more in ((), (7,))[: 1 + number % 2]))
        found.append(
            make(
                image_id=f"image{number:02}",
                path=path,
                height=height,
                width=width,
                boxes=np.array(boxes, np.float32),
                classes=np.array(labels, np.int32),
                difficult=np.array([False, number % 3 == 0][: len(boxes)]),
            )
        )
    return found


def scenes(count):
    """Records of generated scenes, with masks."""
    datasets.write_scenes("scenes", train=count, val=1, single_object=False, image_size=(64, 96), seed=3)
    return datasets.DetectionDataset.from_voc("scenes", 2007, "train", class_names=datasets.SCENE_CLASSES)


def trained(model, batches, epochs):
    """The logs of each step, and the weights after the last."""
    steps = []
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[common.step_logger(keras, steps)])
    return {"steps": common.by_name(steps), "weights": common.weights(model)}


def pretrained(model, optimizer, *data):
    model.compile(optimizer)
    common.set_weights(model)
    return trained(model, tf.data.Dataset.from_tensor_slices(data if len(data) > 1 else data[0]).batch(8), 5)


def predictions_of(predictions):
    """Detections by image, in order."""
    found = {}
    for image_id, own in predictions.items():
        found[image_id] = {"boxes": own.boxes, "scores": own.scores, "classes": own.classes}
        if own.coco_boxes is not None:
            found[image_id]["xywh"] = own.coco_boxes
    return found


def logits_of(predictions):
    return np.concatenate([own.logits for own in predictions.values()])


def simclr():
    model = models.SimCLR(tiny(), 32, projection_dim=8, hidden_dim=16, seed=3)
    lars = optimizers.LARS(optimizers.WarmupCosine(0.5, 10, warmup_steps=2), weight_decay=1e-4)
    found = pretrained(model, lars, common.images(16, 48))
    return {**found, "embed": np.array(model.embed(common.images(4, 64)))}


def dense_simclr():
    model = models.DenseSimCLR(
        tiny(),
        64,
        projection_dim=8,
        hidden_dim=16,
        dense_hidden_dim=16,
        locations_per_image=4,
        min_negative_distance=1.5,
        seed=3,
    )
    adamw = optimizers.get("adamw", 1e-3, weight_decay=1e-2, variables=model.trainable_variables)
    return pretrained(model, adamw, common.images(16, 72))


def view_classifier():
    model = models.ViewClassifier(tiny(), CLASSES, 32, seed=3)
    adamw = optimizers.get("lamb", 1e-3, weight_decay=1e-2, variables=model.trainable_variables)
    return pretrained(model, adamw, common.images(16, 48), np.arange(16) % 3)


def detector_batches():
    boxes, classes = common.targets(20, SIZE)
    images = common.images(20, SIZE).astype(np.float32)
    data = {"images": images, "bounding_boxes": {"boxes": boxes, "classes": classes}}
    return tf.data.Dataset.from_tensor_slices(data).batch(4)


def detector_case(model, **settings):
    model.compile(lr_multipliers={"backbone": 0.1, "neck": 0.5}, **settings)
    common.set_weights(model)
    begin = {name: np.array(value) for name, value in model(common.images(2, SIZE).astype(np.float32)).items()}
    found = trained(model, detector_batches(), 2)
    predictions = detectors.predict(model, records(4), score_threshold=0.05, max_detections=20, verbose=0)
    picture = predictions["image02"].plot(common.image(64, 64, 2), score_threshold=0.05)
    return {"begin": begin, **found, "predictions": predictions_of(predictions), "picture": picture}


def retinanet_training():
    return detector_case(retinanet())


def yolov8_training():
    return detector_case(yolov8(), clip_norm=1.0, weight_decay=1e-2)


def localizer_batches():
    boxes, classes = common.targets(20, SIZE)
    labels = {"class": classes[:, 0].astype(np.int32), "box": boxes[:, 0] / SIZE}
    return tf.data.Dataset.from_tensor_slices((common.images(20, SIZE).astype(np.float32), labels)).batch(4)


def localizer_training():
    model = detectors.Localizer(tiny(), CLASSES, SIZE, num_filters=16, levels=("P3", "P4"))
    model.compile(lr_multipliers={"backbone": 0.1})
    found = trained(common.set_weights(model), localizer_batches(), 2)
    predictions = detectors.predict(model, records(4), verbose=0)
    return {**found, "predictions": predictions_of(predictions), "logits": logits_of(predictions)}


def callbacks():
    """A training with an average of the weights, stages that unfreeze and evaluation, and statistics after it."""
    made, model, batches = kerassl.callbacks, localizer(), localizer_batches()
    ema = made.EMA(0.9)
    evaluation = detectors.Evaluation(records(6), CLASSES, ema=ema)
    logs = model.fit(
        batches, epochs=2, verbose=0, callbacks=[made.GradualUnfreezing({"stem": None, "P4": 1}), ema, evaluation]
    )
    backbones.reestimate_batch_norm(model, batches, steps=2)
    return {"history": logs.history, "weights": common.weights(model)}


def probes():
    """The probes of a pre-training on labeled photos."""
    made = kerassl.callbacks
    for label, name in enumerate(CLASSES):
        common.image_files(f"photos/{name}", 8, 8 * label)
    model = models.SimCLR(tiny(), 32, projection_dim=8, hidden_dim=16)
    model.compile(optimizers.LARS(0.1))
    common.set_weights(model)
    probing = [made.KNNProbe("photos", image_size=32, k=5), made.LinearProbe("photos", image_size=32, seed=2)]
    batches = tf.data.Dataset.from_tensor_slices(common.images(16, 48)).batch(8)
    return {"history": model.fit(batches, epochs=2, verbose=0, callbacks=probing).history}


def views():
    images = common.images(6, 72)
    one, mild = augment.SimCLRViews(64)(images, (3, 5)), augment.SimCLRViews.mild(32, seed=2)(images, (3, 6))
    matches = augment.match_locations(one, 16)
    return {
        "views": {name: np.array(value) for name, value in one._asdict().items()},
        "mild": {name: np.array(value) for name, value in mild._asdict().items()},
        "matches": {"cells": np.array(matches.locations), "valid": np.array(matches.valid)},
        "places": [np.array(each) for each in _listed(augment.location_centers(one, 16))],
    }


def _listed(value):
    return list(value) if isinstance(value, (tuple, list)) else [value]


def box_augmentation():
    every = augment.BoxAugmentation(mosaic=0.6, seed=4)
    one = augment.BoxAugmentation(min_visibility=0.7, strength=0.5)
    options = {"shuffle": True, "seed": 5}
    own = records(10)
    found = {
        "mosaic": datasets.detection_batches(own, SIZE, 5, augmentation=every, **options),
        "flip": datasets.detection_batches(own, SIZE, 4, flip=True, difficult=False, initial_epoch=3, **options),
        "single": datasets.single_object_batches(own, SIZE, 4, augmentation=one, **options),
        "erased": datasets.single_object_batches(own, SIZE, 4, erase={"red": [[0.1, 0.2, 0.4, 0.9]]}),
    }
    return {name: _arrays(batches) for name, batches in found.items()}


def _arrays(batches):
    """All batches of a data set, as arrays."""
    return [tf.nest.map_structure(np.array, batch) for batch in batches]


def frozen():
    """Features of a frozen backbone, heads on them, and a localizer that begins with pseudo-boxes."""
    train = detectors.FrozenFeatures(tiny(), records(12), SIZE, cache="features")
    test = detectors.FrozenFeatures(tiny(), records(5), SIZE, flip=False)
    found = {
        "maps": [np.array(each[:]) for each in train.maps],
        "boxes": train.boxes,
        "labels": train.labels,
        "statistics": train.statistics,
    }
    head = detectors.fit_frozen(train, CLASSES, epochs=2, batch_size=4, num_filters=16, seed=3)
    train.backbone.trainable = False
    start = detectors.Localizer(train.backbone, CLASSES, SIZE, num_filters=16)
    start.compile()
    common.set_weights(start)
    own = {"epochs": 1, "batch_size": 4, "verbose": 0, "seed": 4}
    found["pretrained"] = detectors.pretrain_localizer(start, records(12), groups=3, **own).history
    warm = detectors.fit_frozen(
        train.take([0, 2, 4, 5, 7]), CLASSES, epochs=2, batch_size=4, num_filters=16, start=start
    )
    for name, model in (("head", head), ("warm", warm)):
        predictions = detectors.predict(model, test, verbose=0)
        found[name] = {
            "history": model.history.history,
            "weights": common.weights(model),
            "logits": logits_of(predictions),
            "predictions": predictions_of(predictions),
            "from_images": logits_of(detectors.predict(model, records(5), verbose=0)),
        }
    return found


def _truth():
    make = datasets.Record
    return [
        make(name, f"{name}.png", 100, 100, boxes.astype(np.float32), labels.astype(np.int32), difficult, crowd)
        for name, boxes, labels, difficult, crowd in common.truth()
    ]


def detections(own, names=None):
    found = common.detections([(each.image_id, each.boxes, each.classes) for each in own], 3)
    return {image_id: Detections(**each, class_names=names) for image_id, each in found.items()}


def evaluators():
    found = {}
    own = _truth()
    predictions = detections(own)
    found["all"] = metrics.evaluate_detections(predictions, own, CLASSES, sizes=True).to_dict()
    for protocol in ("voc07", "voc10"):
        found[protocol] = metrics.voc_ap(predictions, own, CLASSES, protocol=protocol, iou_threshold=0.4).to_dict()
    found["coco"] = metrics.coco_ap(predictions, own, CLASSES, sizes=True).to_dict()
    found["errors"] = metrics.error_kinds(predictions, own, CLASSES, score_threshold=0.4).to_dict()
    found["largest"] = metrics.evaluate_localization(predictions, own, CLASSES)[1].to_dict()
    draw = np.random.default_rng(1)
    first, second = (np.concatenate([low := draw.uniform(0, 5, (20, 2)), low + 3], axis=1) for _ in range(2))
    found["localization"] = metrics.localization(first, second).to_dict()
    found["iou"] = box_iou(first, second)
    found["topk"] = metrics.topk(draw.normal(size=(30, 7)).round(1), draw.integers(0, 7, 30), (1, 3, 5))
    return found


def files():
    """Files of predictions, and what is read from them."""
    found = {}
    own = _truth()
    predictions = detections(own, CLASSES)
    metrics.save_predictions("predictions.json", predictions)
    found["json"] = pathlib.Path("predictions.json").read_text(encoding="utf-8")
    found["read"] = predictions_of(metrics.load_predictions("predictions.json"))
    paths = metrics.save_voc_results("results", predictions, CLASSES)
    found["voc"] = {path.name: path.read_text(encoding="utf-8") for path in map(pathlib.Path, paths)}
    ids = [each.image_id for each in own]
    found["voc_read"] = predictions_of(metrics.load_voc_results("results", CLASSES, ids))
    entries = [
        {
            "image_id": image_id,
            "category_id": int(label) + 1,
            "score": float(score),
            "bbox": [*box[:2], *(box[2:] - box[:2])],
        }
        for image_id, each in predictions.items()
        for box, score, label in zip(each.boxes.astype(float), each.scores, each.classes)
    ]
    pathlib.Path("coco.json").write_text(json.dumps(entries), encoding="utf-8")
    found["coco_read"] = predictions_of(metrics.load_coco_results("coco.json", {1: 0, 2: 1, 3: 2}, ids))
    return found


def pseudo_boxes():
    backbone, found = tiny(), {}
    paths = common.image_files("images", 12)
    settings = {
        "component": {"level": "P4", "threshold": 0.3},
        "similarity": {"level": "P3", "max_boxes": 2, "min_size": 0.02, "max_size": 1.0, "sample": 6},
    }
    for kind, own in settings.items():
        boxes = detectors.pseudo_records(backbone, paths, image_size=SIZE, heatmap=kind, verbose=0, **own)
        found[kind] = {pathlib.Path(each.path).name: each.boxes for each in boxes}
    model = yolov8()
    history = detectors.pretrain_neck(model, records(8), epochs=1, batch_size=4, verbose=0, seed=2)
    return {**found, "history": history.history, "weights": common.weights(model)}


def cams():
    model, found = localizer(), {}
    images = common.images(3, SIZE).astype(np.float32)
    for name, level in (("GradCAM", "P4"), ("GradCAMPlusPlus", "P4"), ("LayerCAM", "P3"), ("ScoreCAM", None)):
        options = {"channels": 6} if name == "ScoreCAM" else {}
        cam = getattr(explain, name)(model, layer=level, **options)
        found[name] = cam(images, [0, 2, 1])
        if name == "GradCAM":
            found["best"] = cam(images)
            checked = explain.sanity_check(model, lambda cam=cam: cam(images, [0, 2, 1]), steps=3)
            found["randomised"] = [alike for _, alike in checked]
    for kind in (retinanet, yolov8):
        boxes = np.array([common.box(SIZE, SIZE, number)[0] for number in range(3)], np.float32)
        found[kind.__name__] = explain.GradCAM(kind(), layer="P4")(images, [0, 1, 2], boxes=boxes)
    look = explain.SimilarityMap(tiny(), layer="P4")
    centred = explain.SimilarityMap(tiny(), layer="P4", center=look.mean_embedding(images))
    found["similarity"] = centred(images)
    found["contributions"] = centred.contributions(images, images[::-1])
    found["steps"] = explain.insertion_deletion(model, images, found["GradCAM"], [0, 2, 1], steps=4)
    picture = explain.overlay(images[0], found["GradCAM"][0])
    return {**found, "overlay": np.array(picture)}


def whole_object():
    """Measures of fixed heatmaps, questions about scenes, and how they are averaged over images."""
    heatmaps = common.heatmaps(6, 48, 64)
    draw = np.random.default_rng(2)
    boxes = [
        np.concatenate([low := draw.integers(0, 30, (count, 2)), low + draw.integers(5, 18, (count, 2))], axis=1)
        for count in (1, 2, 1, 0, 3, 1)
    ]
    masks = draw.uniform(size=heatmaps.shape) < 0.2 + 0.4 * heatmaps
    others = np.array([True, False, True, True, False, True])
    ignored = [[[40, 10, 60, 30]]] * 3 + [np.zeros([0, 4])] * 3
    found = {}
    for name, own in (("boxes", {"ignored": ignored}), ("masks", {"masks": masks})):
        scored = explain.saliency_metrics(heatmaps, boxes, others=others, **own)
        found[name] = {field.name: getattr(scored, field.name) for field in dataclasses.fields(scored)}
        found[name] |= {"figures": scored.figures(), "best": scored.best_threshold()}
    asked = explain.localization_targets(scenes(6), SIZE)
    names = ("images", "pictures", "class_ids", "boxes", "ignored", "masks", "others", "tolerances")
    found["questions"] = {name: getattr(asked, "sizes" if name == "pictures" else name) for name in names}
    plain = explain.baseline_maps((SIZE, SIZE), len(asked))
    found["baselines"] = _older({name: asked.score(each).figures() for name, each in plain.items()})
    return found


def compare_models():
    """Two networks asked about the same scenes, and an audit of one."""
    own = scenes(24)
    classes = datasets.SCENE_CLASSES
    model = detectors.Localizer(tiny(), classes, SIZE, num_filters=16)
    common.set_weights(model)
    asked = explain.localization_targets(own, SIZE)
    table = explain.compare_models({"head": model, "features": tiny(4)}, asked, level="P4", steps=2, resamples=50)
    audit = explain.audit_model(model, own, layer="P4", least=3)
    rows = [{name: each[name] for name in each if name != "path"} for each in audit.rows]
    return {
        "thresholds": _older(table.thresholds),
        "table": {"arms": _older(table.table["models"]), "differences": _older(table.table["differences"])},
        "heatmaps": _older(table.heatmaps),
        "randomised": {name: [alike for _, alike in each] for name, each in table.randomized.items()},
        "audit": rows,
        "unused": audit.unused,
        "findings": audit.findings,
    }


def _older(found):
    """Rename the baseline map as the older commit did."""
    return {"centred Gaussian" if name == "centered Gaussian" else name: each for name, each in found.items()}


def servables():
    found = {}
    photos = np.stack([common.image(50, 90, number) for number in range(2)])
    paths = common.image_files("images", 2)
    encoded = tf.constant([*(pathlib.Path(path).read_bytes() for path in paths), b"nothing"])
    for kind in (retinanet, yolov8, localizer):
        own = {} if kind is localizer else {"score_threshold": 0.05, "max_detections": 20}
        folder = serving.export(kind(), f"{kind.__name__}/1", batch_sizes=(1, 2), **own)
        loaded = tf.saved_model.load(str(folder))
        calls = {
            "serving_default": {"images": tf.constant(photos, tf.float32)},
            "serving_uint8": {"images": tf.constant(photos)},
            "serve_bytes": {"image_bytes": encoded},
            "embed": {"images": tf.constant(photos, tf.float32)},
        }
        found[kind.__name__] = {name: _outputs(loaded.signatures[name](**own)) for name, own in calls.items()}
        card = common.json_of(folder / "assets.extra" / "model_card.json")
        found[kind.__name__]["checksum"] = card["weights_sha256"]
    return found


def _outputs(answer):
    return {name: np.array(value) for name, value in answer.items()}


def tflite():
    path = serving.export_tflite(localizer(), "localizer.tflite")
    runner = tf.lite.Interpreter(str(path), num_threads=1).get_signature_runner()
    return _outputs(runner(images=common.images(1, SIZE).astype(np.float32)))


def geometry():
    own = scenes(40)
    found = features.feature_geometry(
        {"one": tiny(), "other": tiny(4, "other")},
        own,
        image_size=SIZE,
        neighbors=5,
        batch_size=16,
        layers=("P4", "P5"),
    ).to_dict()
    found["arms"] = found.pop("models")
    for each in found["arms"].values():
        each["invariance"]["grey"] = each["invariance"].pop("grayscale")
        for level in each["layers"].values():
            level["effective_rank_centred"] = level.pop("effective_rank_centered")
    return {name: found[name] for name in ("images", "arms", "cka", "overlap", "labels", "position_by_shape")}


def intervals():
    """Intervals over images and seeds, and what a comparison's trials show."""
    draw = np.random.default_rng(7)
    counts = statistics.image_counts(20, 300, 1), statistics.seed_counts(3, 300, 1)
    scores = draw.normal(0.1, 0.3, (2, 3, 20))
    values = {name: draw.normal(level, 1, 20) for name, level in (("ours", 0.5), ("other", 0.2), ("third", 0))}
    paired = statistics.paired_bootstrap(
        {name: lambda rows, own=own: {"mean": float(own[rows].mean())} for name, own in values.items()},
        20,
        resamples=200,
    )
    trials = []
    for variant, level in (("ours", 0.6), ("random", 0.3)):
        for labels in (100, None):
            for seed in range(3):
                iou, top1 = draw.uniform(0, 2 * level, 20).clip(0, 1).tolist(), draw.integers(0, 2, 20).tolist()
                each = {"ids": [f"{number}" for number in range(20)], "iou": iou, "top1": top1, "top3": [1] * 20}
                figures = {
                    "mean_iou": float(np.mean(iou)),
                    "loc_acc_50": float(np.mean(np.array(iou) >= 0.5)),
                    "loc_acc_70": float(np.mean(np.array(iou) >= 0.7)),
                    "top1": float(np.mean(top1)),
                    "top3": 1.0,
                }
                own = {"variant": variant, "protocol": "frozen", "labels": labels, "seed": seed}
                trials.append({**own, "figures": figures, "per_image": each})
    return {
        "counts": counts,
        "interval": statistics.pigeonhole_interval(scores, *counts, 0.95),
        "paired": [paired.values, paired.differences],
        "summary": _summary(trials, {"good": "ours", "poor": "random", "mean_iou": 8}),
    }


def _summary(trials, sanity_check=None):
    """The numbers of a comparison's significance summary."""
    judged = summarize(trials, baseline=trials[-1]["variant"], sanity_check=sanity_check, resamples=300)
    found = {"passed": None if sanity_check is None else judged["sanity_check"]["passed"]}
    for protocol, own in judged["protocols"].items():
        for count in own["counts"]:
            key = f"{protocol} {count['labels']}"
            found[key] = {variant: each["figures"] for variant, each in count["variants"].items()}
            for each in count["differences"]:
                found[key][f"{each['variant']} - {each['other']}"] = [
                    {**{name: one[name] for name in ("value", "low", "high", "by_seed")}, "real": one["significant"]}
                    for one in each["measures"].values()
                ]
    return found


def readers():
    """Records and batches of small data sets of each format, and of shards of them."""
    found = {}
    paths = [pathlib.Path(path) for path in common.image_files("photos", 8)]
    images, entries, voc = [], [], pathlib.Path("voc")
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (voc / name).mkdir(parents=True)
    labels = pathlib.Path("labels")
    labels.mkdir()
    for number, path in enumerate(paths):
        height, width = common.shape(number)
        images.append({"id": number, "file_name": path.name, "height": height, "width": width})
        objects, lines = "", []
        for more in ((), (7,))[: 1 + number % 2]:
            (x0, y0, x1, y1), label = common.box(height, width, number, *more)
            corners = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
            difficult = f"<difficult>{int(bool(more) and number % 3 == 0)}</difficult>"
            objects += f"<object><name>{CLASSES[label]}</name>{difficult}<bndbox>{corners}</bndbox></object>"
            bbox = [x0, y0, x1 - x0, y1 - y0]
            entries.append({"image_id": number, "category_id": label + 5, "bbox": bbox, "iscrowd": int(number == 5)})
            shares = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
            lines.append(" ".join(map(str, (label, *shares))))
        size = f"<size><width>{width}</width><height>{height}</height></size>"
        (voc / "Annotations" / f"{path.stem}.xml").write_text(f"<annotation>{size}{objects}</annotation>")
        (voc / "JPEGImages" / path.name).write_bytes(path.read_bytes())
        (labels / f"{path.stem}.txt").write_text("\n".join(lines))
    (voc / "ImageSets" / "Main" / "train.txt").write_text("".join(f"{path.stem}\n" for path in paths))
    for number, entry in enumerate(entries):
        entry |= {"id": number, "area": entry["bbox"][2] * entry["bbox"][3]}
    categories = [{"id": label + 5, "name": name} for label, name in enumerate(CLASSES)]
    content = {"images": images, "annotations": entries, "categories": categories}
    pathlib.Path("coco.json").write_text(json.dumps(content))
    pathlib.Path("classes.txt").write_text("\n".join(CLASSES))
    voc_set = datasets.DetectionDataset.from_voc("voc", class_names=CLASSES)
    coco_set = datasets.DetectionDataset.from_coco("coco.json", "photos")
    sets = {
        "voc": voc_set,
        "voc_count": voc_set.subset(4, seed=2),
        "coco": coco_set,
        "voc_fraction": voc_set.subset(fraction=0.5, stratified=False, seed=1),
        "yolo": datasets.DetectionDataset.from_yolo("photos", "labels", class_names="classes.txt"),
    }
    datasets.write_shards(voc_set, "shards", per_shard=3, image_size=48)
    sets["shards"] = datasets.DetectionDataset.from_shards("shards")
    for name, own in sets.items():
        names = ("image_id", "height", "width", "boxes", "classes", "difficult", "crowd")
        found[name] = [{field: getattr(each, field) for field in names} for each in own]
    found["coco_objects"] = [[each.coco.boxes, each.coco.areas, each.coco.ids] for each in sets["coco"] if each.coco]
    found["batches"] = {
        "voc": _arrays(voc_set.batches(32, 3)),
        "coco": _arrays(coco_set.batches(32, 3, shuffle=False, flip=True)),
        "yolo": _arrays(sets["yolo"].batches(32, 3, shuffle=False)),
        "shards": _arrays(sets["shards"].batches(32, 3, shuffle=False)),
        "photos": _arrays(datasets.image_folder("photos", image_size=32, batch_size=3, seed=4)),
        "cached": _arrays(datasets.image_folder("photos", image_size=32, batch_size=3, seed=4, cache="memory")),
        "packed": _arrays(datasets.image_folder("shards", image_size=32, batch_size=3, seed=4)),
    }
    scene = scenes(2)
    found["scenes"] = [datasets.read_image(each.path) for each in scene] + [each.boxes for each in scene]
    return found


def backbone():
    """A network of `keras.applications` with fast layers: its weights in a file, features and a step of training."""
    model = common.set_weights(backbones.build("MobileNetV3Small"))
    images = common.images(2, SIZE).astype(np.float32)
    backbones.save(model, "backbone.keras")
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(tf.square(model(images, training=True)))
    gradients = tape.gradient(value, model.trainable_variables)
    return {
        "checksum": backbone_weights.checksum(backbone_weights.table(model)),
        "features": np.array(backbones.load("backbone.keras")(images)),
        "trained": np.array(value),
        "gradients": [np.array(each) for each in gradients],
        "statistics": common.weights(model),
    }


CONFIG = """
data: {scenes: {train: 10, val: 6, unlabeled: 16, single_object: true}}
pretrain: {image_size: 32, batch_size: 8, epochs: 1, optimizer: adamw, hidden_dim: 8, projection_dim: 8}
frozen: {image_size: 64, batch_size: 4, epochs: 1, num_filters: 8, seeds: 2}
detector: {kind: yolov8, image_size: 64, batch_size: 4, epochs: 1, num_filters: 8, augmentation: {mosaic: 0.5},
  learning_rate: 0.001, lr_multipliers: {}, ema: null,
  variants: [given]}
compare: {labels: [8]}
variants:
  self-supervised: {start: given.keras, pretrain: {}}
  given: given.keras
"""


def compare():
    """A comparison of two variants on generated scenes, from the command line to its report."""
    backbones.save(tiny(), "given.keras")
    pathlib.Path("run.yaml").write_text(CONFIG)
    status = main(["compare", "--config", "run.yaml", "--out", "out"])
    out = pathlib.Path("out")
    trials = [common.json_of(path) for path in sorted((out / "trials").rglob("*.json"))]
    results = common.json_of(out / "results.json")
    found = {
        f"{each['variant']} {each['protocol']} {each['seed']}": [
            each["figures"], each["per_image"], each["images"], each["steps"]
        ]
        for each in trials
    }  # fmt: skip
    table = {
        variant: {
            protocol: {name: own[name] for name in own if name not in ("minutes", "labels", "seeds", "kind")}
            for protocol, own in results["variants"][variant].items()
            if protocol in ("frozen", "detector")
        }
        for variant in ("self-supervised", "given")
    }
    pretrain = results["variants"]["self-supervised"]["pretrain"]
    return {
        "status": status,
        "cells": found,
        "table": table,
        "pretrain": [pretrain["checksum"], pretrain["images"], pretrain["steps"]],
        "summary": _summary(trials),
        "history": [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()],
        "pictures": sorted(path.name for path in out.rglob("*.png")),
    }


CASES = [
    simclr,
    dense_simclr,
    view_classifier,
    retinanet_training,
    yolov8_training,
    localizer_training,
    callbacks,
    probes,
    views,
    box_augmentation,
    frozen,
    evaluators,
    files,
    pseudo_boxes,
    cams,
    whole_object,
    compare_models,
    servables,
    tflite,
    geometry,
    intervals,
    readers,
    backbone,
    compare,
]

if __name__ == "__main__":
    common.run(CASES)
