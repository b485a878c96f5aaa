import dataclasses
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import backbones, datasets, detectors
from kerassl._errors import UserError
from kerassl.backbones import weights as backbone_weights
from kerassl.detectors.localizer.frozen_features import statistics
from kerassl.detectors.localizer.head import feature_head
from kerassl.resizing import letterbox

CLASSES = datasets.SCENE_CLASSES
SIZE = 64


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Scenes of one object, wider than they are high."""
    root = tmp_path_factory.mktemp("scenes") / "devkit"
    datasets.write_scenes(root, train=24, val=0, unlabeled=0, image_size=(64, 96), single_object=True)
    return datasets.DetectionDataset.from_voc(root, 2007, "train", class_names=CLASSES)


def features_of(backbone, records, **settings):
    return detectors.FrozenFeatures(backbone, records, SIZE, **settings)


@pytest.fixture(scope="module")
def features(tiny_backbone, records):
    """Of all records, for tests that only read them."""
    return features_of(tiny_backbone(), records)


def fitted(features, **settings):
    return detectors.fit_frozen(features, CLASSES, **{"epochs": 1, "batch_size": 8, "num_filters": 16, **settings})


def level(backbone, name, image):
    layer = backbone.get_layer(backbones.pyramid(backbone)[name])
    return keras.Model(backbone.input, layer.output)(image[None], training=False)[0]


def test_maps_are_those_of_the_network_and_the_second_view_is_the_mirror_image(tiny_backbone, records):
    backbone = tiny_backbone()
    features = features_of(backbone, records, batch_size=5)
    assert len(features) == len(records)
    for row in (0, 7):
        image = datasets.read_image(records[row].path)
        for view, shown in enumerate((image, image[:, ::-1])):
            square, scale = letterbox(shown, SIZE)
            for maps, name in zip(features.maps, ("P4", "P5")):
                np.testing.assert_allclose(maps[row, view], level(backbone, name, square), atol=1e-5)
            # The object's pixels lie in the box: the box of the mirror image holds the same pixels, turned around.
            x0, y0, x1, y1 = np.round(features.boxes[row, view] * SIZE / float(scale)).astype(int)
            crop = shown[y0:y1, x0:x1]
            if view == 0:
                first = crop
        np.testing.assert_array_equal(crop, first[:, ::-1])
        assert first.size
        place = records[row].largest()
        assert features.labels[row] == records[row].classes[place]
        np.testing.assert_allclose(features.boxes[row, 0] * 96, records[row].boxes[place], atol=1e-4)


@pytest.mark.current_stack
def test_batches_give_each_image_once_with_the_box_of_its_view(features, records):
    seen, views = [], []
    batches = features.batches(10, shuffle=True, flip=True, seed=3)
    for _ in range(2):
        for maps, targets in batches:
            for p4, p5, box, label in zip(*maps, targets["box"], targets["class"]):
                row, view = np.argwhere((features.maps[0] == p4.numpy()).all((2, 3, 4)))[0]
                np.testing.assert_array_equal(features.maps[1][row, view], p5)
                np.testing.assert_array_equal(features.boxes[row, view], box)
                assert features.labels[row] == label
                seen.append(row)
                views.append(view)
    count = len(records)
    assert sorted(seen[:count]) == sorted(seen[count:]) == list(range(count))
    assert seen[:count] != seen[count:]
    assert views[:count] != views[count:]
    assert 0.25 < np.mean(views) < 0.75
    plain = list(features.batches(10))
    np.testing.assert_array_equal(plain[0][0][0], features.maps[0][:10, 0])


@pytest.mark.current_stack
def test_statistics_equal_those_of_all_locations(features):
    for (mean, deviation), maps in zip(features.statistics, features.maps):
        locations = maps.astype("float64").reshape(-1, maps.shape[-1])
        np.testing.assert_allclose(mean, locations.mean(0), atol=1e-5)
        np.testing.assert_allclose(deviation, locations.std(0), rtol=1e-4)
    # The scale of random networks, and a channel that is silent in these images.
    small = features.maps[1] * np.float32(1e-18)
    np.testing.assert_allclose(statistics([small])[0][1], 1e-18 * deviation, rtol=1e-4)
    small[..., 3] = 0
    silent = statistics([small])[0][1]
    rest = np.delete(silent, 3)
    assert silent[3] == pytest.approx(0.1 * np.sqrt(np.sum(rest.astype("float64") ** 2) / len(silent)), rel=1e-4)


def test_joined_localizer_answers_as_the_head_on_features(features, records, tmp_path):
    localizer = fitted(features)
    images = np.stack([letterbox(datasets.read_image(record.path), SIZE)[0] for record in records])
    head = feature_head(localizer, [level.shape[2:] for level in features.maps])(
        [maps[:, 0] for maps in features.maps], training=False
    )
    joined = localizer(images, training=False)
    for name in ("class", "box"):
        np.testing.assert_allclose(joined[name], head[name], atol=1e-5)
    found = detectors.predict(localizer, records, batch_size=7, verbose=0)
    quick = detectors.predict(localizer, features, batch_size=9, verbose=0)
    assert list(quick) == list(found)
    for image_id, one in found.items():
        np.testing.assert_allclose(quick[image_id].boxes, one.boxes, atol=1e-3)
        np.testing.assert_allclose(quick[image_id].logits, one.logits, atol=1e-5)
    localizer.save(tmp_path / "localizer.keras")
    loaded = keras.saving.load_model(tmp_path / "localizer.keras")
    for name in ("class", "box"):
        np.testing.assert_allclose(loaded(images, training=False)[name], joined[name], atol=1e-6)


@pytest.mark.current_stack
def test_features_are_learned_saved_and_predicted_with_when_levels_are_others(
    tiny_backbone, eagerly, records, tmp_path
):
    backbone, levels = tiny_backbone(), ("P3", "P4")
    features = features_of(backbone, records, levels=levels, cache=tmp_path / "features")
    square, _ = letterbox(datasets.read_image(records[2].path), SIZE)
    assert len(features.maps) == len(levels)
    for maps, name in zip(features.maps, levels):
        np.testing.assert_allclose(maps[2, 0], level(backbone, name, square), atol=1e-5)
    model = fitted(features)
    model.save(tmp_path / "localizer.keras")
    loaded = keras.saving.load_model(tmp_path / "localizer.keras")
    assert (model.levels, loaded.levels) == (levels, levels)
    answers = model(square[None], training=False)
    for key, value in loaded(square[None], training=False).items():
        np.testing.assert_allclose(value, answers[key], atol=1e-5)
    computed = features_of(backbone, records, levels=levels, flip=False)
    from_features = detectors.predict(loaded, computed, verbose=0)
    from_files = detectors.predict(model, records, verbose=0)
    for name, found in from_files.items():
        np.testing.assert_allclose(from_features[name].boxes, found.boxes, atol=1e-2)
        np.testing.assert_allclose(from_features[name].logits, found.logits, atol=1e-4)


def test_layers_beyond_the_levels_are_unchanged_when_all_others_are_trained(tiny_backbone, eagerly, records, caplog):
    backbone = tiny_backbone()
    model = detectors.Localizer(backbone, CLASSES, SIZE, num_filters=4, levels=["P3", "P4"])
    flags = [layer.trainable for layer in backbone.layers]
    model.compile()
    before = backbone_weights.table(backbone)
    with caplog.at_level(logging.WARNING):
        model.fit(datasets.single_object_batches(records, SIZE, 8), epochs=1, verbose=0)
    assert "Gradients do not exist" not in caplog.text
    assert [layer.trainable for layer in backbone.layers] == flags
    same = {name for name, weight in backbone_weights.table(backbone).items() if np.array_equal(weight, before[name])}
    layers = backbones.pyramid(backbone)
    needed = {each.name for each in keras.Model(backbone.input, backbone.get_layer(layers["P4"]).output).layers}
    assert same == {name for name in before if name.split("/")[0] not in needed}
    assert same


@pytest.mark.current_stack
def test_maps_are_enlarged_and_added_up_when_levels_are_several(tiny_backbone):
    model = detectors.Localizer(tiny_backbone(), CLASSES, SIZE, num_filters=4, levels=["P3", "P4", "P5"])
    outputs = [model.get_layer(name).output for name in ("neck_p3", "neck_p4", "neck_p5", "neck_add")]
    images = np.random.default_rng(0).uniform(0, 255, [2, SIZE, SIZE, 3]).astype("float32")
    p3, p4, p5, joined = (np.array(part) for part in keras.Model(model.input, outputs)(images, training=False))
    assert (p3.shape[1], p4.shape[1], p5.shape[1]) == (SIZE // 8, SIZE // 16, SIZE // 32)
    for row, column in ((0, 0), (3, 6), (7, 7)):
        expected = p3[:, row, column] + p4[:, row // 2, column // 2] + p5[:, row // 4, column // 4]
        np.testing.assert_allclose(joined[:, row, column], expected, atol=1e-5)


@pytest.mark.current_stack
def test_backbone_stays_as_it_is_and_the_head_learns(tiny_backbone, records):
    backbone = tiny_backbone()
    before = [np.array(weight) for weight in backbone.get_weights()]
    features = features_of(backbone, records)
    history = keras.callbacks.History()
    fitted(features, epochs=6, learning_rate=2e-2, callbacks=[history])
    for weight, old in zip(backbone.get_weights(), before):
        np.testing.assert_array_equal(weight, old)  # moving statistics of the batch norm included
    loss = history.history["loss"]
    assert len(loss) == 6
    assert loss[-1] < 0.75 * loss[0]


def test_seed_decides_the_result_and_later_trainings_trace_nothing(features, monkeypatch):
    """Trainings of one shape share a traced step, whose optimizer has to forget the one before."""
    traced = []

    def counted(y_true, y_pred):
        traced.append(y_pred)
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

    monkeypatch.setattr("kerassl.detectors.localizer.losses.ClassLoss", lambda **kwargs: counted)
    first = fitted(features, num_filters=24, seed=0).get_weights()
    assert traced
    traced.clear()
    other, again = (fitted(features, num_filters=24, seed=seed).get_weights() for seed in (1, 0))
    assert not traced
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other))


@pytest.mark.current_stack
def test_cache_on_disk_is_used_again_and_belongs_to_network_images_size_and_levels(tiny_backbone, records, tmp_path):
    backbone = tiny_backbone()
    memory = features_of(backbone, records)
    features_of(backbone, records, cache=tmp_path)
    (folder,) = tmp_path.iterdir()
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = features_of(backbone, records, cache=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    for first, second in zip(memory.maps, again.maps):
        np.testing.assert_array_equal(first, second)
    assert [record.image_id for record in again.records] == [record.image_id for record in records]
    backbone.get_layer("bn5").moving_mean.assign_add(tf.ones([16]))
    changed = features_of(backbone, records, cache=tmp_path)
    assert not np.array_equal(changed.maps[1], memory.maps[1])
    features_of(backbone, records[1:], cache=tmp_path)
    features_of(backbone, records, cache=tmp_path, flip=False)
    detectors.FrozenFeatures(backbone, records, 96, cache=tmp_path)
    features_of(backbone, records, cache=tmp_path, levels=["P5"])
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.current_stack
def test_cache_that_was_damaged_is_left_alone_and_computed_again_beside_it(features, records, tmp_path, caplog):
    backbone = features.backbone
    memory = [np.array(level) for level in features_of(backbone, records, cache=tmp_path).maps]
    (folder,) = tmp_path.iterdir()
    for name, place in (("P5.f32", -1), ("header.json", -40)):
        file = folder / name
        whole = bytearray(file.read_bytes())
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + (whole[place:][1:]))
        again = features_of(backbone, records, cache=tmp_path)
        assert f"the features in {folder} are damaged" in caplog.text
        assert len(list(tmp_path.iterdir())) == 2
        for first, second in zip(memory, again.maps):
            np.testing.assert_array_equal(first, second)
        assert [record.image_id for record in again.records] == [record.image_id for record in records]
        file.write_bytes(whole)
        caplog.clear()


@pytest.mark.current_stack
def test_file_is_left_out_when_it_is_broken(features, records, tmp_path, caplog):
    whole = features
    broken = dataclasses.replace(records[1], image_id="broken", path=str(tmp_path / "broken.jpg"))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING, "kerassl"):
        features = features_of(whole.backbone, [records[0], broken, records[2]], cache=tmp_path / "cache")
    assert "broken.jpg" in caplog.text
    assert features.records == [records[0], records[2]]
    np.testing.assert_array_equal(features.boxes, whole.boxes[[0, 2]])
    assert features.maps[0].shape[0] == len(features.labels) == 2


@pytest.mark.current_stack
def test_input_is_refused_in_one_line_when_invalid(features, tiny_backbone, records, tmp_path, monkeypatch):
    backbone, one = features.backbone, features.take([0])
    nothing = dataclasses.replace(records[0], difficult=np.ones(len(records[0].classes), bool))
    features = features_of(backbone, records[:3], flip=False)
    localizer = detectors.Localizer(tiny_backbone(width=4), CLASSES, SIZE, num_filters=8)
    larger = detectors.Localizer(backbone, CLASSES, 96, num_filters=8)
    finer = detectors.Localizer(backbone, CLASSES, SIZE, num_filters=8, levels=["P3", "P4", "P5"])
    changed = features_of(tiny_backbone(), records[:3])
    changed.backbone.get_layer("conv1").kernel.assign(tf.ones([3, 3, 3, 8]))
    monkeypatch.setattr("kerassl.detectors.localizer.frozen_features.available_memory", lambda: 2**10)
    for call, message in (
        (lambda: features_of(backbone, [nothing]), "none of 1 images has an object"),
        (lambda: features_of(backbone, []), "none of 0 images"),
        (lambda: fitted(features), "no mirror images"),
        (lambda: fitted(changed), "other weights"),
        (lambda: detectors.predict(localizer, features), "other weights or another network"),
        (lambda: detectors.predict(larger, features), "96 px"),
        (lambda: detectors.predict(finer, features), "of P4, P5, and the localizer takes P3, P4, P5"),
        (lambda: detectors.fit_frozen(one, CLASSES, num_filters=8, start=finer), "give both the same levels"),
        (lambda: features_of(backbone, records, levels=["P3", "P5"]), "neck takes one of P3"),
        (lambda: features_of(backbone, records), "GiB of memory"),
        (lambda: detectors.FrozenFeatures(backbone, records, 100), "96 or 128"),
    ):
        with pytest.raises(UserError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.current_stack
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_features_that_are_taken_are_those_of_these_images_alone(features, records, tmp_path, where):
    backbone, rows = features.backbone, [3, 4, 9, 20]
    whole = features_of(backbone, records, cache=tmp_path) if where == "disk" else features
    whole.statistics  # noqa: B018  # of all images: those that are taken have their own
    taken, alone = whole.take(rows), features_of(backbone, [records[row] for row in rows])
    assert [record.image_id for record in taken.records] == [record.image_id for record in alone.records]
    np.testing.assert_array_equal(taken.boxes, alone.boxes)
    for (mean, deviation), (expected_mean, expected) in zip(taken.statistics, statistics(alone.maps)):
        np.testing.assert_allclose(mean, expected_mean, atol=1e-5)
        np.testing.assert_allclose(deviation, expected, atol=1e-5)
    (maps, targets), (expected_maps, expected) = (next(iter(each.batches(4, flip=True))) for each in (taken, alone))
    for one, other in zip(maps, expected_maps):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_array_equal(targets["box"], expected["box"])
