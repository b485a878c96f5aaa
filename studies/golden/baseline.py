"""The cases in the interface of the baseline commit. Frozen: no rename touches this file."""

import importlib
import json
import pathlib

import common
import numpy as np
from common import CLASSES

SIZE = 64


def keras_and_tf():
    """Both, imported after kerassl has prepared their import."""
    compat = importlib.import_module("kerassl._compat")
    return compat.keras, compat.tf


def room(name):
    """A package or module of kerassl."""
    return importlib.import_module(f"kerassl.{name}")


def tiny(width=8, name="tiny"):
    """The smallest network with a pyramid, with kerassl's fast layers."""
    keras, _ = keras_and_tf()
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    for level, channels in enumerate([width, width, width, 2 * width, 2 * width], start=1):
        x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False, name=f"conv{level}")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{level}")(x)
        x = keras.layers.Activation("swish", name=f"act{level}")(x)
    return common.set_weights(room("backbones").fast(keras.Model(inputs, x, name=name)))


def retinanet():
    return common.set_weights(room("detectors").retinanet(tiny(), CLASSES, image_size=SIZE, width=32))


def yolov8():
    return common.set_weights(room("detectors").yolov8(tiny(), CLASSES, image_size=SIZE, width=8))


def localizer():
    return common.set_weights(room("models").Localizer(tiny(), CLASSES, SIZE, width=16))


def records(count=12):
    """Records of image files in the working folder."""
    make, found = room("datasets").Record, []
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
    datasets = room("datasets")
    datasets.scenes("scenes", train=count, val=1, single_object=False, image_size=(64, 96), seed=3)
    return datasets.voc_records("scenes", 2007, "train", classes=datasets.SCENE_CLASSES)


def trained(model, batches, epochs):
    """The logs of each step, and the weights after the last."""
    keras, _ = keras_and_tf()
    steps = []
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[common.step_logger(keras, steps)])
    return {"steps": common.by_name(steps), "weights": common.weights(model)}


def pretrained(model, optimizer, *data):
    _, tf = keras_and_tf()
    model.compile(optimizer)
    common.set_weights(model)
    return trained(model, tf.data.Dataset.from_tensor_slices(data if len(data) > 1 else data[0]).batch(8), 5)


def predictions_of(predictions):
    """Detections by image, in order."""
    return {image_id: {name: own[name] for name in own} for image_id, own in predictions.items()}


def simclr():
    optimizers = room("optimizers")
    model = room("models").SimCLR(tiny(), 32, projection_dim=8, hidden_dim=16, seed=3)
    lars = optimizers.LARS(optimizers.WarmupCosine(0.5, 10, warmup_steps=2), weight_decay=1e-4)
    found = pretrained(model, lars, common.images(16, 48))
    return {**found, "embed": np.array(model.embed(common.images(4, 64)))}


def dense_simclr():
    optimizers = room("optimizers")
    model = room("models").DenseSimCLR(
        tiny(), 64, projection_dim=8, hidden_dim=16, dense_hidden_dim=16, cells_per_image=4, apart=1.5, seed=3
    )
    adamw = optimizers.get("adamw", 1e-3, weight_decay=1e-2, variables=model.trainable_variables)
    return pretrained(model, adamw, common.images(16, 72))


def view_classifier():
    optimizers = room("optimizers")
    model = room("models").ViewClassifier(tiny(), CLASSES, 32, seed=3)
    adamw = optimizers.get("lamb", 1e-3, weight_decay=1e-2, variables=model.trainable_variables)
    return pretrained(model, adamw, common.images(16, 48), np.arange(16) % 3)


def detector_batches():
    _, tf = keras_and_tf()
    boxes, classes = common.targets(20, SIZE)
    images = common.images(20, SIZE).astype(np.float32)
    data = {"images": images, "bounding_boxes": {"boxes": boxes, "classes": classes}}
    return tf.data.Dataset.from_tensor_slices(data).batch(4)


def detector_case(make):
    detectors = room("detectors")
    model = common.set_weights(make(tiny(), CLASSES, image_size=SIZE, learning_rates={"backbone": 0.1, "neck": 0.5}))
    begin = {name: np.array(value) for name, value in model(common.images(2, SIZE).astype(np.float32)).items()}
    found = trained(model, detector_batches(), 2)
    predictions = detectors.predict(model, records(4), score_threshold=0.05, max_detections=20, verbose=0)
    picture = detectors.draw(common.image(64, 64, 2), predictions["image02"], CLASSES, score_threshold=0.05)
    return {"begin": begin, **found, "predictions": predictions_of(predictions), "picture": picture}


def retinanet_training():
    make = room("detectors").retinanet
    return detector_case(lambda *args, **own: make(*args, width=32, **own))


def yolov8_training():
    make = room("detectors").yolov8
    return detector_case(lambda *args, **own: make(*args, width=8, clip_norm=1.0, weight_decay=1e-2, **own))


def localizer_batches():
    _, tf = keras_and_tf()
    boxes, classes = common.targets(20, SIZE)
    labels = {"class": classes[:, 0].astype(np.int32), "box": boxes[:, 0] / SIZE}
    return tf.data.Dataset.from_tensor_slices((common.images(20, SIZE).astype(np.float32), labels)).batch(4)


def localizer_training():
    models = room("models")
    model = models.Localizer(tiny(), CLASSES, SIZE, width=16, learning_rates={"backbone": 0.1}, levels=("P3", "P4"))
    found = trained(common.set_weights(model), localizer_batches(), 2)
    predictions, logits = models.localizer_predictions(model, records(4))
    return {**found, "predictions": predictions_of(predictions), "logits": logits}


def callbacks():
    """A training with an average of the weights, thawed stages and evaluation, and statistics after it."""
    made, model, batches = room("callbacks"), localizer(), localizer_batches()
    average = made.WeightAverage(0.9)
    evaluation = made.Evaluation(records(6), CLASSES, average=average)
    logs = model.fit(batches, epochs=2, verbose=0, callbacks=[made.Thaw({"stem": None, "P4": 1}), average, evaluation])
    room("backbones").reestimate_batch_norm(model, batches, steps=2)
    return {"history": logs.history, "weights": common.weights(model)}


def probes():
    """The probes of a pre-training on labeled photos."""
    _, tf = keras_and_tf()
    made = room("callbacks")
    for label, name in enumerate(CLASSES):
        common.image_files(f"photos/{name}", 8, 8 * label)
    model = room("models").SimCLR(tiny(), 32, projection_dim=8, hidden_dim=16)
    model.compile(room("optimizers").LARS(0.1))
    common.set_weights(model)
    probing = [made.KNNProbe("photos", image_size=32, k=5), made.LinearProbe("photos", image_size=32, seed=2)]
    batches = tf.data.Dataset.from_tensor_slices(common.images(16, 48)).batch(8)
    return {"history": model.fit(batches, epochs=2, verbose=0, callbacks=probing).history}


def views():
    augment = room("augment")
    images = common.images(6, 72)
    one, mild = augment.SimCLRViews(64)(images, (3, 5)), augment.SimCLRViews.mild(32, seed=2)(images, (3, 6))
    matches = augment.match_cells(one, 16)
    return {
        "views": {name: np.array(value) for name, value in one._asdict().items()},
        "mild": {name: np.array(value) for name, value in mild._asdict().items()},
        "matches": {name: np.array(value) for name, value in matches._asdict().items()},
        "places": [np.array(each) for each in _listed(augment.cell_places(one, 16))],
    }


def _listed(value):
    return list(value) if isinstance(value, (tuple, list)) else [value]


def box_augmentation():
    augment, datasets = room("augment"), room("datasets")
    every = augment.BoxAugmentation(mosaic=0.6, seed=4)
    one = augment.BoxAugmentation(visible=0.7, strength=0.5)
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
    _, tf = keras_and_tf()
    return [tf.nest.map_structure(np.array, batch) for batch in batches]


def frozen():
    """Features of a frozen backbone, heads on them, and a localizer that begins with pseudo-boxes."""
    models, detectors = room("models"), room("detectors")
    train = models.FrozenFeatures(tiny(), records(12), SIZE, cache="features")
    test = models.FrozenFeatures(tiny(), records(5), SIZE, flip=False)
    found = {
        "maps": [np.array(each[:]) for each in train.maps],
        "boxes": train.boxes,
        "labels": train.labels,
        "statistics": train.statistics,
    }
    head = models.fit_frozen(train, CLASSES, epochs=2, batch_size=4, width=16, seed=3)
    start = models.Localizer(train.backbone, CLASSES, SIZE, width=16, freeze=True)
    common.set_weights(start)
    own = {"epochs": 1, "batch_size": 4, "verbose": 0, "seed": 4}
    found["pretrained"] = detectors.pretrain_localizer(start, records(12), groups=3, **own).history
    warm = models.fit_frozen(train.take([0, 2, 4, 5, 7]), CLASSES, epochs=2, batch_size=4, width=16, start=start)
    for name, model in (("head", head), ("warm", warm)):
        predictions, logits = models.localizer_predictions(model, test)
        found[name] = {
            "history": model.history.history,
            "weights": common.weights(model),
            "logits": logits,
            "predictions": predictions_of(predictions),
            "from_images": models.localizer_predictions(model, records(5))[1],
        }
    return found


def _truth():
    make = room("datasets").Record
    return [
        make(name, f"{name}.png", 100, 100, boxes.astype(np.float32), labels.astype(np.int32), difficult, crowd)
        for name, boxes, labels, difficult, crowd in common.truth()
    ]


def evaluators():
    metrics, found = room("metrics"), {}
    own = _truth()
    predictions = common.detections([(each.image_id, each.boxes, each.classes) for each in own], 3)
    found["all"] = metrics.evaluate_detections(predictions, own, CLASSES, sizes=True)
    for protocol in ("voc07", "voc10"):
        found[protocol] = metrics.voc_ap(predictions, own, CLASSES, protocol=protocol, iou_threshold=0.4)
    found["coco"] = metrics.coco_ap(predictions, own, CLASSES, sizes=True)
    found["errors"] = metrics.error_kinds(predictions, own, CLASSES, score_threshold=0.4)
    largest = metrics.answers_for_largest(predictions, own, CLASSES)
    ranks = np.array(largest.pop("rank"))
    found["largest"] = {**largest, **{f"top{most}": (ranks < most).astype(int).tolist() for most in (1, 3)}}
    draw = np.random.default_rng(1)
    first, second = (np.concatenate([low := draw.uniform(0, 5, (20, 2)), low + 3], axis=1) for _ in range(2))
    found["localization"] = metrics.localization(first, second)
    found["iou"] = metrics.box_iou(first, second)
    found["topk"] = metrics.topk(draw.normal(size=(30, 7)).round(1), draw.integers(0, 7, 30), (1, 3, 5))
    return found


def files():
    """Files of predictions, and what is read from them."""
    metrics, found = room("metrics"), {}
    own = _truth()
    predictions = metrics.Predictions(
        common.detections([(each.image_id, each.boxes, each.classes) for each in own], 3), CLASSES
    )
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
        for box, score, label in zip(each["boxes"].astype(float), each["scores"], each["classes"])
    ]
    pathlib.Path("coco.json").write_text(json.dumps(entries), encoding="utf-8")
    found["coco_read"] = predictions_of(metrics.load_coco_results("coco.json", {1: 0, 2: 1, 3: 2}, ids))
    return found


def pseudo_boxes():
    detectors, backbone, found = room("detectors"), tiny(), {}
    paths = common.image_files("images", 12)
    settings = {
        "component": {"level": "P4", "threshold": 0.3},
        "similarity": {"level": "P3", "pieces": 2, "smallest": 0.02, "largest": 1.0, "sample": 6},
    }
    for kind, own in settings.items():
        boxes = detectors.pseudo_records(backbone, paths, image_size=SIZE, heatmap=kind, verbose=0, **own)
        found[kind] = {pathlib.Path(each.path).name: each.boxes for each in boxes}
    model = yolov8()
    history = detectors.pretrain_neck(model, records(8), epochs=1, batch_size=4, verbose=0, seed=2)
    return {**found, "history": history.history, "weights": common.weights(model)}


def cams():
    explain, model, found = room("explain"), localizer(), {}
    images = common.images(3, SIZE).astype(np.float32)
    for name, level in (("GradCAM", "P4"), ("GradCAMPlusPlus", "P4"), ("LayerCAM", "P3"), ("ScoreCAM", None)):
        options = {"channels": 6} if name == "ScoreCAM" else {}
        cam = getattr(explain, name)(model, layer=level, **options)
        found[name] = cam(images, [0, 2, 1])
        if name == "GradCAM":
            found["best"] = cam(images)
            checked = explain.randomisation_check(model, lambda cam=cam: cam(images, [0, 2, 1]), steps=3)
            found["randomised"] = [alike for _, alike in checked]
    for kind in (retinanet, yolov8):
        boxes = np.array([common.box(SIZE, SIZE, number)[0] for number in range(3)], np.float32)
        found[kind.__name__] = explain.GradCAM(kind(), layer="P4")(images, [0, 1, 2], boxes=boxes)
    look = explain.SimilarityMap(tiny(), layer="P4")
    centred = explain.SimilarityMap(tiny(), layer="P4", centre=look.mean_embedding(images))
    found["similarity"] = centred(images)
    found["contributions"] = centred.contributions(images, images[::-1])
    found["steps"] = explain.insertion_deletion(model, images, found["GradCAM"], [0, 2, 1], steps=4)
    picture = explain.overlay(images[0], found["GradCAM"][0])
    return {**found, "overlay": np.array(picture)}


def whole_object():
    """Measures of fixed heatmaps, questions about scenes, and how they are averaged over images."""
    import dataclasses

    explain = room("explain")
    heat = common.heatmaps(6, 48, 64)
    draw = np.random.default_rng(2)
    boxes = [
        np.concatenate([low := draw.integers(0, 30, (count, 2)), low + draw.integers(5, 18, (count, 2))], axis=1)
        for count in (1, 2, 1, 0, 3, 1)
    ]
    masks = draw.uniform(size=heat.shape) < 0.2 + 0.4 * heat
    others = np.array([True, False, True, True, False, True])
    ignored = [[[40, 10, 60, 30]]] * 3 + [np.zeros([0, 4])] * 3
    found = {}
    for name, own in (("boxes", {"ignored": ignored}), ("masks", {"masks": masks})):
        scored = explain.whole_object(heat, boxes, others=others, **own)
        found[name] = {field.name: getattr(scored, field.name) for field in dataclasses.fields(scored)}
        found[name] |= {"figures": scored.figures(), "best": scored.best_threshold()}
    asked = explain.questions(scenes(6), SIZE)
    names = ("images", "pictures", "class_ids", "boxes", "ignored", "masks", "others", "tolerances")
    found["questions"] = {name: getattr(asked, name) for name in names}
    found["baselines"] = {
        name: asked.score(each).figures() for name, each in explain.baselines((SIZE, SIZE), len(asked)).items()
    }
    return found


def compare_models():
    """Two networks asked about the same scenes, and an audit of one."""
    explain = room("explain")
    own = scenes(24)
    classes = room("datasets").SCENE_CLASSES
    model = room("models").Localizer(tiny(), classes, SIZE, width=16)
    common.set_weights(model)
    asked = explain.questions(own, SIZE)
    table = explain.compare_arms({"head": model, "features": tiny(4)}, asked, level="P4", steps=2, resamples=50)
    audit = explain.audit(model, own, layer="P4", least=3)
    rows = [{name: each[name] for name in each if name != "path"} for each in audit.rows]
    return {
        "thresholds": table.thresholds,
        "table": table.table,
        "heatmaps": table.heatmaps,
        "randomised": {name: [alike for _, alike in each] for name, each in table.randomised.items()},
        "audit": rows,
        "unused": audit.unused,
        "findings": audit.findings,
    }


def servables():
    _, tf = keras_and_tf()
    serving, found = room("serving"), {}
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
    _, tf = keras_and_tf()
    path = room("serving").export_tflite(localizer(), "localizer.tflite")
    runner = tf.lite.Interpreter(str(path), num_threads=1).get_signature_runner()
    return _outputs(runner(images=common.images(1, SIZE).astype(np.float32)))


def geometry():
    own = scenes(40)
    found = room("explain").geometry(
        {"one": tiny(), "other": tiny(4, "other")},
        own,
        image_size=SIZE,
        neighbours=5,
        batch_size=16,
        layers=("P4", "P5"),
    )
    return {name: found[name] for name in ("images", "arms", "cka", "overlap", "labels", "position_by_shape")}


def intervals():
    """Intervals over images and seeds, and what a comparison's trials show."""
    explain, draw = room("explain"), np.random.default_rng(7)
    pigeonhole = room("experiment.pigeonhole")
    counts = pigeonhole.image_counts(20, 300, 1), pigeonhole.seed_counts(3, 300, 1)
    scores = draw.normal(0.1, 0.3, (2, 3, 20))
    values = {name: draw.normal(level, 1, 20) for name, level in (("ours", 0.5), ("other", 0.2), ("third", 0))}
    paired = explain.paired_bootstrap(
        {name: lambda rows, own=own: {"mean": float(own[rows].mean())} for name, own in values.items()},
        20,
        resamples=200,
    )
    cells = []
    for arm, level in (("ours", 0.6), ("random", 0.3)):
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
                own = {"arm": arm, "protocol": "frozen", "labels": labels, "seed": seed}
                cells.append({**own, "figures": figures, "per_image": each})
    return {
        "counts": counts,
        "interval": pigeonhole.interval(scores, *counts, 0.95),
        "paired": [paired["arms"], paired["differences"]],
        "summary": _summary(cells, {"good": "ours", "poor": "random", "mean_iou": 8}),
    }


def _summary(cells, gate=None):
    """The numbers of a comparison's significance summary."""
    judged = room("experiment.verdict").verdict(cells, baseline=cells[-1]["arm"], gate=gate, resamples=300)
    found = {"passed": None if gate is None else judged["gate"]["passed"]}
    for protocol, own in judged["protocols"].items():
        for count in own["counts"]:
            key = f"{protocol} {count['labels']}"
            found[key] = {arm: each["figures"] for arm, each in count["arms"].items()}
            for each in count["differences"]:
                found[key][f"{each['arm']} - {each['other']}"] = [
                    {name: one[name] for name in ("value", "low", "high", "real", "by_seed")}
                    for one in each["measures"].values()
                ]
    return found


def readers():
    """Records and batches of small data sets of each format, and of shards of them."""
    datasets, found = room("datasets"), {}
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
    sets = {
        "voc": datasets.voc_records("voc", split="train", classes=CLASSES),
        "voc_count": datasets.voc_records("voc", split="train", classes=CLASSES, count=4, seed=2),
        "coco": datasets.coco_records("coco.json", "photos"),
        "voc_fraction": datasets.voc_records(
            "voc", split="train", classes=CLASSES, fraction=0.5, stratified=False, seed=1
        ),
        "yolo": datasets.yolo_records("photos", "labels", classes="classes.txt"),
    }
    datasets.write_shards(sets["voc"], "shards", classes=CLASSES, per_shard=3, image_size=48)
    sets["shards"] = datasets.shard_records("shards")
    for name, own in sets.items():
        names = ("image_id", "height", "width", "boxes", "classes", "difficult", "crowd")
        found[name] = [{field: getattr(each, field) for field in names} for each in own]
    found["coco_objects"] = [[each.coco.boxes, each.coco.areas, each.coco.ids] for each in sets["coco"] if each.coco]
    found["batches"] = {
        "voc": _arrays(datasets.voc("voc", split="train", classes=CLASSES, image_size=32, batch_size=3, shuffle=True)),
        "coco": _arrays(datasets.coco("coco.json", "photos", image_size=32, batch_size=3, flip=True)),
        "yolo": _arrays(datasets.yolo("photos", "labels", classes="classes.txt", image_size=32, batch_size=3)),
        "shards": _arrays(datasets.labelled_shards("shards", image_size=32, batch_size=3)),
        "photos": _arrays(datasets.image_folder("photos", image_size=32, batch_size=3, seed=4)),
        "cached": _arrays(datasets.image_folder("photos", image_size=32, batch_size=3, seed=4, cache="memory")),
        "packed": _arrays(datasets.shards("shards", image_size=32, batch_size=3, seed=4)),
    }
    scene = scenes(2)
    found["scenes"] = [datasets.read_image(each.path) for each in scene] + [each.boxes for each in scene]
    return found


def backbone():
    """A network of `keras.applications` with fast layers: its weights in a file, features and a step of training."""
    _, tf = keras_and_tf()
    backbones = room("backbones")
    model = common.set_weights(backbones.build("MobileNetV3Small"))
    images = common.images(2, SIZE).astype(np.float32)
    backbones.save(model, "backbone.keras")
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(tf.square(model(images, training=True)))
    gradients = tape.gradient(value, model.trainable_variables)
    return {
        "checksum": backbones.checksum(backbones.table(model)),
        "features": np.array(backbones.load("backbone.keras")(images)),
        "trained": np.array(value),
        "gradients": [np.array(each) for each in gradients],
        "statistics": common.weights(model),
    }


CONFIG = """
data: {scenes: {train: 10, val: 6, unlabelled: 16, single_object: true}}
pretrain: {image_size: 32, batch_size: 8, epochs: 1, optimizer: adamw, hidden_dim: 8, projection_dim: 8}
frozen: {image_size: 64, batch_size: 4, epochs: 1, width: 8, seeds: 2}
detector: {kind: yolov8, image_size: 64, batch_size: 4, epochs: 1, width: 8, augmentation: {mosaic: 0.5}, arms: [given]}
compare: {labels: [8]}
arms:
  self-supervised: {start: given.keras, pretrain: {}}
  given: given.keras
"""


def compare():
    """A comparison of two variants on generated scenes, from the command line to its report."""
    room("backbones").save(tiny(), "given.keras")
    pathlib.Path("run.yaml").write_text(CONFIG)
    status = room("experiment.cli").main(["compare", "--config", "run.yaml", "--out", "out"])
    out = pathlib.Path("out")
    cells = [common.json_of(path) for path in sorted((out / "cells").rglob("*.json"))]
    results = common.json_of(out / "results.json")
    found = {
        f"{each['arm']} {each['protocol']} {each['seed']}": [
            each["figures"], each["per_image"], each["images"], each["steps"]
        ]
        for each in cells
    }  # fmt: skip
    table = {
        arm: {
            protocol: {name: own[name] for name in own if name not in ("minutes", "labels", "seeds", "kind")}
            for protocol, own in results["arms"][arm].items()
            if protocol in ("frozen", "detector")
        }
        for arm in ("self-supervised", "given")
    }
    pretrain = results["arms"]["self-supervised"]["pretrain"]
    return {
        "status": status,
        "cells": found,
        "table": table,
        "pretrain": [pretrain["checksum"], pretrain["images"], pretrain["steps"]],
        "summary": _summary(cells),
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
