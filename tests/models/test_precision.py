"""Half precision learns what single precision learns, on generated scenes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerassl

BATCH, EPOCHS, STEPS = 32, 25, 200


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = kerassl.datasets.write_scenes(tmp_path_factory.mktemp("photos") / "scenes", train=1, val=1, unlabeled=256)
    return root / "unlabeled"


@pytest.fixture
def policy():
    """Sets the precision policy, and sets it back."""
    before = keras.mixed_precision.global_policy()
    yield keras.mixed_precision.set_global_policy
    keras.mixed_precision.set_global_policy(before)


def trained(backbone, photos):
    keras.utils.set_random_seed(0)
    views = kerassl.augment.SimCLRViews(32, scale=(0.5, 1.0), strength=0.5, grayscale=0.1)  # mild: 200 steps are few
    model = kerassl.SimCLR(backbone(16), image_size=32, temperature=0.2, augmentation=views)
    schedule = kerassl.optimizers.WarmupCosine(3e-3, STEPS)  # falls to 0, and with it what differs by luck
    model.compile(keras.optimizers.Adam(schedule))
    images = kerassl.datasets.image_folder(photos, 32, BATCH)
    scaling = isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert scaling == (keras.mixed_precision.global_policy().name == "mixed_float16")
    losses = model.fit(images, epochs=EPOCHS, verbose=0).history["loss"]
    assert int(model.optimizer.iterations) >= STEPS - 5  # steps that overflow are skipped, and their scale is halved
    assert all(variable.dtype == tf.float32 for variable in model.trainable_variables)
    return losses


@pytest.fixture(scope="module")
def single(photos):
    """Losses by epoch in float32, to compare with; made once."""
    kept = []

    def losses(backbone):
        if not kept:
            kept.extend(trained(backbone, photos))
        return kept

    return losses


@pytest.mark.slow
@pytest.mark.parametrize(
    "precision", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.current_stack)]
)
def test_half_precision_comes_to_the_loss_of_single_precision(precision, policy, photos, single, tiny_backbone):
    expected = single(tiny_backbone)
    policy(precision)
    losses = trained(tiny_backbone, photos)
    assert np.isfinite(losses).all()
    assert expected[-1] < 0.65 * np.log(2 * BATCH - 1), "single precision has learned, so there is something to compare"
    # Of single batches the losses differ by more, from seed to seed as well.
    assert np.mean(losses[-6:]) == pytest.approx(np.mean(expected[-6:]), rel=0.02)
