"""Label-free heatmaps against slow references and planted things."""

import keras
import numpy as np
import pytest
from PIL import Image

from kerassl import UserError, datasets
from kerassl.detectors import Foreground
from kerassl.detectors.pseudo_boxes.foreground import bounded, mean_and_component
from kerassl.explain import SimilarityMap
from kerassl.resizing import letterbox


@pytest.fixture(scope="module")
def backbone():
    """The mean colors of the squares of locations."""
    inputs = x = keras.Input((None, None, 3))
    for level in range(1, 6):
        x = keras.layers.AveragePooling2D(2, name=f"pool{level}")(x)
    return keras.Model(inputs, x, name="colors")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Bright things on dark ground: paths and their boxes, xyxy in pixels."""
    draw, folder = np.random.default_rng(0), tmp_path_factory.mktemp("photos")
    paths, boxes = [], []
    for number, (height, width) in enumerate([(96, 96), (96, 144), (144, 96), (192, 192)]):
        image = draw.uniform(20, 40, [height, width, 3])
        x, y = draw.integers(width // 4, width // 3), draw.integers(height // 4, height // 3)
        box = (x, y, x + width // 3, y + height // 3)
        image[box[1] : box[3], box[0] : box[2]] += 180
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(image.astype(np.uint8)).save(paths[-1])
        boxes.append(box)
    return paths, np.array(boxes)


@pytest.mark.current_stack
def test_heatmaps_are_highest_on_the_thing_when_images_have_any_shape(backbone, photos):
    one, all_ = (Foreground(backbone, photos[0], 96, kind="component", level="P4", batch_size=size) for size in (1, 4))
    for (place, heatmap, scale, size), (_, alone, _, _) in zip(all_.heatmaps(photos[0]), one.heatmaps(photos[0])):
        np.testing.assert_allclose(heatmap, alone, atol=1e-4)
        height, width = size
        assert heatmap.shape == (round(height * scale), round(width * scale))
        assert heatmap.max() == pytest.approx(1, abs=0.05)
        x0, y0, x1, y1 = np.rint(photos[1][place] * scale).astype(int)
        inside = np.zeros(heatmap.shape, bool)
        inside[y0:y1, x0:x1] = True
        assert heatmap[inside].mean() > 4 * heatmap[~inside].mean()


@pytest.mark.current_stack
def test_similarity_is_that_of_the_similarity_map_of_an_image_with_itself(backbone, photos):
    paths = [photos[0][0], photos[0][3]]  # square ones, without a border that is not the image's
    look = Foreground(backbone, paths, 96, kind="similarity", level="P4")
    images = np.stack([letterbox(datasets.read_image(path), 96)[0] for path in paths])
    plain = SimilarityMap(backbone, layer="P4")
    np.testing.assert_allclose(look.mean, plain.mean_embedding(images), rtol=1e-4)
    expected = SimilarityMap(backbone, layer="P4", center=look.mean)(images, images)
    for (_, heatmap, _, _), wanted in zip(look.heatmaps(paths), expected):
        np.testing.assert_allclose(heatmap, wanted, atol=1e-3)


@pytest.mark.current_stack
def test_heatmaps_are_the_same_when_another_image_has_huge_features(backbone, photos, tmp_path):
    """As after training on few images: here squares of colors, of dark photos and of one in red and blue."""
    squares = keras.Model(backbone.input, keras.layers.Multiply()([backbone.get_layer("pool4").output] * 2))
    squares = keras.Model(squares.input, keras.layers.AveragePooling2D(2)(squares.output))  # P5, which is not looked at
    paths = [str(tmp_path / f"{number}.png") for number in range(5)]
    for path, dark in zip(paths, photos[0]):
        Image.fromarray((datasets.read_image(dark) * 0.1).astype(np.uint8)).save(path)
    gaudy = np.zeros([96, 96, 3], np.uint8)
    gaudy[:, :48, 0] = gaudy[:, 48:, 2] = 255
    Image.fromarray(gaudy).save(paths[4])
    look = Foreground(squares, paths, 96, kind="component", level="P4")
    for place, heatmap, scale, _ in list(look.heatmaps(paths))[:4]:
        x0, y0, x1, y1 = np.rint(photos[1][place] * scale).astype(int)
        inside = np.zeros(heatmap.shape, bool)
        inside[y0:y1, x0:x1] = True
        assert heatmap[inside].mean() > 4 * heatmap[~inside].mean()


@pytest.mark.current_stack
def test_photos_are_scaled_down_to_a_size_and_locations_in_the_padding_are_ignored():
    locations = np.zeros([3, 1, 2, 2])
    locations[:, 0, 0] = [[3, 4], [30, 40], [0, 0]]
    locations[:, 0, 1] = 1e3
    inside = np.array([[[True, False]]] * 3)
    np.testing.assert_allclose(bounded(locations, inside, 10.0)[:, 0, 0], [[3, 4], [6, 8], [0, 0]])
    np.testing.assert_array_equal(bounded(locations, inside, np.inf), locations)


@pytest.mark.current_stack
def test_common_features_equal_those_of_a_decomposition_when_batches_differ():
    draw = np.random.default_rng(1)
    axis = draw.normal(size=5)
    axis /= np.linalg.norm(axis)
    locations = 3 + 0.1 * draw.normal(size=[6, 4, 5, 5])
    inside = np.ones([6, 4, 5], bool)
    inside[3:, :, 4:] = False
    locations[~inside] = 1e3  # what counts not
    locations[:, 1:3, 1:3] += axis
    locations[:, 1:3, 3] -= axis  # not within where the last column is beyond the image
    chosen = locations[inside]
    _, _, axes = np.linalg.svd(chosen - chosen.mean(0))
    # From the border to within, by hand: a neighbor beyond the image makes a location border.
    within = np.zeros_like(inside)
    within[:3, 1:3, 1:4] = within[3:, 1:3, 1:3] = True
    apart = locations[within].mean(0) - locations[inside & ~within].mean(0)
    expected = axes[0] * np.sign(axes[0] @ apart)
    for size in (1, 4, 6):
        found = mean_and_component((locations[at : at + size], inside[at : at + size]) for at in range(0, 6, size))
        np.testing.assert_allclose(found[0], chosen.mean(0), rtol=1e-12)
        np.testing.assert_allclose(found[1], expected, atol=1e-9)


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "gradcam"}, "heatmap is 'gradcam' and level 'P4'; heatmaps are component, similarity"),
        ({"level": "P6"}, "level 'P6'; heatmaps are component, similarity, levels P3, P4, P5"),
        ({"sample": 0}, "sample is 0; give 1 or more"),
        ({"image_size": 100}, "100"),
        ({"image_size": 64, "level": "P5"}, "all locations are at the border of their image; take a larger"),
    ],
)
def test_input_is_refused_in_one_line_when_invalid(backbone, photos, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        Foreground(backbone, photos[0], **{"image_size": 96, "kind": "component", "level": "P4", **settings})
    assert "\n" not in str(caught.value)
