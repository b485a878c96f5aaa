"""A localizer's neck and box head, which learn before there are labels."""

import types

import numpy as np
import pytest

from kerassl import UserError, datasets, detectors
from kerassl.backbones import weights as backbone_weights
from kerassl.detectors.localizer.pretrain_localizer import _groups

CLASSES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Scenes with the boxes that they were drawn with."""
    root = datasets.write_scenes(
        tmp_path_factory.mktemp("data") / "scenes", train=12, val=0, image_size=(64, 80), single_object=True
    )
    return datasets.DetectionDataset.from_voc(root, 2007, "train", class_names=datasets.SCENE_CLASSES)


def localizer_of(backbone, **settings):
    localizer = detectors.Localizer(backbone, CLASSES, 64, num_filters=8, **settings)
    localizer.compile()
    return localizer


def pretrain(localizer, records, **settings):
    settings = {"epochs": 1, "batch_size": 4, "groups": 3, "verbose": 0, **settings}
    return detectors.pretrain_localizer(localizer, records, **settings)


def test_neck_and_box_head_learn_and_all_else_stays(tiny_backbone, records):
    localizer = localizer_of(tiny_backbone())
    localizer.backbone.get_layer("bn2").trainable = False
    flags = {layer.name: layer.trainable for layer in localizer.layers}
    before, slots = backbone_weights.table(localizer), [np.array(slot) for slot in localizer.optimizer.variables]
    loss = pretrain(localizer, records, epochs=6, learning_rate=5e-3).history["loss"]
    assert loss[-1] < 0.9 * loss[0]
    after = backbone_weights.table(localizer)
    held = {layer.name for layer in localizer.backbone.layers} | {"class"}
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {name for name in after if name.split("/")[0] not in held}
    assert {layer.name: layer.trainable for layer in localizer.layers} == flags
    assert int(localizer.optimizer.iterations) == 0
    for old, new in zip(slots, localizer.optimizer.variables):
        np.testing.assert_array_equal(np.array(new), old)


@pytest.mark.current_stack
def test_head_on_frozen_features_continues_when_classes_differ(tiny_backbone, eagerly, records, tmp_path):
    backbone = tiny_backbone()
    before = localizer_of(backbone)
    pretrain(before, records)
    features = detectors.FrozenFeatures(backbone, records, 64)
    settings = {"batch_size": 4, "epochs": 1, "num_filters": 8}
    classes = [*datasets.SCENE_CLASSES, "one more"]
    after = detectors.fit_frozen(features, classes, start=before, learning_rate=1e-9, **settings)
    boxes, again = (detectors.predict(model, features, verbose=0) for model in (before, after))
    for name in boxes:
        # The step is next to none, but batch normalization has seen other batches.
        np.testing.assert_allclose(again[name].boxes, boxes[name].boxes, atol=6)
    same = ("standard_p4", "standard_p5", "neck_p4", "head_conv2", "sides", "cell_scores")
    for name in same:
        for one, other in zip(before.get_layer(name).get_weights(), after.get_layer(name).get_weights()):
            np.testing.assert_allclose(other, one, atol=1e-6)
    assert detectors.save_neck(before, tmp_path / "neck.npz") == detectors.load_neck(after, tmp_path / "neck.npz")
    with pytest.raises(UserError, match="start has a neck of 8 channels, and num_filters is 16"):
        detectors.fit_frozen(features, classes, start=before, num_filters=16)
    with pytest.raises(UserError, match="other weights or another network"):
        detectors.fit_frozen(features, classes, start=localizer_of(tiny_backbone()), num_filters=8)


@pytest.mark.current_stack
def test_neck_learns_at_each_level_when_there_are_three(tiny_backbone, eagerly, records):
    localizer = localizer_of(tiny_backbone(), levels=["P3", "P4", "P5"])
    before = localizer.get_layer("neck_p3").get_weights()[0]
    pretrain(localizer, records)
    assert not np.array_equal(localizer.get_layer("neck_p3").get_weights()[0], before)
    assert localizer.get_layer("standard_p3").get_weights()[1].std() > 0


@pytest.mark.current_stack
def test_bits_are_the_same_when_trained_twice(tiny_backbone, records):
    backbone, sums = tiny_backbone(), []
    for _ in range(2):
        localizer = localizer_of(backbone)
        pretrain(localizer, records, seed=3)
        sums.append(
            [array.tobytes() for name, array in backbone_weights.table(localizer).items() if "class" not in name]
        )
    assert sums[0] == sums[1]


@pytest.mark.current_stack
def test_photos_are_sorted_by_what_their_features_say():
    draw = np.random.default_rng(0)
    kinds = np.arange(30) % 3
    # In the first view alone: the mirror image says the same.
    maps = draw.normal(0, 0.3, [30, 2, 2, 2, 4])
    maps[:, 0] += 5 * np.eye(4)[kinds][:, None, None]
    features = type("Features", (), {"maps": [None, maps.astype(np.float32)], "__len__": lambda self: 30})()
    found = _groups(features, 3, seed=0)
    assert found.dtype == np.int32
    pairs = set(zip(kinds, found))
    assert len(pairs) == 3
    assert {group for _, group in pairs} == {0, 1, 2}
    features.maps[1][:] = 1
    assert not _groups(features, 3, seed=0).any()


@pytest.mark.current_stack
def test_localizer_is_unchanged_when_pretraining_is_refused(tiny_backbone, records, monkeypatch):
    localizer = localizer_of(tiny_backbone())
    before = backbone_weights.checksum(backbone_weights.table(localizer))
    flags = [layer.trainable for layer in localizer.layers]
    nan = types.SimpleNamespace(history=types.SimpleNamespace(history={"loss": [1.0, float("nan")]}))
    monkeypatch.setattr(detectors, "fit_frozen", lambda *_, **__: nan)
    for ask, message in (
        (lambda: pretrain(localizer, records), "became NaN or infinite; lower its learning_rate"),
        (lambda: pretrain(localizer, records, epochs=0), "epochs is 0; give 1 or more"),
        (lambda: pretrain(localizer, records, groups=0), "groups is 0; give 1 or more"),
        (lambda: pretrain(localizer.backbone, records), "is no detectors.Localizer"),
        (lambda: detectors.pretrain_neck(localizer, records), "a localizer to pretrain_localizer"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert backbone_weights.checksum(backbone_weights.table(localizer)) == before
    assert [layer.trainable for layer in localizer.layers] == flags


@pytest.mark.current_stack
def test_network_whose_features_are_all_but_0_is_refused_unless_it_stays_frozen(tiny_backbone, records):
    backbone = tiny_backbone()
    for layer in backbone.layers:
        if "bn" in layer.name:
            gamma, *others = layer.get_weights()
            layer.set_weights([1e-8 * gamma, *others])
    with pytest.raises(UserError, match="are almost 0, as of an untrained network"):
        pretrain(localizer_of(backbone), records)
    backbone.trainable = False
    loss = pretrain(localizer_of(backbone), records).history["loss"]
    assert np.isfinite(loss).all()
