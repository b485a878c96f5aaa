"""Heatmaps over images: the colors of single pixels, and images that are whole."""

import numpy as np
import pytest
from PIL import Image

from kerassl import UserError
from kerassl.explain import overlay, side_by_side
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack


def test_overlay_shows_the_image_where_low_and_the_color_where_high():
    image = np.full([2, 2, 3], 100, np.uint8)
    out = overlay(image, [[0.0, 0.25], [1.0, 1.0]])
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out[0, 0], [100, 100, 100])
    np.testing.assert_allclose(out[1, 0], 0.5 * 100 + 0.5 * np.array([252, 255, 164]), atol=1)  # inferno's end
    assert np.abs(out[0, 1].astype(int) - 100).max() > 10
    np.testing.assert_array_equal(overlay(image, [[1, 1], [1, 1]], strength=0), image)


def test_grid_holds_a_column_for_each_model_when_drawn(tmp_path):
    images = np.full([2, 32, 32, 3], 128, np.uint8)
    cold, hot = np.zeros([2, 32, 32]), np.ones([2, 32, 32])
    path = tmp_path / "new" / "heatmaps.png"
    side_by_side(images, {"ours": cold, "random start": hot}, path)
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    height, width, _ = image.shape
    assert width > height
    middle = image[height * 3 // 4]
    left, center, right = (middle[width * share // 6] for share in (1, 3, 5))
    np.testing.assert_array_equal(left, [128] * 3)
    np.testing.assert_array_equal(center, [128] * 3)
    np.testing.assert_array_equal(right, overlay(images[0], hot[0])[0, 0])
    assert list(path.parent.iterdir()) == [path]


def test_boxes_are_outlined_at_their_place_when_given(tmp_path):
    color = (77, 10, 200)  # that no letter of the title has
    images = np.full([1, 64, 64, 3], color, np.uint8)
    for name, boxes in (("plain", [[]]), ("boxed", [[[16, 16, 48, 56]]])):
        side_by_side(images, {"model": np.ones([1, 64, 64])}, tmp_path / f"{name}.png", boxes)
    plain, boxed = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")) for name in ("plain", "boxed"))
    panel = np.argwhere((plain == color).all(axis=-1))  # of the image; the map's has another color
    left = np.s_[:, : panel[:, 1].max() + 1]
    outline = np.argwhere((plain[left] != boxed[left]).any(axis=-1))
    low, size = panel.min(axis=0), np.ptp(panel, axis=0) + 1
    np.testing.assert_allclose((outline.min(axis=0) - low) / size, [16 / 64, 16 / 64], atol=0.02)
    np.testing.assert_allclose((outline.max(axis=0) - low) / size, [56 / 64, 48 / 64], atol=0.02)


def test_best_detection_is_outlined_and_file_names_are_written_when_given(tmp_path):
    images, maps = np.full([2, 64, 64, 3], 120, np.uint8), {"model": np.zeros([2, 64, 64])}
    boxes, scores = [[0, 0, 20, 20], [16, 16, 48, 56]], [0.2, 0.9]
    detections = [Detections(boxes, scores, [0, 1], ["car", "$fish$"]), Detections([], [], [])]
    side_by_side(images, maps, tmp_path / "a.png", found={"model": [each.filter(1) for each in detections]})
    side_by_side(images, maps, tmp_path / "b.png", found={"model": detections})
    side_by_side(images, maps, tmp_path / "c.png", found={"model": detections}, names=["$a$.jpg", "b\n.jpg"])
    none, best, named = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int) for name in "abc")
    blue = np.argwhere((np.abs(best - [0, 191, 255]).sum(axis=-1) < 30) & (np.abs(none - best).sum(axis=-1) > 30))
    height, width = np.ptp(blue, axis=0)
    assert abs(height / width - 40 / 32) < 0.05  # that of the higher score
    assert blue.max(axis=0)[0] < best.shape[0] // 2 + 10
    assert (named.shape != best.shape) or (named != best).any()
    with pytest.raises(UserError, match="there are 1 names for 2 images"):
        side_by_side(images, maps, tmp_path / "d.png", names=["a"])


@pytest.mark.parametrize(
    ("images", "models", "name", "boxes", "message"),
    [
        (1, {}, "a.png", None, "one of both at least"),
        (0, {"model": 0}, "a.png", None, "one of both at least"),
        (2, {"model": 1}, "a.png", None, r"heatmaps of 'model' are \(1, 8, 8\)"),
        (1, {"model": 1}, "a.png", [], "0 lists of boxes for 1 images"),
        (1, {"model": 1}, "a.txt", None, "does not end like an image"),
    ],
)
def test_nothing_is_written_when_parts_do_not_fit(tmp_path, images, models, name, boxes, message):
    heatmaps = {model: np.zeros([count, 8, 8]) for model, count in models.items()}
    with pytest.raises(UserError, match=message):
        side_by_side(np.zeros([images, 8, 8, 3]), heatmaps, tmp_path / name, boxes)
    assert not list(tmp_path.iterdir())


def test_overlay_is_refused_when_sizes_differ():
    with pytest.raises(UserError, match=r"\(8, 8, 3\).*\(4, 8\)"):
        overlay(np.zeros([8, 8, 3]), np.zeros([4, 8]))
