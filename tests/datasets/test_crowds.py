"""Crowd regions stay marked on every path, and nothing takes them for objects."""

import json
import sys

import numpy as np
import pytest

from kerassl import UserError
from kerassl.augment import BoxAugmentation
from kerassl.datasets import DetectionDataset, Record, card, detection_batches, single_object_batches, write_shards
from kerassl.datasets.formats.annotation import read_flag
from kerassl.explain import localization_targets


@pytest.fixture
def crowded(tmp_path, save_image):
    """`crowded(**first)`: a COCO json of an object beside a larger crowd region, and of a crowd alone."""

    def make(**first):
        annotations = [
            {"bbox": [10, 5, 20, 20], "image_id": 1, "category_id": 1, **first},
            {"bbox": [0, 0, 60, 40], "image_id": 1, "category_id": 2, "iscrowd": 1},
            {"bbox": [0, 0, 50, 40], "image_id": 2, "category_id": 1, "iscrowd": 1},
        ]
        content = {
            "images": [{"id": key, "file_name": f"{key}.png"} for key in (1, 2)],
            "annotations": [{"id": key, **each} for key, each in enumerate(annotations, 1)],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
        for key in (1, 2):
            save_image(tmp_path / f"{key}.png", 40, 60)
        (tmp_path / "a.json").write_text(json.dumps(content))
        return DetectionDataset.from_coco(tmp_path / "a.json", tmp_path)

    return make


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("word", "crowd"),
    [(word, False) for word in (0, 0.0, False, "0", "0.0", "false", " False", "no", "Unspecified", "", None)]
    + [(word, True) for word in (1, 1.0, True, "1", "1.0", "true", "TRUE ", "yes")],
)
def test_iscrowd_is_read_for_what_it_means_when_it_is_a_word(crowded, word, crowd):
    assert read_flag(word) is crowd
    first = crowded(iscrowd=word)[0]
    assert (first.crowd.tolist(), first.difficult.tolist()) == ([crowd, True], [False, False])


@pytest.mark.current_stack
@pytest.mark.parametrize("word", ["maybe", 2, -1, 0.5, [1], float("nan")])
def test_iscrowd_is_refused_with_its_value_when_it_means_neither(crowded, word):
    with pytest.raises(UserError, match=r"annotation 1 has the iscrowd .*; give 1 for a crowd") as error:
        crowded(iscrowd=word)
    assert str(word) in str(error.value)


@pytest.mark.current_stack
def test_crowds_are_no_objects_when_batches_are_made(crowded):
    records = crowded()
    assert [record.largest() for record in records] == [0, None]
    (batch,) = detection_batches(records, 64, 2)
    assert batch["bounding_boxes"]["classes"].numpy().tolist() == [[0], [-1]]
    mosaics = detection_batches([*records] * 2, 64, 4, augmentation=BoxAugmentation(mosaic=1.0))
    assert mosaics.element_spec["bounding_boxes"]["classes"].shape[1:] == (2,)  # of four images together
    ((images, labels),) = single_object_batches(records, 64, 2)
    assert images.shape[0] == 1
    np.testing.assert_allclose(labels["box"], np.array([[10, 5, 30, 25]]) * 64 / 60 / 64, rtol=1e-6)
    assert labels["class"].numpy().tolist() == [0]
    with pytest.raises(UserError, match="none of 1 images"):
        single_object_batches(records[1:], 64, 1)


@pytest.mark.current_stack
def test_crowds_are_no_objects_when_labels_are_counted_drawn_or_asked_about(crowded):
    records = crowded()
    found = card.label_card(records, ["cat", "dog"])
    assert (found.boxes.tolist(), found.images.tolist(), found.per_image.tolist()) == ([1, 0], [1, 0], [1, 0])
    assert (len(found.sizes), found.crowds) == (1, 2)
    plain = Record("1", records[0].path, 40, 60, records[0].boxes[:1], records[0].classes[:1], np.zeros(1, bool))
    np.testing.assert_array_equal(records[0].plot(), plain.plot())
    asked = localization_targets(records, 64)
    assert (len(asked), asked.class_ids.tolist(), asked.others.tolist()) == (1, [0], [False])


@pytest.mark.current_stack
@pytest.mark.parametrize("old", [False, True])
def test_shards_keep_crowds_and_are_read_without_them_when_they_are_old(crowded, tmp_path, monkeypatch, old):
    records = crowded()
    if old:
        module = sys.modules["kerassl.datasets.shards.writer"]
        plain = module.shard_example
        monkeypatch.setattr(module, "shard_example", lambda *given: _without(plain(*given), "image/object/is_crowd"))
    write_shards(records, tmp_path / "shards", progress=False)
    for ours, theirs in zip(DetectionDataset.from_shards(tmp_path / "shards"), records, strict=True):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        assert ours.crowd.tolist() == [each and not old for each in theirs.crowd]
        assert ours.named.names == theirs.named.names == ("cat", "dog")
        assert (ours.crowd.dtype, ours.difficult.tolist()) == (np.bool_, theirs.difficult.tolist())


def _without(example, feature):
    import tensorflow as tf

    read = tf.train.Example.FromString(example)
    del read.features.feature[feature]
    return read.SerializeToString()
