import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.datasets import read_image
from kerassl.datasets.images.faults import fault
from kerassl.resizing import center_crop, check_image_size, letterbox


@pytest.mark.current_stack
@pytest.mark.parametrize("size", [240, 16, 0, -32, 100.5, float("nan"), "160", True, None])
def test_image_size_is_refused_when_no_multiple_of_32(size):
    with pytest.raises(UserError, match=r"image size .* (use|give) ") as error:
        check_image_size(size)
    assert "\n" not in str(error.value)


@pytest.mark.current_stack
def test_image_size_names_both_neighbors_when_between_multiples():
    with pytest.raises(UserError, match="use 224 or 256"):
        check_image_size(240)
    assert check_image_size(np.int64(224)) == 224


@pytest.mark.parametrize(("height", "width"), [(30, 60), (60, 30), (47, 91), (64, 64), (200, 3), (20, 20)])
def test_letterbox_maps_places_by_the_scale_alone(height, width):
    # A horizontal and a vertical ramp: the value of a pixel tells the place that it came from.
    y, x = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack([x, y, np.full_like(x, 200.0)], axis=-1)
    square, scale = letterbox(image, 64)
    assert square.shape == (64, 64, 3)
    np.testing.assert_allclose(scale, 64 / max(height, width), rtol=1e-6)
    rows, columns = max(1, round(height * float(scale))), max(1, round(width * float(scale)))
    np.testing.assert_allclose(square[:rows, :columns, 2], 200.0, rtol=1e-5)
    assert np.all(square[rows:].numpy() == 0)
    assert np.all(square[:, columns:].numpy() == 0)
    # Away from the edge, where the filter is cut off; half a pixel of the square for the rounded side.
    across = (np.arange(columns) + 0.5) / float(scale) - 0.5
    inner = (across > 2 / float(scale)) & (across < width - 1 - 2 / float(scale))
    np.testing.assert_allclose(square.numpy()[rows // 2, :columns, 0][inner], across[inner], atol=0.6 / float(scale))


def test_letterbox_gives_each_image_the_same_when_in_a_batch():
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 33, 3), np.uint8)
    together, scale = letterbox(images, 64)
    for image, square in zip(images, together):
        alone, alone_scale = letterbox(image, 64)
        np.testing.assert_array_equal(square, alone)
        assert scale == alone_scale


def test_letterbox_needs_no_static_shape_when_traced():
    traced = tf.function(lambda image: letterbox(image, 32), input_signature=[tf.TensorSpec([None, None, 3])])
    for shape in ((10, 20, 3), (70, 15, 3)):
        image = np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)
        np.testing.assert_allclose(traced(image)[0], letterbox(image, 32)[0], atol=1e-3)
    assert traced(np.zeros((8, 8, 3), np.float32))[0].shape == (32, 32, 3)


def test_center_crop_keeps_the_middle_when_an_image_is_wide():
    image = np.zeros((32, 96, 3), np.uint8)
    image[:, 32:64] = 255
    np.testing.assert_allclose(center_crop(image, 32), 255.0)
    np.testing.assert_allclose(center_crop(image.transpose(1, 0, 2), 32), 255.0)


@pytest.mark.parametrize("side", [64, 128])
def test_center_crop_averages_when_it_shrinks(side):
    # A fine chequerboard must become gray; where pixels were passed over it would stay black or white in places.
    image = (np.indices((side, side)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=-1)
    inner = center_crop(image, 32).numpy()[2:-2, 2:-2]
    np.testing.assert_allclose(inner, 127.5, atol=3)


@pytest.mark.parametrize(("suffix", "mode"), [("png", "RGB"), ("png", "L"), ("png", "P"), ("bmp", "RGB"), ("gif", "P")])
def test_read_image_gives_the_pixels_when_the_format_is_exact(tmp_path, suffix, mode):
    drawn = PIL.Image.fromarray(np.random.default_rng(2).integers(0, 256, (9, 12, 3), np.uint8)).convert(mode)
    drawn.save(tmp_path / f"a.{suffix}")
    with PIL.Image.open(tmp_path / f"a.{suffix}") as written:
        expected = np.asarray(written.convert("RGB"))
    found = read_image(tmp_path / f"a.{suffix}")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_read_image_is_close_to_another_decoder_when_given_a_jpeg(tmp_path, mode):
    ramp = np.linspace(0, 255, 48).astype(np.uint8)
    drawn = PIL.Image.fromarray(np.stack(np.broadcast_arrays(ramp, ramp[:, None], 128), axis=-1).astype(np.uint8))
    drawn.convert(mode).save(tmp_path / "a.jpg", quality=95)
    with PIL.Image.open(tmp_path / "a.jpg") as written:
        expected = np.asarray(written.convert("RGB"), np.float32)
    assert np.abs(read_image(tmp_path / "a.jpg") - expected).mean() < 3


@pytest.mark.current_stack
def test_fault_says_what_is_wrong_when_a_file_cannot_be_read(tmp_path, save_image):
    whole = save_image(tmp_path / "whole.jpg")
    spoilt = {
        "empty.jpg": (b"", "is empty"),
        "text.jpg": (b"no image at all", "no image that can be read"),
        "cut.jpg": (whole.read_bytes()[:600], "cannot be decoded"),
    }
    for name, (contents, expected) in spoilt.items():
        (tmp_path / name).write_bytes(contents)
        assert expected in fault(tmp_path / name)
        with pytest.raises(UserError, match=expected) as error:
            read_image(tmp_path / name)
        assert name in str(error.value)
        assert "\n" not in str(error.value)
    assert "not there" in fault(tmp_path / "missing.jpg")
    assert "no file" in fault(tmp_path)
