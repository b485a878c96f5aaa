"""Feature distillation: against NumPy, dealt to replicas, with any teacher, in files and checkpoints."""

import importlib.util
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerassl
from kerassl import UserError, backbones
from kerassl.augment import SimCLRViews, Views, match_locations
from kerassl.callbacks import Resume
from kerassl.callbacks.state import weights
from kerassl.models import FeatureDistillation, open_teacher, teacher_map
from kerassl.models.teachers import resizing
from kerassl.types import LEVELS

rng = np.random.default_rng(0)
IMAGES = rng.uniform(0, 255, (4, 64, 64, 3)).astype("float32")
IMAGES[:, 20:40, 10:50] += np.linspace(0, 200, 4, dtype="float32")[:, None, None, None]
IMAGES = np.clip(IMAGES, 0, 255)


@pytest.fixture
def policy():
    """`policy(name)` for the length of a test, for losses and metrics too."""

    def change(name):
        keras.mixed_precision.set_global_policy(name)
        keras.backend.set_floatx("float64" if name == "float64" else "float32")

    yield change
    change("float32")


def network(*maps, size=None, scale=1 / 255, name="teacher"):
    """A teacher with an output for each (stride, channels) of `maps`."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(scale, name=f"{name}_scale")(inputs)
    outputs = [
        keras.layers.Conv2D(channels, stride, strides=stride, activation="tanh", name=f"{name}_{place}")(x)
        for place, (stride, channels) in enumerate(maps)
    ]
    return keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=name)


def student_of(backbone, teacher, size=64, **kwargs):
    keras.utils.set_random_seed(0)
    return FeatureDistillation(backbone, teacher, size, **kwargs)


def batches(images=IMAGES, size=2):
    return tf.data.Dataset.from_tensor_slices(images).batch(size)


def fitted(model, **kwargs):
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model.fit(batches(), verbose=0, shuffle=False, **kwargs).history


def loss_by_numpy(predicted, targets, mean, deviation):
    """The mean of 1 - cosine over locations, and its gradient with respect to what was predicted, in loops."""
    gradient, total = np.zeros_like(predicted), 0.0
    locations = np.prod(predicted.shape[:3])
    for place in np.ndindex(*predicted.shape[:3]):
        target, found = (targets[place] - mean) / deviation, predicted[place]
        target, length = target / np.sqrt(target @ target), np.sqrt(found @ found)
        cosine = found @ target / length
        total += (1 - cosine) / locations
        gradient[place] = (cosine * found / length - target) / length / locations
    return total, gradient


def test_loss_and_gradients_are_those_of_numpy(policy, tiny_backbone):
    policy("float64")
    teacher = network((8, 5), (16, 7))
    model = student_of(tiny_backbone(4), teacher, augmentation=SimCLRViews(64, seed=3))
    model.compile(keras.optimizers.SGD(0.1))
    model.adapt(batches())

    views = model._views(tf.constant(IMAGES))
    with tf.GradientTape(persistent=True) as tape:
        shares = model._shares(views, training=False)
        predicted = model(tf.concat([views.views.first, views.views.second], 0), training=False)
    gradients = tape.gradient(shares.loss, model.trainable_variables)

    drawn = model._drawn(tf.constant(IMAGES))
    maps = [each.numpy() for each in teacher(tf.concat([drawn.first, drawn.second], 0))]
    maps[0] = maps[0].reshape(8, 4, 2, 4, 2, 5)  # 8 x 8 locations of the teacher, 4 x 4 of the student
    fine = np.pad(maps[0].reshape(8, 8, 8, 5), [(0, 0), (1, 1), (1, 1), (0, 0)])
    taps = np.array([0.125, 0.375, 0.375, 0.125])  # a triangle of four, without what lies outside of the image
    resized = np.zeros([8, 4, 4, 5])
    for row, column in np.ndindex(4, 4):
        weights = np.outer(
            *[taps * [at > 0, 1, 1, at < 3] / np.sum(taps * [at > 0, 1, 1, at < 3]) for at in (row, column)]
        )
        window = fine[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4]
        resized[:, row, column] = np.einsum("ij,bijc->bc", weights, window)
    pooled = maps[1][:, :, None].reshape(8, 4, 4, 7)
    pooled = np.einsum("ih,jw,bhwc->bijc", *[_halves()] * 2, pooled)

    losses, slopes = zip(
        *(
            loss_by_numpy(found.numpy(), target, mean.numpy(), deviation.numpy())
            for found, target, mean, deviation in zip(
                predicted, (resized, pooled), model.statistics.means, model.statistics.deviations
            )
        )
    )
    assert float(shares.loss) == pytest.approx(np.mean(losses), rel=1e-12)
    np.testing.assert_allclose(shares.levels, losses, rtol=1e-12)
    expected = tape.gradient(predicted, model.trainable_variables, [tf.constant(slope / 2) for slope in slopes])
    for found, slow in zip(gradients, expected):
        np.testing.assert_allclose(found, slow, rtol=1e-10, atol=1e-10 * np.abs(slow).max())
    assert all(np.abs(slow).max() > 0 for slow in expected)


@pytest.mark.current_stack
@pytest.mark.parametrize("contrast", ["global", "dense"])
def test_loss_with_contrast_is_the_weighted_sum_of_both(contrast, policy, tiny_backbone):
    policy("float64")
    model = student_of(tiny_backbone(4), network((16, 7)), contrast=contrast, contrast_weight=0.3, temperature=0.4)
    model.compile(keras.optimizers.SGD(0.1))
    model.adapt(batches())
    views, targets = batch = model._views(tf.constant(IMAGES))
    names = backbones.pyramid(model.backbone)
    maps = keras.Model(model.backbone.input, [model.backbone.get_layer(names[level]).output for level in model.levels])
    with tf.GradientTape(persistent=True) as tape:
        shares = model._shares(batch, training=False)
        found = maps(tf.concat([views.first, views.second], 0), training=False)
        predicted = [head(each) for head, each in zip(model.heads, found)]
        if contrast == "global":
            embedded = [model.contrast_heads[0](tf.reduce_mean(found[1], [1, 2]), training=False)]
        else:
            embedded = [
                tf.reshape(head(tf.reshape(each, [-1, each.shape[-1]])), [*each.shape[:3], -1])
                for head, each in zip(model.contrast_heads, found)
            ]
    distilled = [_of_directions(each.numpy(), target.numpy()) for each, target in zip(predicted, targets)]
    if contrast == "global":
        value, slopes = _info_nce_by_numpy(embedded[0].numpy(), 0.4)
        slopes = [slopes]
    else:
        value, slopes = _dense_by_numpy([each.numpy() for each in embedded], views, 0.4)
    expected = 0.7 * np.mean([loss for loss, _ in distilled]) + 0.3 * value
    assert float(shares.loss) == pytest.approx(expected, rel=1e-10)
    upstream = [*(0.35 * slope for _, slope in distilled), *(0.3 * slope for slope in slopes)]
    slow = tape.gradient([*predicted, *embedded], model.trainable_variables, [tf.constant(each) for each in upstream])
    for fast, each in zip(tape.gradient(shares.loss, model.trainable_variables), slow):
        np.testing.assert_allclose(fast, each, rtol=1e-10, atol=1e-10 * np.abs(each).max())
    assert all(np.abs(each).max() > 0 for each in slow)


def _of_directions(predicted, targets):
    return loss_by_numpy(predicted, targets, 0.0, 1.0)


def _softmax_pairs(rows, pairs, negatives, temperature):
    """The mean of InfoNCE over `pairs` of rows, each with its negatives, and its gradient with respect to the rows."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units, total, slope = rows / lengths, 0.0, np.zeros_like(rows)
    for (anchor, key), others in zip(pairs, negatives):
        columns = [key, *others]
        logits = units[columns] @ units[anchor] / temperature
        shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        total -= np.log(shares[0]) / len(pairs)
        shares[0] -= 1
        slope[anchor] += shares @ units[columns] / temperature / len(pairs)
        np.add.at(slope, columns, shares[:, None] * units[anchor] / temperature / len(pairs))
    return total, (slope - units * np.sum(slope * units, 1, keepdims=True)) / lengths


def _info_nce_by_numpy(embedded, temperature):
    count = len(embedded)
    pairs = [(row, (row + count // 2) % count) for row in range(count)]
    return _softmax_pairs(
        embedded, pairs, [[row for row in range(count) if row not in pair] for pair in pairs], temperature
    )


def _dense_by_numpy(maps, views, temperature):
    """The mean over levels of the contrast of all matched locations, which are fewer than are drawn at most."""
    values, slopes = [], []
    for each, level in zip(maps, ("P4", "P5")):
        images, locations = len(each) // 2, each.shape[1] * each.shape[2]
        assert locations <= 16
        pairs, of_image = [], []
        for way, pair in enumerate((views, views.swapped())):
            matches, valid = (part.numpy() for part in match_locations(pair, LEVELS[level]))
            for image, place in zip(*np.nonzero(valid)):
                rows = [image * locations + place, (images + image) * locations + matches[image, place]]
                half = images * locations
                pairs.append(tuple((row + way * half) % (2 * half) for row in rows))
                of_image.append(image)
        negatives = [[key for (_, key), other in zip(pairs, of_image) if other != image] for image in of_image]
        value, slope = _softmax_pairs(each.reshape(-1, each.shape[-1]), pairs, negatives, temperature)
        values.append(value)
        slopes.append(slope.reshape(each.shape) / 2)
    return np.mean(values), slopes


def _halves():
    """The same triangle, from 4 to 2 locations: half of the outer tap lies outside."""
    return np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7


@pytest.mark.current_stack
@pytest.mark.parametrize("sides", [((8, 8), (4, 4)), ((5, 9), (4, 4)), ((2, 3), (8, 8)), ((7, 7), (3, 5))])
def test_resizing_is_that_of_tensorflow(sides):
    source, target = sides
    maps = tf.constant(rng.normal(size=(2, *source, 3)), tf.float32)
    expected = tf.image.resize(maps, target, antialias=True)
    np.testing.assert_allclose(resizing(source, target)(maps), expected, atol=2e-6)


def test_statistics_are_those_of_the_teachers_maps_and_count_dead_channels_as_0(tiny_backbone):
    teacher = network((16, 6))
    kernel, bias = teacher.layers[-1].get_weights()
    kernel[..., 2], bias[2] = 0, 0.3
    teacher.layers[-1].set_weights([kernel, bias])
    model = student_of(tiny_backbone(4), teacher, levels="P4")
    views = Views(
        tf.constant(IMAGES),
        tf.constant(IMAGES[::-1] / 2),
        tf.zeros([4, 4]),
        tf.ones([4, 4]),
        *[tf.zeros([4], bool)] * 2,
    )
    assert model.adapt([views, views]) == 8
    maps = teacher(tf.concat([views.first, views.second], 0)).numpy().astype("float64")
    np.testing.assert_allclose(model.statistics.means[0], maps.mean((0, 1, 2)), rtol=1e-6)
    deviation = maps.std((0, 1, 2))
    deviation[2] = 0
    np.testing.assert_allclose(model.statistics.deviations[0], deviation, rtol=1e-5)
    model.compile(keras.optimizers.SGD(0.1))
    _, (targets,) = model._views(views)
    assert np.all(targets.numpy()[..., 2] == 0)
    np.testing.assert_allclose(np.linalg.norm(targets, axis=-1), 1, rtol=1e-5)


# Eagerly: to trace the step takes longer. Four images, or shares of 2, 1, 1 and none.
@pytest.mark.current_stack
@pytest.mark.parametrize("contrast", ["global", "dense"])
def test_replicas_train_as_one_when_they_share_a_batch(contrast, policy, tiny_backbone, mirrored):
    policy("float64")
    found, start = {}, None
    for shares in ((4,), (3, 1, 0)):
        strategy = mirrored(len(shares), eagerly=True) if len(shares) > 1 else tf.distribute.get_strategy()
        with strategy.scope():
            model = student_of(tiny_backbone(4), network((16, 5)), levels="P5", contrast=contrast)
            model.compile(keras.optimizers.SGD(0.1))
        if start is not None:
            model.set_weights(start)
        start = model.get_weights()
        model.adapt(batches())
        assert np.any(model.statistics.means[0].numpy())
        ends = np.cumsum(shares)

        def of_replica(context, shares=shares, ends=ends):
            end = ends[context.replica_id_in_sync_group]
            return tf.constant(IMAGES[end - shares[context.replica_id_in_sync_group] : end])

        def shares_of(images, model=model):
            views = model._views(images)
            with tf.GradientTape() as tape:
                found = model._shares(views, training=True)
            return found.loss, tape.gradient(found.loss, model.trainable_variables)

        with strategy.scope():
            if len(shares) > 1:
                given = strategy.experimental_distribute_values_from_function(of_replica)
            else:
                given = tf.constant(IMAGES)
            losses, gradients = strategy.run(shares_of, args=(given,))
        losses = sum(float(each) for each in strategy.experimental_local_results(losses))
        summed = [sum(map(np.asarray, strategy.experimental_local_results(each))) for each in gradients]
        moving = [np.asarray(each) for each in model.get_weights()]
        found[len(shares)] = [losses, *summed, *moving]
    for one, other in zip(found[1], found[3]):
        np.testing.assert_allclose(other, one, rtol=1e-10, atol=1e-12)


# The whole step in a graph: shares of 2 and 1 and of 1 and 0 images.
@pytest.mark.current_stack
@pytest.mark.slow
def test_fit_comes_to_the_same_weights_when_replicas_are_two(policy, tiny_backbone, mirrored):
    policy("float64")
    found, start = [], None
    for replicas in (1, 2):
        strategy = mirrored(replicas)
        with strategy.scope():
            model = student_of(tiny_backbone(4), tiny_backbone(4, name="large"), 32, levels="P4")
            model.compile(keras.optimizers.SGD(0.1))
            if start is not None:
                model.set_weights(start[0])
                for variable, value in zip(model._teacher.network.weights, start[1]):
                    variable.assign(value)
        start = model.get_weights(), model._teacher.network.get_weights()
        model.adapt(batches(size=3))
        history = model.fit(batches(size=3), verbose=0).history
        found.append([history["loss"][0], history["P4_loss"][0], *(each.numpy() for each in weights(model))])
        for before, after in zip(start[1], model._teacher.network.get_weights()):
            np.testing.assert_array_equal(before, after)
    for one, other in zip(*found):
        np.testing.assert_allclose(other, one, rtol=1e-10 if np.ndim(one) else 1e-6, atol=1e-12)  # logs are float32


def test_teacher_is_untouched_and_neither_trained_nor_saved_when_model_trains(tiny_backbone, tmp_path):
    teacher = tiny_backbone(12, name="large")
    before = [each.copy() for each in teacher.get_weights()]
    model = student_of(tiny_backbone(4), teacher, contrast="global", contrast_weight=0.2)
    assert [shape[2] for shape in model._teacher.shapes] == [24, 24]  # its own P4 and P5
    own = {id(each) for each in teacher.weights}
    assert not own & {id(each) for each in model.weights}
    model.adapt(batches())
    start = [each.copy() for each in model.get_weights()]
    fitted(model)
    assert all(np.array_equal(one, other) for one, other in zip(before, teacher.get_weights()))
    assert all(each.trainable for each in teacher.layers)
    changed = [not np.array_equal(one, other) for one, other in zip(start, model.get_weights())]
    assert sum(changed) == len(model.weights) - 5  # mean and deviation of two levels, and the fingerprint

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is FeatureDistillation
    assert len(loaded.weights) == len(model.weights)
    loaded.run_eagerly = True
    with pytest.raises(UserError, match="set_teacher"):
        loaded.fit(batches(), verbose=0)
    loaded.set_teacher(teacher)
    more = [each.fit(batches(), verbose=0, shuffle=False).history["loss"] for each in (model, loaded)]
    assert more[0] == more[1]
    for one, other in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(one, other)
    loaded.set_teacher(tiny_backbone(12, name="another"))
    with pytest.raises(UserError, match="not the one that was measured"):
        loaded.fit(batches(), verbose=0)


@pytest.mark.current_stack
def test_bits_are_the_same_when_a_stopped_run_is_resumed(tiny_backbone, tmp_path):
    data = kerassl.datasets.image_folder(_folder(tmp_path / "images"), 64, 2, seed=1)

    def run(adapt):
        keras.utils.set_random_seed(2)
        model = student_of(tiny_backbone(4), network((16, 5)), levels="P5", contrast="dense")
        model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
        if adapt:
            model.adapt(data)
        resume = Resume(tmp_path / "checkpoints", data=data, every=1)
        model.fit(data, epochs=2, verbose=0, callbacks=[resume])
        return model.get_weights()

    whole = run(adapt=True)
    *stopped, last = sorted((tmp_path / "checkpoints").glob("*.npz"))
    last.unlink()  # as if the run had been killed within its second epoch
    assert stopped[-1].stem.endswith("000001-00000001")
    for one, other in zip(whole, run(adapt=False)):
        np.testing.assert_array_equal(one, other)
    with np.load(last) as saved:  # student, heads, statistics and optimizer, and no teacher
        assert not any(saved[name].shape == (16, 16, 3, 5) for name in saved.files)


def _folder(folder):
    folder.mkdir()
    for number, image in enumerate(IMAGES):
        tf.io.write_file(str(folder / f"{number}.png"), tf.io.encode_png(image.astype("uint8")))
    return folder


def test_loss_is_float32_when_the_policy_is_mixed(policy, tiny_backbone):
    teacher = network((16, 5))
    policy("mixed_float16")
    model = student_of(tiny_backbone(4), teacher)
    model.adapt(batches())
    model.compile(keras.optimizers.SGD(0.1))
    shares = model._shares(model._views(tf.constant(IMAGES)), training=False)
    assert shares.loss.dtype == tf.float32
    assert all(variable.dtype == "float32" for variable in model.statistics.means)
    assert np.isfinite(float(shares.loss))


def tokens(patch, size, prefix, dict_input=False):
    """A network of standardized images to tokens: those of the patches know their color and place."""
    inputs = keras.Input((size, size, 3), name="pixel_values")
    x = keras.layers.Conv2D(4, patch, strides=patch, kernel_initializer="ones", name="patches")(inputs)
    x = keras.layers.Reshape([(size // patch) ** 2, 4])(x)
    x = keras.layers.ZeroPadding1D((prefix, 0))(x)
    model = keras.Model({"pixel_values": inputs} if dict_input else inputs, x, name="tokens")
    model.patch_size, model.num_register_tokens = patch, max(prefix - 1, 0)
    return model


@pytest.mark.current_stack
@pytest.mark.parametrize(("patch", "size", "prefix"), [(14, 56, 1), (16, 64, 5), (14, 70, 0)])
def test_teacher_map_puts_tokens_where_their_patches_are(patch, size, prefix, tiny_backbone):
    teacher = teacher_map(tokens(patch, size, prefix, dict_input=prefix == 5))
    image = np.zeros([1, 64, 64, 3], "float32")
    image[0, :24, 44:] = 255  # top right
    found = teacher(tf.constant(image)).numpy()
    side = size // patch
    assert found.shape == (1, side, side, 4)
    assert np.unravel_index(found[0, ..., 0].argmax(), (side, side)) == (0, side - 1)
    standardized = np.sum((1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]) * patch**2
    assert found.max() == pytest.approx(standardized, rel=1e-4)
    assert student_of(tiny_backbone(4), teacher)._teacher.shapes == [(side, side, 4)] * 2


@pytest.mark.current_stack
@pytest.mark.parametrize("patch", [14, 16])
def test_teacher_may_be_a_preset_of_kerashub(patch, tiny_backbone, tmp_path):
    hub = pytest.importorskip("keras_hub")
    network = hub.models.DINOV2Backbone(
        patch_size=patch, num_layers=1, hidden_dim=8, num_heads=2, intermediate_dim=16, num_register_tokens=4,
        image_shape=(112, 112, 3), position_embedding_shape=(112, 112, 3),
    )  # fmt: skip
    network.save_to_preset(str(tmp_path))
    scale, offset = np.array([0.01, 0.02, 0.03]), np.array([-1.0, -2.0, -3.0])
    hub.layers.DINOV2ImageConverter((112, 112), scale.tolist(), offset.tolist()).save_to_preset(str(tmp_path))
    teacher = open_teacher(f"kerashub:{tmp_path}", image_size=4 * patch)
    image = tf.constant(IMAGES[:1, : 4 * patch, : 4 * patch])
    found = teacher(tf.image.resize(image, [4 * patch] * 2, antialias=True))
    known = hub.models.Backbone.from_preset(str(tmp_path), image_shape=(4 * patch, 4 * patch, 3))
    tokens = known({"images": tf.image.resize(image, [4 * patch] * 2, antialias=True) * scale + offset})
    np.testing.assert_allclose(tf.reshape(found, [1, 16, 8]), tokens[:, 5:], atol=1e-4)
    model = student_of(tiny_backbone(4), teacher)
    assert model._teacher.shapes == [(4, 4, 8)] * 2
    model.adapt(batches())
    assert np.isfinite(fitted(model)["loss"]).all()


@pytest.fixture
def hub(monkeypatch):
    """A module in place of KerasHub, whose presets cannot be downloaded."""
    module = types.ModuleType("keras_hub")

    def from_preset(name, **_):
        raise ConnectionError("no answer\nand more")

    backbone = types.SimpleNamespace(presets={"dinov2_small": {}}, from_preset=from_preset)
    module.models, module.__spec__ = (
        types.SimpleNamespace(Backbone=backbone),
        importlib.util.spec_from_loader("x", None),
    )
    monkeypatch.setitem(sys.modules, "keras_hub", module)


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("name", "message"),
    [("dinov2_small", "downloaded or built .* 224 pixels .no answer"), ("dinov2_smal", "dinov2_small")],
)
def test_preset_is_refused_when_it_is_unknown_or_cannot_be_downloaded(name, message, hub):
    with pytest.raises(UserError, match=message) as error:
        open_teacher(f"kerashub:{name}")
    assert "\n" not in str(error.value)


@pytest.mark.current_stack
def test_teacher_is_built_from_a_name_with_its_weights_and_cut(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(backbones, "build", lambda name, **given: asked.append((name, *given.values())))
    (tmp_path / "w.npz").touch()
    for given in (None, "random", str(tmp_path / "w.npz")):
        open_teacher("MobileNet", given, "conv_pw_12_relu")
    built = ("imagenet", None, str(tmp_path / "w.npz"))
    assert asked == [("MobileNet", given, "conv_pw_12_relu") for given in built]


@pytest.mark.realdata
def test_file_of_a_cut_network_is_a_teacher_of_both_levels(real_data, tiny_backbone):
    file = real_data / "mobilenet_v1_1.0_imagenet_minus_pw13.npz"
    model = student_of(tiny_backbone(4), open_teacher("MobileNet", file, "conv_pw_12_relu"))
    assert model._teacher.shapes == [(4, 4, 512), (2, 2, 1024)]


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "nothing.keras", "nothing.keras"),
        (lambda: teacher_map(tokens(14, 56, 3), prefix_tokens=1), "19 tokens"),
        (lambda: teacher_map(tokens(14, 56, 1), patch_size=16), "do not divide"),
        (lambda: teacher_map(tokens(14, 56, 1), 64), "56 pixels"),
        (lambda: teacher_map(network((8, 4))), "give teacher_map image_size"),
        (lambda: tokens(16, 64, 1), "teacher_map makes one of tokens"),
        (lambda: network((16, 4), size=96), "96 x 96"),
        (lambda: network((16, 4), (8, 4), (8, 4)), "3 maps for 2 levels"),
        (lambda: network((64, 4)), "one location"),
        (lambda: _pooled(), "no feature map"),
        (lambda: _spoilt(np.nan), "NaN"),
        (lambda: "no_such_network", "no_such_network"),
        (lambda: object(), "no model"),
    ],
)
def test_teacher_is_refused_when_it_gives_no_finite_maps(make, message, tiny_backbone):
    with pytest.raises(UserError, match=message) as error:
        FeatureDistillation(tiny_backbone(4), make(), 64)
    assert "\n" not in str(error.value)


def _pooled():
    model = network((16, 4))
    return keras.Model(model.input, keras.layers.GlobalAveragePooling2D()(model.output))


def _spoilt(value):
    model = network((16, 4))
    model.set_weights([np.full_like(each, value) for each in model.get_weights()])
    return model


@pytest.mark.current_stack
def test_teacher_is_refused_when_it_gives_nan_for_some_images_or_the_same_for_all(tiny_backbone):
    with pytest.raises(UserError, match="same features"):
        student_of(tiny_backbone(4), _spoilt(0.0)).adapt(batches())
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 16, strides=16, kernel_initializer="ones", name="conv")(inputs)
    teacher = keras.Model(inputs, keras.layers.Activation(lambda x: tf.math.log(150_000 - x))(x))
    with pytest.raises(UserError, match="NaN"):
        student_of(tiny_backbone(4), teacher).adapt(batches(np.full_like(IMAGES, 255)))


@pytest.mark.current_stack
@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_teacher_is_refused_when_it_was_trained_on_a_smaller_scale(scale, tiny_backbone):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(scale, name="scale")(inputs)
    x = keras.layers.Conv2D(6, 8, strides=8, name="conv")(x)
    norm = keras.layers.BatchNormalization(name="norm")
    teacher = keras.Model(inputs, norm(x), name="trained")
    before = keras.Model(inputs, x)(tf.constant(IMAGES)).numpy() / (255 * scale)  # on pixels in [0, 1]
    norm.moving_variance.assign(before.var((0, 1, 2)) * 4)
    model = student_of(tiny_backbone(4), teacher)
    if scale == 1.0:
        with pytest.raises(UserError, match="smaller scale"):
            model.adapt(batches())
    else:
        assert model.adapt(batches()) == 4


@pytest.mark.current_stack
@pytest.mark.parametrize("strides", [[(4, 3), (32, 20)], [(21, 3)]])
def test_student_learns_from_maps_of_any_number_of_locations(strides, tiny_backbone):
    model = student_of(tiny_backbone(12 if strides == [(8, 3)] else 4), network(*strides))  # larger, or smaller
    model.adapt(batches())
    first, _, last = fitted(model, epochs=3)["loss"]
    assert last < first


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"contrast": "local"}, "contrast is 'local'"),
        ({"contrast_weight": 1.5}, "contrast_weight is 1.5"),
        ({"contrast": "dense", "temperature": 0}, "temperature is 0"),
        ({"levels": ["P6"]}, "levels are"),
    ],
)
def test_model_is_refused_when_a_setting_is_out_of_range(settings, message, tiny_backbone):
    with pytest.raises(UserError, match=message):
        FeatureDistillation(tiny_backbone(4), network((16, 3)), 64, **settings)


@pytest.mark.current_stack
def test_model_is_refused_when_it_was_not_adapted_or_shares_weights(tiny_backbone, tmp_path):
    backbone = tiny_backbone(4)
    with pytest.raises(UserError, match="in common"):
        student_of(backbone, backbone)
    with pytest.raises(UserError, match="adapt"):
        fitted(student_of(backbone, network((16, 3))))
    with pytest.raises(UserError, match="no feature map for P5"):
        student_of(keras.Model(backbone.input, backbone.get_layer("act4").output), network((16, 3)))
    backbones.save(tiny_backbone(6, name="large"), tmp_path / "teacher.keras")
    model = student_of(backbone, tmp_path / "teacher.keras", levels="P5")
    assert model._teacher.shapes == [(2, 2, 12)]
