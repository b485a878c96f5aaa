import keras
import numpy as np
import pytest

from kerassl import UserError
from kerassl.explain import SimilarityMap


@pytest.fixture(scope="module")
def backbone(tiny_backbone):
    keras.utils.set_random_seed(0)
    return tiny_backbone()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, [3, 64, 96, 3]).astype(np.float32)


def embedding(backbone, images, layer="act5"):
    maps = keras.Model(backbone.input, backbone.get_layer(layer).output)
    return np.asarray(maps(images, training=False)).astype(float).mean(axis=(1, 2))


def cosine(first, second):
    return (first * second).sum(-1) / np.linalg.norm(first, axis=-1) / np.linalg.norm(second, axis=-1)


@pytest.mark.parametrize(("layer", "name"), [(None, "act5"), ("P3", "act3"), ("conv2", "conv2")])
def test_contributions_of_locations_add_up_to_the_cosine_similarity(backbone, images, layer, name):
    center = np.random.default_rng(1).normal(0, 0.01, embedding(backbone, images, name).shape[1])
    for of, expected in (
        (None, images[:, :, ::-1]),
        (images[::-1], images[::-1]),
        (images[0], images[[0, 0, 0]]),
    ):
        look = SimilarityMap(backbone, layer=layer, center=center)
        found = look.contributions(images, of, batch_size=2).mean(axis=(1, 2))
        own, other = (embedding(backbone, each, name) - center for each in (images, expected))
        np.testing.assert_allclose(found, cosine(own, other), atol=1e-4)
    other = embedding(backbone, images, name)[::-1]
    found = look.contributions(images, other).mean(axis=(1, 2))
    np.testing.assert_allclose(found, cosine(own, other - center), atol=1e-4)


def test_heatmap_is_highest_on_the_object_when_two_images_share_it(backbone):
    draw = np.random.default_rng(2)
    thing = draw.uniform(0, 255, [32, 32, 3])
    first, second = (np.full([128, 128, 3], 100.0) + draw.normal(0, 2, [128, 128, 3]) for _ in range(2))
    first[:32, :32], second[64:96, 64:96] = thing, thing
    look = SimilarityMap(backbone, layer="P4")
    look = SimilarityMap(backbone, layer="P4", center=look.mean_embedding(np.full([1, 128, 128, 3], 100.0)))
    heatmaps = look(first, second)[0]
    assert heatmaps.shape == (128, 128)
    assert heatmaps[:32, :32].mean() > 3 * heatmaps[64:, 64:].mean()
    assert heatmaps.max() == 1


def test_mean_embedding_is_that_of_all_images(backbone, images):
    found = SimilarityMap(backbone).mean_embedding(images, batch_size=2)
    np.testing.assert_allclose(found, embedding(backbone, images).mean(axis=0), atol=1e-5)


def test_model_is_accepted_when_it_has_a_backbone(backbone, images):
    from kerassl.detectors import Localizer

    model = Localizer(backbone, ["a", "b"], 64, num_filters=8)
    np.testing.assert_array_equal(SimilarityMap(model)(images), SimilarityMap(backbone)(images))


def test_input_is_refused_in_one_line_when_invalid(backbone, images):
    with pytest.raises(UserError, match=r"the center is \(3,\); 'act5' has 16 channels"):
        SimilarityMap(backbone, center=np.zeros(3))
    with pytest.raises(UserError, match="'nowhere' is no feature map"):
        SimilarityMap(backbone, layer="nowhere")
    with pytest.raises(UserError, match="2 references for 3 images"):
        SimilarityMap(backbone)(images, images[:2])
