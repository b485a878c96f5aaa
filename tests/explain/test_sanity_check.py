import keras
import numpy as np
import pytest

from kerassl import UserError, datasets
from kerassl.detectors import Localizer
from kerassl.explain import GradCAM, sanity_check
from kerassl.resizing import letterbox

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def asked(tiny_backbone, tmp_path_factory):
    """A localizer, images and the classes that it is asked about."""
    root = datasets.write_scenes(tmp_path_factory.mktemp("s") / "scenes", train=0, val=8, image_size=(96, 96))
    keras.utils.set_random_seed(0)
    model = Localizer(tiny_backbone(16), datasets.SCENE_CLASSES, 96, num_filters=16)
    paths = datasets.image_files(root / "VOC2007" / "JPEGImages")
    images = np.stack([letterbox(datasets.read_image(path), 96)[0] for path in paths])
    return model, images, np.arange(8) % 3


def test_heatmaps_change_with_randomized_weights_which_are_restored(asked):
    model, images, classes = asked
    cam, before = GradCAM(model, layer="P4"), [weight.copy() for weight in model.get_weights()]
    found = sanity_check(model, lambda: cam(images, classes), steps=4)
    assert [name for name, _ in found][-1] == "conv1"
    assert len(found) == 4
    assert found[-1][1] < 0.3
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    again = sanity_check(model, lambda: cam(images, classes), steps=4)
    np.testing.assert_allclose([s for _, s in again], [s for _, s in found], atol=1e-5)


def test_similarity_stays_high_when_heatmaps_are_edges_of_the_image(asked):
    model, images, _ = asked
    edges = np.abs(np.diff(images.mean(-1), axis=1, append=0)) / 255
    assert [alike for _, alike in sanity_check(model, lambda: edges, steps=2)] == [1, 1]


def test_input_is_refused_in_one_line_when_invalid(asked):
    model, _, _ = asked
    with pytest.raises(UserError, match="steps is 0; 'localizer' has"):
        sanity_check(model, lambda: None, steps=0)
    with pytest.raises(UserError, match="11 pixels a side"):
        sanity_check(model, lambda: np.zeros([1, 8, 8]))
    before = model.get_weights()
    calls = []

    def broken():
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("stopped")
        return np.zeros([1, 16, 16])

    with pytest.raises(RuntimeError, match="stopped"):
        sanity_check(model, broken)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
