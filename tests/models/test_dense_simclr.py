"""Dense contrast: against slow loops, dealt to replicas, beside SimCLR, and in a run that is resumed."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerassl import UserError, backbones, datasets
from kerassl.augment import SimCLRViews, Views, match_locations
from kerassl.callbacks import CollapseMonitor, Resume
from kerassl.losses import InfoNCE
from kerassl.models import DenseSimCLR, SimCLR
from kerassl.optimizers import LARS, WarmupCosine

FIGURES = ("global_loss", "dense_loss", "dense_accuracy", "matched")


def blobs(count=8, size=80, seed=0):
    """Dark images of four colored blobs: every place has a look of its own."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size][:, None, :, :, None]
    images = np.full((count, size, size, 3), 30.0)
    for _ in range(4):
        middle, color = random.uniform(0.1, 0.9, (2, count, 1, 1, 1)) * size, random.uniform(0, 225, (count, 1, 1, 3))
        images += color * np.exp(-((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / (2 * (size / 8) ** 2))
    return tf.constant(np.clip(images, 0, 255), tf.float32)


def model_of(backbone, cls=DenseSimCLR, size=64, **kwargs):
    kwargs.setdefault("augmentation", SimCLRViews(size, scale=(0.4, 1.0), strength=0.3))
    if cls is DenseSimCLR:
        kwargs.setdefault("dense_hidden_dim", 12)
    return cls(backbone, image_size=size, hidden_dim=16, projection_dim=8, **kwargs)


def apart(size=64, count=4):
    """Views that show the left and the right of their images."""
    images, boxes = blobs(count, size), np.array([[0, 0, 1, 0.5], [0, 0.5, 1, 1]], "float32")
    first, second = (tf.constant(np.tile(box, (count, 1))) for box in boxes)
    return Views(images, images[:, ::-1], first, second, tf.zeros([count], tf.bool), tf.ones([count], tf.bool))


@pytest.fixture
def policy():
    """`policy(name)` for the length of a test."""
    yield keras.mixed_precision.set_global_policy
    keras.mixed_precision.set_global_policy("float32")


def place_of(box, flip, row, column, grid):
    y, x = (row + 0.5) / grid, (column + 0.5) / grid
    x = 1 - x if flip else x
    return box[0] + y * (box[2] - box[0]), box[1] + x * (box[3] - box[1])


def cell_of(box, flip, y, x, grid):
    """Row and column of the location that shows a place of the image, or None."""
    y, x = (y - box[0]) / (box[2] - box[0]), (x - box[1]) / (box[3] - box[1])
    x = 1 - x if flip else x
    return (int(y * grid), int(x * grid)) if 0 <= y < 1 and 0 <= x < 1 else None


def slow_loss(first, second, views, temperature, min_negative_distance=math.inf):
    """The dense loss of one level from embeddings `[B, g, g, D]`, by loops over images, locations and negatives.

    Also the share of locations that have a match.
    """
    one = (first, views.first_boxes.numpy(), views.first_flips.numpy())
    two = (second, views.second_boxes.numpy(), views.second_flips.numpy())
    images, grid = first.shape[:2]
    pairs, locations = [], 0  # image, anchor, key, place
    for (maps, boxes, flips), (others, other_boxes, other_flips) in ((one, two), (two, one)):
        for image in range(images):
            for row in range(grid):
                for column in range(grid):
                    locations += 1
                    place = place_of(boxes[image], flips[image], row, column, grid)
                    there = cell_of(other_boxes[image], other_flips[image], *place, grid)
                    if there is not None:
                        pairs.append((image, maps[image, row, column], others[(image, *there)], place))
    lengths = [(image, anchor / tf.norm(anchor), key / tf.norm(key), place) for image, anchor, key, place in pairs]
    losses = []
    for image, anchor, key, place in lengths:
        sides = [boxes[image, 2:] - boxes[image, :2] for _, boxes, _ in (one, two)]
        near = min_negative_distance * max(math.hypot(*side) for side in sides) / grid
        negatives = [other for at, _, other, there in lengths if at != image or math.dist(there, place) > near]
        choices = tf.linalg.matvec(tf.stack([key, *negatives]), anchor) / temperature
        losses.append(tf.math.log(tf.reduce_sum(tf.exp(choices))) - choices[0])
    return tf.add_n(losses) / len(losses), len(pairs) / locations


@pytest.mark.parametrize("min_negative_distance", [None, 1.2])
def test_loss_and_gradient_are_those_of_loops_over_locations(min_negative_distance, tiny_backbone, policy):
    policy("float64")
    keras.utils.set_random_seed(0)  # with some weights all features of a location are 0, which has no direction
    model = model_of(
        tiny_backbone(4),
        dense_weight=0.3,
        dense_temperature=0.3,
        temperature=0.2,
        min_negative_distance=min_negative_distance,
    )
    model.compile(keras.optimizers.SGD(0.1))
    # Boxes between pixels: where a center lies on an edge, rounding would decide.
    corners = np.random.default_rng(0).uniform([0, 0, 0.6, 0.6], [0.4, 0.4, 1, 1], (2, 3, 4))
    first, second = tf.constant(corners, tf.float32)
    flips = tf.constant([True, False, False]), tf.constant([False, False, True])
    views = Views(blobs(3, 64), blobs(3, 64)[:, ::-1] / 2, first, second, *flips)
    names = backbones.pyramid(model.backbone)
    outputs = [model.backbone.output, *(model.backbone.get_layer(names[level]).output for level in ("P4", "P5"))]
    network = keras.Model(model.backbone.input, outputs)
    variables = model.trainable_variables

    with tf.GradientTape() as tape:
        found = model._shares(views, training=False)
    gradients = tape.gradient(found.loss, variables)

    with tf.GradientTape() as tape:
        features, *maps = network(tf.concat([views.first, views.second], 0), training=False)
        embeddings = model.projection_head(tf.reduce_mean(features, [1, 2]), training=False)
        dense, shares = [], []
        for head, each in zip(model.location_heads, maps):
            locations = head(tf.reshape(each, [-1, each.shape[-1]]), training=False)
            loss, share = slow_loss(
                *tf.split(tf.reshape(locations, [*each.shape[:3], 8]), 2), views, 0.3, min_negative_distance or math.inf
            )
            dense.append(loss)
            shares.append(share)
        whole = InfoNCE(0.2, dtype="float64")(*tf.split(embeddings, 2))
        expected = 0.7 * whole + 0.3 * tf.add_n(dense) / 2
    assert 0.2 < np.mean(shares) < 0.9
    assert float(found.parts[-1]) == pytest.approx(np.mean(shares), rel=1e-6)
    np.testing.assert_allclose(found.parts[1], tf.add_n(dense) / 2, rtol=1e-12)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-12)
    for gradient, slow in zip(gradients, tape.gradient(expected, variables)):
        assert np.linalg.norm(slow) > 0
        assert np.linalg.norm(gradient - slow) <= 1e-10 * np.linalg.norm(slow)


def variables_of(model):
    parts = [model.backbone, model.projection_head, *getattr(model, "location_heads", [])]
    return [variable for part in parts for variable in part.variables]


def state_of(model):
    return [np.array(each.numpy()) for each in variables_of(model)]


# Of two, the last has no image; or one has four and the other three.
STEPS = [
    (2, {"tile_size": 5, "locations_per_image": 3, "min_negative_distance": 1.5}, 4),
    (2, {"levels": ["P3", "P5"], "locations_per_image": 70}, 7),
]


@pytest.mark.current_stack
@pytest.mark.parametrize(("replicas", "settings", "images"), STEPS)
def test_step_equals_that_of_one_when_replicas_share_the_batch(
    replicas, settings, images, tiny_backbone, mirrored, policy
):
    policy("float64")
    start = []

    def step(strategy):
        with strategy.scope():
            model = model_of(tiny_backbone(), temperature=0.2, **settings)
            model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)  # graphs take seconds to build
        if not start:
            start.extend(state_of(model))
        for variable, value in zip(variables_of(model), start):
            variable.assign(value)
        data = tf.data.Dataset.from_tensor_slices(blobs(images)).batch(8)
        history = model.fit(data, verbose=0).history
        return history, [before - after for before, after in zip(start, state_of(model))]

    one, changes = step(tf.distribute.get_strategy())
    many, many_changes = step(mirrored(replicas, eagerly=True))
    assert one["dense_loss"][0] > 0.1
    for name in ("loss", "contrast_accuracy", *FIGURES):  # float32 metrics
        assert many[name][0] == pytest.approx(one[name][0], rel=1e-6), name
    for change, of_many in zip(changes, many_changes):
        assert np.linalg.norm(change) > 0
        assert np.linalg.norm(change - of_many) <= 1e-10 * np.linalg.norm(change)


def test_bits_are_those_of_simclr_when_the_weight_is_0(tiny_backbone):
    def trained(cls, **settings):
        keras.utils.set_random_seed(1)
        model = model_of(tiny_backbone(), cls, **settings)
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        history = model.fit(tf.data.Dataset.from_tensors(blobs(4)).repeat(2), verbose=0).history
        return history["loss"], [*model.backbone.get_weights(), *model.projection_head.get_weights()]

    (loss, weights), (dense_loss, dense_weights) = trained(SimCLR), trained(DenseSimCLR, dense_weight=0)
    assert dense_loss == loss
    for of_dense, expected in zip(dense_weights, weights):
        np.testing.assert_array_equal(of_dense, expected)


def test_dense_loss_is_0_and_gradients_are_finite_when_views_do_not_overlap(tiny_backbone):
    model = model_of(tiny_backbone(), dense_weight=0.75)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    logs = model.fit(tf.data.Dataset.from_tensors(apart()), verbose=0).history
    assert (logs["dense_loss"], logs["matched"], logs["dense_accuracy"]) == ([0.0], [0.0], [0.0])
    assert logs["loss"][0] == pytest.approx(0.25 * logs["global_loss"][0], rel=1e-6)
    assert all(np.all(np.isfinite(value)) for value in state_of(model))


def test_loss_is_log_of_choices_when_all_locations_are_identical(tiny_backbone):
    model = model_of(tiny_backbone(), levels="P4", locations_per_image=3)
    for head in model.location_heads:
        head.layers[1].beta.assign(tf.ones_like(head.layers[1].beta))  # the same hidden layer for every location
        head.layers[1].gamma.assign(tf.zeros_like(head.layers[1].gamma))
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    views = apart(count=4)
    views = views._replace(second_boxes=views.first_boxes)  # every location has a match
    logs = model.evaluate(tf.data.Dataset.from_tensors(views), verbose=0, return_dict=True)
    assert logs["dense_loss"] == pytest.approx(math.log(1 + 3 * 2 * 3), rel=1e-5)  # 3 images, 2 directions, 3 locations
    assert logs["matched"] == 1


@pytest.mark.current_stack
def test_logs_are_of_the_parts_and_of_all_locations(tiny_backbone):
    model = model_of(tiny_backbone(), dense_weight=0.25, locations_per_image=2)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    views = SimCLRViews(64)(blobs(), tf.constant([0, 1]))
    logs = model.evaluate(tf.data.Dataset.from_tensors(views), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(0.75 * logs["global_loss"] + 0.25 * logs["dense_loss"], rel=1e-6)
    both = [match_locations(each, stride).valid for each in (views, views.swapped()) for stride in (16, 32)]
    assert logs["matched"] == pytest.approx(np.mean([np.mean(valid) for valid in both]), rel=1e-6)
    assert {"contrast_accuracy", "embedding_std", "effective_rank", "alignment", "uniformity"} <= set(logs)


@pytest.mark.current_stack
def test_locations_with_a_match_are_drawn_again_at_each_step(tiny_backbone):
    draw = model_of(tiny_backbone(), locations_per_image=5).location_contrast.draw
    valid = np.random.default_rng(0).random((6, 2, 16)) < 0.5
    valid[0, 0] = False
    draws = []
    for step in range(2):
        locations, known = (part.numpy() for part in draw(tf.constant(valid), 0, step, 0, 6))
        assert locations.shape == known.shape == (6, 2, 5)
        assert np.array_equal(known.sum(-1), np.minimum(valid.sum(-1), 5))
        assert np.all(np.take_along_axis(valid, locations, -1)[known])
        assert all(len(set(row)) == 5 for row in locations.reshape(-1, 5))
        rest = draw(tf.constant(valid[4:]), 0, step, 4, 6)[0].numpy()  # a replica's share
        np.testing.assert_array_equal(rest, locations[4:])
        draws.append(locations)
    assert np.any(draws[0] != draws[1])
    assert np.any(draw(tf.constant(valid), 1, 1, 0, 6)[0] != draws[1])  # of another level


@pytest.mark.slow
@pytest.mark.current_stack
def test_locations_learn_to_find_their_places(tiny_backbone):
    keras.utils.set_random_seed(0)
    model = model_of(tiny_backbone(16), levels=["P3", "P4"], temperature=0.2, locations_per_image=8)
    model.compile(keras.optimizers.Adam(0.01))
    health = CollapseMonitor(16, patience=10)
    images = tf.data.Dataset.from_tensors(blobs(16)).repeat(20)
    history = model.fit(images, epochs=4, verbose=0, callbacks=[health]).history
    # Chance is one in 241; the dark between the blobs looks alike in all images.
    assert history["dense_accuracy"][-1] > max(1.3 * history["dense_accuracy"][0], 0.1)
    assert history["dense_loss"][-1] < 0.9 * history["dense_loss"][0]
    assert health.alarms == []


def test_mixed_precision_stays_finite(tiny_backbone, policy):
    policy("mixed_float16")
    model = model_of(tiny_backbone(), temperature=0.05)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    logs = model.fit(tf.data.Dataset.from_tensors(blobs(4)).repeat(2), verbose=0).history
    assert all(math.isfinite(logs[name][0]) for name in ("loss", *FIGURES))
    assert all(np.all(np.isfinite(value)) for value in state_of(model))
    assert [layer.compute_dtype for layer in model.location_heads[0].layers] == ["float16"] * 3 + ["float32"]


@pytest.mark.slow
@pytest.mark.current_stack
def test_run_that_was_stopped_goes_on_to_the_same_bits(tiny_backbone, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(blobs(12).numpy().astype("uint8")):
        Image.fromarray(image).save(folder / f"{number}.png")

    class StopAt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 5:
                raise InterruptedError

    def run(name, *others):
        keras.utils.set_random_seed(0)
        images = datasets.image_folder(folder, 96, 4, seed=2)
        model = model_of(tiny_backbone(), locations_per_image=3)
        model.compile(LARS(WarmupCosine(0.3, 6, 1)))
        resume = Resume(tmp_path / name, data=images, every=2)
        return model, model.fit(images, epochs=2, verbose=0, callbacks=[resume, *others]).history

    whole, expected = run("whole")
    with pytest.raises(InterruptedError):
        run("stopped", StopAt())
    model, history = run("stopped")
    for value, before in zip(state_of(model), state_of(whole)):
        np.testing.assert_array_equal(value, before)
    for name, values in history.items():
        np.testing.assert_array_equal(values, expected[name][-len(values) :], err_msg=name)


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": ["P6"]}, r"levels are \['P6'\].*P3, P4, P5"),
        ({"levels": ["P4", "P4"]}, "each once"),
        ({"levels": []}, "one or more"),
        ({"dense_weight": 1.5}, "dense_weight is 1.5"),
        ({"dense_temperature": 0}, "temperature is 0"),
        ({"locations_per_image": 0}, "locations_per_image is 0"),
        ({"tile_size": 0}, "tile_size is 0"),
        ({"min_negative_distance": 0.5}, "min_negative_distance is 0.5"),
    ],
)
def test_model_is_refused_when_argument_is_wrong(arguments, message, tiny_backbone):
    with pytest.raises(UserError, match=message):
        model_of(tiny_backbone(), **arguments)
