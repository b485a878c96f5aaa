"""Geometry of tiny networks on generated scenes."""

import importlib.util
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError, datasets
from kerassl import features as spaces
from kerassl.augment import SimCLRViews
from kerassl.features.model_features import _middle_squares, model_features
from kerassl.features.view_operations import OPERATIONS, view_operations
from kerassl.resizing import letterbox

SIZE = 64


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("geometry") / "scenes"
    datasets.write_scenes(folder, train=40, val=1, unlabeled=0, single_object=True, seed=0)
    return datasets.DetectionDataset.from_voc(folder, 2007, "train", class_names=datasets.SCENE_CLASSES)


@pytest.fixture(scope="module")
def models(tiny_backbone):
    keras.utils.set_random_seed(0)
    return {"one": tiny_backbone(8), "other": tiny_backbone(8, name="second"), "narrow": tiny_backbone(4, name="third")}


@pytest.fixture(scope="module")
def found(models, records):
    return spaces.feature_geometry(models, records, image_size=SIZE, neighbors=5, batch_size=7).to_dict()


@pytest.fixture(scope="module")
def alone(models, records):
    """Of one model, of images without labels, in other batches, and with homology where ripser is installed."""
    return spaces.feature_geometry(
        {"one": models["one"]}, [record.path for record in records], image_size=SIZE, layers=["P5"], batch_size=20,
        homology=importlib.util.find_spec("ripser") is not None,
    ).to_dict()  # fmt: skip


@pytest.fixture
def photos():
    return tf.constant(np.random.default_rng(0).uniform(0, 255, [6, SIZE, SIZE, 3]), tf.float32)


@pytest.mark.current_stack
def test_each_operation_of_views_changes_one_property(photos):
    views = SimCLRViews(SIZE)
    operations = view_operations(views)
    assert tuple(operations) == OPERATIONS
    changed = {name: operation(photos, tf.constant([3, 0])).first for name, operation in operations.items()}
    images = photos.numpy()
    luma = images @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(changed["flip"], images[:, :, ::-1], atol=1e-2)
    np.testing.assert_allclose(changed["grayscale"], np.repeat(luma[..., None], 3, axis=-1), atol=1e-2)
    # Brightness is one factor for the image's pixels, as far as they are not clipped.
    bright = changed["brightness"].numpy()
    for image, own in zip(images, bright):
        inside = (own > 1) & (own < 254)
        ratios = own[inside] / image[inside]
        assert ratios.std() < 1e-3
        assert abs(ratios.mean() - 1) > 1e-3
    # Hue and saturation leave the luma as it is where nothing is clipped, contrast its mean about there.
    for name in ("hue", "saturation"):
        own = changed[name].numpy()
        inside = ((own > 1) & (own < 254)).all(axis=-1)
        np.testing.assert_allclose((own @ np.array([0.299, 0.587, 0.114]))[inside], luma[inside], atol=0.1)
        assert np.abs(own - images).mean() > 1
    assert not np.allclose(changed["contrast"], images, atol=1)
    rough = [np.abs(np.diff(each, axis=1)).mean() for each in (images, changed["blur"].numpy())]
    assert rough[1] < 0.8 * rough[0]
    crops = operations["crop"](photos, tf.constant([3, 0]))
    assert tf.reduce_any(crops.first_boxes != tf.constant([0.0, 0, 1, 1]))
    assert not tf.reduce_any(crops.first_flips)
    # What is drawn is what the whole policy draws at that place.
    np.testing.assert_array_equal(crops.first_boxes, views(photos, tf.constant([3, 0])).first_boxes)


@pytest.mark.current_stack
def test_operations_that_are_off_leave_the_image_as_it_is(photos):
    still = view_operations(SimCLRViews(SIZE, strength=0.0, sigma=(1e-3, 1e-3), scale=(1, 1), ratio=(1, 1)))
    for name in set(OPERATIONS) - {"flip", "grayscale"}:
        np.testing.assert_allclose(still[name](photos, tf.constant([1, 1])).first, photos, atol=1e-2)


def test_middle_square_is_that_of_the_image_and_not_of_its_margin():
    image = np.zeros([2, 64, 64, 3], np.float32)
    image[0, :32] = np.arange(64)[None, :, None]  # twice as wide as high
    image[1, :, :48] = np.arange(64)[:, None, None]
    squares = _middle_squares(tf.constant(image), tf.constant([[0.5, 1.0], [1.0, 0.75]])).numpy()
    expected = 16 + (np.arange(64) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(squares[0, 5, 2:-2, 0], expected[2:-2], atol=1e-3)
    expected = 8 + (np.arange(64) + 0.5) * 0.75 - 0.5
    np.testing.assert_allclose(squares[1, 2:-2, 60, 0], expected[2:-2], atol=1e-3)


def pooled(backbone, records, layer):
    images = np.stack([letterbox(datasets.read_image(record.path), SIZE)[0] for record in records])
    maps = keras.Model(backbone.input, backbone.get_layer(layer).output)(images, training=False)
    return np.asarray(maps, np.float64)


@pytest.mark.parametrize("sides", [(1.0, 1 / 64), (1 / 64, 1.0), (1 / 64, 1 / 64)])
def test_middle_square_is_a_pixel_when_the_image_is_thin(sides):
    images = tf.fill([1, 64, 64, 3], 7.0)
    np.testing.assert_array_equal(_middle_squares(images, tf.constant([sides])), images)


def test_features_are_those_of_each_image_by_itself(models, records):
    models, records = {name: models[name] for name in ("one", "narrow")}, records[:12]
    _, shares, features = model_features(models, records, SIZE, ("P3", "P5"), SimCLRViews(SIZE), batch_size=7)
    last = pooled(models["one"], records, "act5")
    np.testing.assert_allclose(features["one"].last_map.reshape(last.shape), last, atol=1e-4)
    np.testing.assert_allclose(features["one"].pooled["P5"], last.mean(axis=(1, 2)), atol=1e-5)
    first = pooled(models["narrow"], records, "act3").mean(axis=(1, 2))
    np.testing.assert_allclose(features["narrow"].pooled["P3"], first, atol=1e-5)
    sides = np.array([[record.height, record.width] for record in records])
    np.testing.assert_allclose(shares, sides / sides.max(axis=1, keepdims=True), atol=0.5 / SIZE)


@pytest.mark.current_stack
def test_geometry_does_not_depend_on_the_batch_size(found, alone):
    own, again = found["models"]["one"], alone["models"]["one"]
    for name in OPERATIONS:
        assert again["invariance"][name] == pytest.approx(own["invariance"][name], abs=1e-3)
    assert again["alignment"] == pytest.approx(own["alignment"], abs=1e-3)


def test_geometry_is_complete_and_json_when_images_are_scenes(found, records):
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["images"] == len(records) == 40
    for model in found["models"].values():
        for level in model["layers"].values():
            assert 1 <= level["effective_rank"] <= level["width"]
            assert 1 <= level["effective_rank_centered"] <= level["width"]
            assert math.fsum(level["spectrum"]) == pytest.approx(1)
            assert level["intrinsic_dimension"] > 0
            assert 0 <= level["knn_accuracy"] <= 1
            assert level["scatter_ratio"] > 0
        assert set(model["invariance"]) == set(OPERATIONS)
        assert all(value <= 1 for value in model["invariance"].values())
        assert model["uniformity"] < 0 < model["alignment"]
        assert set(model["position"]) == {"pooled", "map"}
    assert found["overlap"]["chance"] == pytest.approx(5 / 39)
    assert np.diag(found["overlap"]["matrix"]) == pytest.approx(1)
    assert np.diag(found["cka"]["linear"]) == pytest.approx(1)
    assert found["labels"]["classes"] == len({int(record.classes[record.largest()]) for record in records})


@pytest.mark.current_stack
def test_geometry_equals_the_functions_of_each_metric(found, models, records):
    features = pooled(models["one"], records, "act5").mean(axis=(1, 2))
    labels = np.array([record.classes[record.largest()] for record in records])
    own = found["models"]["one"]["layers"]["P5"]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert own["effective_rank"] == pytest.approx(spaces.effective_rank(unit), rel=1e-3)
    centered = features - features.mean(axis=0)
    assert own["scatter_ratio"] == pytest.approx(
        spaces.scatter_ratio(centered / np.linalg.norm(centered, axis=1, keepdims=True), labels), rel=1e-2
    )
    other = pooled(models["narrow"], records, "act3").mean(axis=(1, 2))
    row, column = (found["cka"]["names"].index(each) for each in (["one", "P5"], ["narrow", "P3"]))
    assert found["cka"]["linear"][row][column] == pytest.approx(spaces.linear_cka(features, other), abs=1e-3)
    assert found["cka"]["debiased"][row][column] == pytest.approx(
        spaces.linear_cka(features, other, debiased=True), abs=1e-2
    )
    boxes = np.array([record.boxes[record.largest()] / max(record.height, record.width) for record in records])
    center = (boxes[:, 0] + boxes[:, 2]) / 2
    expected = spaces.linear_readout(features, center[:, None])[0]
    assert found["models"]["one"]["position"]["pooled"]["x"] == pytest.approx(expected, abs=0.05)


@pytest.mark.current_stack
def test_invariance_is_that_of_a_network_that_cannot_see_the_change(records):
    """Channel sums see neither mirror nor turn of hue; one that sees the red channel alone sees the latter."""
    found = spaces.feature_geometry(
        {"luma": _sees(0.299, 0.587, 0.114), "red": _sees(1, 0, 0)}, records, image_size=SIZE, neighbors=5
    ).to_dict()["models"]
    assert found["luma"]["invariance"]["grayscale"] == pytest.approx(1, abs=1e-3)
    assert found["luma"]["invariance"]["flip"] == pytest.approx(1, abs=1e-2)
    assert found["red"]["invariance"]["flip"] == pytest.approx(1, abs=1e-2)
    assert found["red"]["invariance"]["grayscale"] < 0.9
    assert found["red"]["invariance"]["hue"] < found["luma"]["invariance"]["hue"]


@pytest.mark.current_stack
def test_position_is_read_from_the_map_and_not_from_its_mean(tmp_path):
    """A bright square on black: the mean tells its size alone."""
    from PIL import Image

    draw, records = np.random.default_rng(0), []
    for number in range(120):
        side, (x, y) = int(draw.integers(8, 20)), draw.integers(0, 44, 2)
        image = np.zeros([64, 64, 3], np.uint8)
        image[y : y + side, x : x + side] = 255
        path = tmp_path / f"{number}.png"
        Image.fromarray(image).save(path)
        boxes = np.array([[x, y, x + side, y + side]], np.float32)
        one = np.zeros([1], np.int32)
        records.append(datasets.Record(str(number), str(path), 64, 64, boxes, one, one.astype(bool)))
    found = spaces.feature_geometry(
        {"luma": _sees(0.299, 0.587, 0.114)}, records, image_size=SIZE, layers=("P4",), neighbors=3
    ).to_dict()
    position = found["models"]["luma"]["position"]
    assert min(position["map"][name] for name in ("x", "y")) > 0.7
    assert max(position["pooled"][name] for name in ("x", "y")) < 0.2
    assert position["pooled"]["log_size"] > 0.9
    assert "labels" not in found  # all are of one class


def _sees(*weights):
    """Sums of the image's channels over 8, 16 and 32 pixels."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(1, 1, use_bias=False, name="mix")(inputs)
    for level in range(1, 6):
        x = keras.layers.AveragePooling2D(2, name=f"half{level}")(x)
    model = keras.Model(inputs, x, name="seer")
    model.get_layer("mix").set_weights([np.reshape(weights, [1, 1, 3, 1]).astype(np.float32)])
    return model


@pytest.mark.current_stack
def test_metrics_of_labels_are_left_out_when_images_have_none(alone):
    assert "labels" not in alone
    assert "position_by_shape" not in alone
    assert "position" not in alone["models"]["one"]
    assert "knn_accuracy" not in alone["models"]["one"]["layers"]["P5"]
    assert alone["models"]["one"]["layers"]["P5"]["effective_rank"] > 1


@pytest.mark.current_stack
def test_homology_is_computed_when_requested(found, alone):
    pytest.importorskip("ripser")
    assert alone["models"]["one"]["homology"]["points"] == 40
    assert "homology" not in found["models"]["one"]


@pytest.mark.current_stack
def test_input_is_refused_in_one_line_when_invalid(models, records, monkeypatch):
    import sys

    one = {"one": models["one"]}
    wrong = [
        (({}, records), {}, "no model"),
        ((one, records), {"image_size": 60}, "no multiple of 32"),
        ((one, records), {"layers": ["P6"]}, "layers are P6; give some of P3, P4, P5"),
        ((one, records), {"neighbors": 0}, "neighbors is 0"),
        ((one, records), {"discard": 1.0}, "discard is 1.0"),
        ((one, records), {"views": SimCLRViews(32)}, "views are of 32 pixels"),
        ((one, records[:12]), {}, "12 images can be read; give 16"),
        (({"none": object()}, records), {}, "model 'none' is no backbone"),
        (({"none": keras.Sequential([keras.Input((64, 64, 3))])}, records), {}, "model 'none' is no backbone"),
    ]
    for arguments, changes, says in wrong:
        with pytest.raises(UserError, match=says) as error:
            spaces.feature_geometry(*arguments, **{"image_size": SIZE, **changes})
        assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "ripser", None)
    with pytest.raises(UserError, match="kerassl\\[topology\\]"):
        spaces.feature_geometry(one, records, image_size=SIZE, homology=True)
    broken = keras.models.clone_model(_sees(1, 0, 0))
    broken.get_layer("mix").set_weights([np.full([1, 1, 3, 1], np.nan, np.float32)])
    with pytest.raises(UserError, match="model 'broken' are not all finite"):
        spaces.feature_geometry({"broken": broken}, records, image_size=SIZE)
