import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import SimCLR, UserError, _compat, optimizers
from kerassl.callbacks import Resume

SPARING = [
    "adamw",
    "lamb",
    pytest.param("tfa/LAMB", marks=pytest.mark.addons_stack),
    pytest.param("tfa/AdamW", marks=pytest.mark.addons_stack),
]


def dense():
    layer = keras.layers.Dense(2, bias_initializer="ones", name="dense")
    layer.build((None, 3))
    return layer.trainable_variables


@pytest.mark.parametrize("name", SPARING)
def test_weight_decay_spares_biases(name):
    kernel, bias = dense()
    before = np.array(kernel)
    optimizer = optimizers.get(name, 0.1, weight_decay=0.5, variables=[kernel, bias])
    for _ in range(2):
        optimizer.apply_gradients([(tf.zeros([3, 2]), kernel), (tf.zeros([2]), bias)])
    np.testing.assert_array_equal(bias, 1.0)
    assert np.linalg.norm(kernel) < 0.99 * np.linalg.norm(before)


def test_decay_of_lars_is_its_own():
    assert optimizers.get("lars", 0.1, weight_decay=0.5).decay == 0.5
    assert optimizers.get("lars").decay == 1e-6


def test_optimizer_is_returned_as_it_is():
    optimizer = keras.optimizers.SGD(0.1)
    assert optimizers.get(optimizer) is optimizer


@pytest.mark.parametrize("name", ["sgdd", "tfa/", "tfa/LAMB/x"])
def test_known_names_are_listed_when_one_is_unknown(name):
    with pytest.raises(UserError, match=r"there is no optimizer .*lars, lamb, adamw"):
        optimizers.get(name)


@pytest.mark.current_stack
def test_install_is_advised_when_addons_are_missing():
    with pytest.raises(UserError, match=r"tfa/LAMB needs tensorflow-addons.* pip install 'kerassl\[addons\]'"):
        optimizers.get("tfa/LAMB")


@pytest.mark.addons_stack
@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("tfa/Lamb", {}, "no optimizer 'Lamb'; it has .*LAMB"),
        ("tfa/SWA", {}, "wraps other optimizers"),
        ("tfa/COCOB", {"learning_rate": 0.1}, "no learning rate"),
        ("tfa/NovoGrad", {"weight_decay": 0.1}, "no weight decay that spares"),
    ],
)
def test_setting_is_refused_when_an_addons_optimizer_lacks_it(name, settings, message):
    with pytest.raises(UserError, match=message):
        optimizers.get(name, **settings)


def averaged_lamb():
    import tensorflow_addons as tfa

    return tfa.optimizers.MovingAverage(tfa.optimizers.LAMB(0.01))


@pytest.mark.addons_stack
@pytest.mark.parametrize("name", ["tfa/LAMB", "tfa/LazyAdam", "tfa/NovoGrad", averaged_lamb])
def test_bits_are_those_of_an_uninterrupted_run_when_an_optimizer_of_addons_resumes(
    name, classifier, classed, tmp_path
):
    def model():
        return classifier(optimizers.get(name) if isinstance(name, str) else name())

    batches = classed(8)
    whole = model()
    start = whole.get_weights()
    whole.fit(batches, epochs=3, verbose=0)
    model().fit(batches, epochs=2, verbose=0, callbacks=[Resume(tmp_path)])
    second, resume = model(), Resume(tmp_path)
    resume.restore(second)
    second.fit(batches, epochs=3, initial_epoch=resume.epoch, verbose=0)
    assert resume.epoch == 2
    for expected, found in zip(whole.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(found, expected)
    assert any(not np.array_equal(first, expected) for first, expected in zip(start, whole.get_weights()))


@pytest.mark.addons_stack
def test_optimizer_of_addons_resumes_when_two_replicas_share_it(tiny_backbone, mirrored, tmp_path):
    def model(strategy):
        with strategy.scope():
            made = SimCLR(tiny_backbone(), image_size=32, hidden_dim=8, projection_dim=4)
            made.compile("tfa/LAMB")
        return made

    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices(images).batch(4)
    first = model(mirrored(2))
    first.fit(batches, verbose=0, callbacks=[Resume(tmp_path)])
    second = model(mirrored(2))
    Resume(tmp_path).restore(second)
    moments = _compat.optimizer_variables(first.optimizer)
    assert int(moments[0].numpy()) == 2
    for expected, found in zip(moments, _compat.optimizer_variables(second.optimizer)):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
