import keras
import numpy as np
import pytest

from kerassl import UserError, datasets
from kerassl.detectors import Localizer
from kerassl.explain import GradCAM, sanity_check
from kerassl.resizing import letterbox

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def trained(tiny_backbone, tmp_path_factory):
    """A localizer that has learned a little, and what it is asked about."""
    keras.utils.set_random_seed(0)
    root = datasets.write_scenes(
        tmp_path_factory.mktemp("s") / "scenes", train=64, val=8, image_size=(96, 96), single_object=True
    )
    train, val = (
        datasets.DetectionDataset.from_voc(root, 2007, split, class_names=datasets.SCENE_CLASSES)
        for split in ("train", "val")
    )
    model = Localizer(tiny_backbone(16), datasets.SCENE_CLASSES, 96, num_filters=16)
    model.compile(learning_rate=3e-3)
    model.fit(datasets.single_object_batches(train, 96, 16, shuffle=True, seed=0), epochs=6, verbose=0)
    images = np.stack([letterbox(datasets.read_image(record.path), 96)[0] for record in val])
    return model, images, np.array([record.classes[0] for record in val])


def test_heatmaps_change_with_randomized_weights_which_are_restored(trained):
    model, images, classes = trained
    cam, before = GradCAM(model, layer="P4"), [weight.copy() for weight in model.get_weights()]
    found = sanity_check(model, lambda: cam(images, classes), steps=4)
    assert [name for name, _ in found][-1] == "conv1"
    assert len(found) == 4
    assert found[-1][1] < 0.3
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    again = sanity_check(model, lambda: cam(images, classes), steps=4)
    np.testing.assert_allclose([s for _, s in again], [s for _, s in found], atol=1e-5)


def test_similarity_stays_high_when_heatmaps_are_edges_of_the_image(trained):
    model, images, _ = trained
    edges = np.abs(np.diff(images.mean(-1), axis=1, append=0)) / 255
    assert [alike for _, alike in sanity_check(model, lambda: edges, steps=2)] == [1, 1]


def test_input_is_refused_in_one_line_when_invalid(trained):
    model, _, _ = trained
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
