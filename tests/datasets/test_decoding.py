import io
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.datasets import read_image
from kerassl.datasets.images.decoding import MAX_PIXELS, decode
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.orientation import exif_orientation, turn_boxes

_traced = tf.function(lambda contents: decode(contents), input_signature=[tf.TensorSpec([], tf.string)])


def _drawn(width=48, height=36, mode="RGB"):
    """Smooth, so that JPEG keeps it, and without any symmetry."""
    y, x = np.mgrid[:height, :width]
    planes = [x * 255 / width, y * 255 / height, np.where((x < width / 3) & (y < height / 4), 220, 60)]
    return PIL.Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8)).convert(mode)


def _encoded(drawn, kind, **settings):
    file = io.BytesIO()
    drawn.save(file, kind, **settings)
    return file.getvalue()


def _seen(contents):
    """Decode with Pillow, on white."""
    with PIL.Image.open(io.BytesIO(contents)) as image:
        upright = PIL.ImageOps.exif_transpose(image).convert("RGBA")
    page = PIL.Image.new("RGBA", upright.size, "white")
    page.alpha_composite(upright)
    return np.asarray(page.convert("RGB"), int)


def _compare(contents, most=0, mean=0.0):
    """Eagerly and in the graph against Pillow."""
    expected = _seen(contents)
    for decoded in (decode(contents), _traced(contents)):
        assert decoded.dtype == tf.uint8
        assert decoded.shape == expected.shape
        difference = np.abs(decoded.numpy().astype(int) - expected)
        assert difference.max() <= most
        assert difference.mean() <= max(mean, most / 2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_turns_an_image_as_pillow_does_when_exif_says_so(kind, orientation, exif):
    settings = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}}[kind]
    for order in "<>":
        contents = _encoded(_drawn(), kind, exif=exif(orientation, order), **settings)
        _compare(contents, most=8 if kind == "JPEG" else 0, mean=1.0)
        assert decode(contents, turned=False).shape == (36, 48, 3)


def test_finds_exif_behind_other_segments_and_survives_what_is_not_whole(exif):
    plain = _encoded(_drawn(), "JPEG", quality=95)
    jfif, rest = plain[2:20], plain[20:]
    assert rest.startswith(b"\xff\xdb")

    def segment(marker, body):
        return struct.pack(">HH", marker, len(body) + 2) + body

    noted, icc, comment = (
        segment(0xFFE1, exif(6)),
        segment(0xFFE2, b"x" * 65000),
        segment(0xFFFE, b"Exif\0\0 of nothing"),
    )
    xmp = segment(0xFFE1, b"http://ns.adobe.com/xap/1.0/\0 Exif\0\0")
    for front in (b"", jfif, comment, icc + icc + jfif, jfif + b"\xff\xff", xmp):
        assert decode(b"\xff\xd8" + front + noted + rest).shape == (48, 36, 3)
    whole = exif(6)
    for broken in (
        *(whole[:cut] for cut in range(6, len(whole) - 20)),  # the orientation ends 20 bytes before the end
        exif(0),
        exif(9),
        whole.replace(b"\0*", b"\0+"),
        whole.replace(b"MM", b"MI"),
        whole.replace(b"*\0\0\0\x08", b"*\xff\xff\xff\xff"),
        whole.replace(b"*\0\0\0\x08", b"*\0\0\0\xff"),
        whole.replace(b"\x01\x12\0\x03", b"\x01\x12\0\x07"),
    ):
        contents = b"\xff\xd8" + jfif + segment(0xFFE1, broken) + rest
        assert _traced(contents).shape == (36, 48, 3)
        assert exif_orientation(broken) == 1


def test_reads_exif_in_the_graph_and_beside_it_alike_when_bytes_are_flipped(exif):
    rng = np.random.default_rng(5)
    rest = _encoded(_drawn(8, 4), "JPEG")[20:]
    found = []
    for _ in range(300):
        data = bytearray(exif(6, "<>"[rng.integers(2)]))
        for _ in range(rng.integers(1, 3)):
            data[rng.integers(6, len(data))] = rng.integers(256) if rng.random() < 0.5 else rng.integers(10)
        front = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(data) + 2) + data
        found.append(exif_orientation(bytes(data)))
        assert (_traced(front + rest).shape[0] == 8) == (found[-1] >= 5)
    assert 30 < found.count(1) < 200


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_boxes_as_it_turns_the_image(orientation, exif):
    boxes = np.array([[3, 5, 20, 9], [0, 0, 48, 36], [40, 30, 47, 36]])
    for box in boxes:
        stored = np.zeros([36, 48, 3], np.uint8)
        stored[box[1] : box[3], box[0] : box[2]] = 255
        contents = _encoded(PIL.Image.fromarray(stored), "PNG", exif=exif(orientation))
        seen = decode(contents).numpy()
        rows, columns = seen[..., 0].any(axis=1).nonzero()[0], seen[..., 0].any(axis=0).nonzero()[0]
        expected = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_array_equal(turn_boxes([box], orientation, seen.shape[1], seen.shape[0]), [expected])


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, mode) for kind in ("PNG", "WEBP", "GIF", "BMP") for mode in ("RGB", "L", "RGBA", "P", "1")]
    + [("PNG", "LA"), ("WEBP", "LA")],
)
def test_gives_the_pixels_that_pillow_shows(kind, mode):
    drawn = _drawn(mode=mode.replace("A", "") if mode in ("LA", "RGBA") else mode)
    if mode in ("LA", "RGBA"):
        drawn.putalpha(_drawn().getchannel("R"))  # from 0 to 255
    contents = _encoded(drawn, kind, **({"lossless": True} if kind == "WEBP" else {}))
    # Half a step of rounding where alpha is.
    _compare(contents, most=1 if mode in ("LA", "RGBA") and kind == "PNG" else 0)
    if mode == "P" and kind in ("PNG", "GIF"):
        contents = _encoded(drawn, kind, transparency=drawn.getpixel((20, 20)))
        assert tuple(decode(contents)[20, 20]) == (255, 255, 255)
        _compare(contents)


def test_keeps_the_upper_eight_bits_when_a_png_has_sixteen():
    values = np.linspace(0, 65535, 48 * 36).astype(np.uint16).reshape(36, 48)
    contents = _encoded(PIL.Image.fromarray(values), "PNG")
    for channel in range(3):
        np.testing.assert_array_equal(decode(contents)[..., channel], values >> 8)


def test_takes_the_first_frame_when_animated():
    frames = [_drawn(), PIL.ImageOps.invert(_drawn())]
    for kind in ("WEBP", "GIF", "PNG"):
        settings = {"lossless": True} if kind == "WEBP" else {}
        _compare(_encoded(frames[0], kind, save_all=True, append_images=frames[1:], **settings))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "YCCK"])
def test_is_close_to_pillow_when_given_a_jpeg(mode):
    contents = _encoded(_drawn(mode=mode.replace("YCCK", "CMYK")), "JPEG", quality=95)
    if mode == "YCCK":  # Adobe's segment says which of the two it is
        place = contents.index(b"Adobe") + 11
        contents = contents[:place] + b"\2" + contents[place + 1 :]
    _compare(contents, most=8, mean=1.0)


def test_format_is_recognized_by_bytes_when_the_suffix_is_another(tmp_path):
    for kind in ("PNG", "BMP", "GIF", "WEBP"):
        (tmp_path / "a.jpg").write_bytes(_encoded(_drawn(), kind))
        np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), _seen((tmp_path / "a.jpg").read_bytes()))


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 480), (127, 400), (128, 400), (511, 512), (513, 900)])
def test_shrinks_jpegs_by_the_largest_ratio_that_leaves_enough(height, width):
    contents = _encoded(_drawn(width, height), "JPEG", quality=95)
    for shortest in (32, 64, 100, 160, 600):
        ratio = max(each for each in (1, 2, 4, 8) if each == 1 or min(height, width) / each >= shortest)
        image = decode(contents, shortest=shortest)
        assert image.shape[:2] == (-(-height // ratio), -(-width // ratio))
        # What is left is the same image.
        scaled = _drawn(width, height).resize(image.shape[1::-1], PIL.Image.Resampling.BOX)
        assert np.abs(image.numpy().astype(int) - np.asarray(scaled)).mean() < 2
    assert decode(_encoded(_drawn(width, height), "PNG"), shortest=32).shape == (height, width, 3)


def _png_of(width, height):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


def _bombs():
    """Small files that say that they are large."""
    jpeg = _encoded(_drawn(), "JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    gif = bytearray(_encoded(_drawn(), "GIF"))
    gif[6:10] = struct.pack("<HH", 60000, 60000)
    bmp = bytearray(_encoded(_drawn(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 60000, -60000)
    palette = bytearray(_encoded(_drawn(mode="P"), "BMP"))
    palette[18:26] = struct.pack("<ii", 60000, 60000)
    webp = bytearray(_encoded(_drawn(), "WEBP", lossless=True))  # 14 bits a side, so 16,383 at most
    webp[21:25] = b"\xff\xff\xff\x0f"
    return {
        "a.png": _png_of(60000, 60000),
        "a.jpg": jpeg[:frame] + struct.pack(">HH", 60000, 60000) + jpeg[frame + 4 :],
        "a.gif": bytes(gif),
        "a.bmp": bytes(bmp),
        "b.bmp": bytes(palette),
        "a.webp": bytes(webp),
    }


@pytest.mark.parametrize("name", _bombs())
def test_refuses_a_small_file_of_billions_of_pixels_and_says_so(tmp_path, name):
    contents = _bombs()[name]
    assert len(contents) < 10_000
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(tf.errors.OpError):
        _traced(contents)
    with pytest.raises(UserError, match=r"would have \S+ (b|m)illion pixels; 100 million are allowed") as error:
        read_image(tmp_path / name)
    assert "\n" not in str(error.value)
    if name == "a.png":
        assert "3.6 billion" in str(error.value)


def test_counts_pixels_to_the_last_one_and_takes_another_limit(tmp_path):
    assert MAX_PIXELS == 100_000_000
    for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP"):
        contents = _encoded(_drawn(), kind)
        assert decode(contents, max_pixels=48 * 36).shape == (36, 48, 3)
        with pytest.raises(tf.errors.OpError):
            decode(contents, max_pixels=48 * 36 - 1)
    (tmp_path / "a.png").write_bytes(_encoded(_drawn(), "PNG"))
    with pytest.raises(UserError, match="would have 1728 pixels; 1727 are allowed"):
        read_image(tmp_path / "a.png", max_pixels=1727)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_names_a_file_as_truncated_when_its_end_is_missing(tmp_path, kind):
    contents = _encoded(_drawn(200, 150), kind)
    for share in (0.5, 0.9, 0.99):
        (tmp_path / "a.jpg").write_bytes(contents[: int(len(contents) * share)])
        with pytest.raises(UserError, match="truncated"):
            read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (_encoded(_drawn(), "TIFF"), "a TIFF or camera raw image"),
        (_encoded(_drawn(), "JPEG2000"), "a JPEG 2000 image"),
        (_encoded(_drawn(), "ICO"), "an icon"),
        (_encoded(_drawn(), "PPM"), "a Netpbm image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF image"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "a video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
        (b"%PDF-1.7", "a PDF"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"PK\3\4", "an archive"),
    ],
)
def test_names_what_a_file_is_when_it_is_not_read(tmp_path, contents, words):
    (tmp_path / "a.jpg").write_bytes(contents)
    with pytest.raises(UserError, match=rf"a\.jpg is {words}, which is not read: \w+") as error:
        read_image(tmp_path / "a.jpg")
    assert "\n" not in str(error.value)


def test_fault_survives_names_that_cannot_be():
    assert fault("a\0b.jpg").startswith(("cannot be opened", "is not there"))
    assert fault("a" * 300).startswith(("cannot be opened", "is not there"))
