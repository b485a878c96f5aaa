"""Image files sent to a servable, against prediction from the same files."""

import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerassl import detectors


def encoded(image, form, **settings):
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


@pytest.fixture(scope="module")
def good():
    """Files that are whole: two photos, one turned by EXIF, one with alpha, a gray one, and one pixel."""
    noise = np.random.default_rng(0).integers(0, 255, (50, 90, 4), "uint8")
    color = Image.fromarray(noise[..., :3])
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "photo.jpg": encoded(color, "JPEG", quality=95),
        "turned.jpg": encoded(color, "JPEG", quality=95, exif=exif),
        "alpha.png": encoded(Image.fromarray(noise, "RGBA"), "PNG"),
        "gray.jpg": encoded(color.convert("L").resize((200, 70)), "JPEG"),
        "one.png": encoded(color.resize((1, 1)), "PNG"),
        "plain.bmp": encoded(color, "BMP"),
    }


@pytest.fixture(scope="module")
def huge():
    """12,000 x 12,000 pixels in few bytes."""
    side = 12_000
    return {
        "huge.png": encoded(Image.new("1", (side, side)), "PNG"),
        "huge.jpg": encoded(Image.new("L", (side, side)), "JPEG"),
    }


@pytest.fixture(scope="module")
def bad(good, huge):
    """Files that a servable does not decode."""
    return {
        "cut.jpg": good["photo.jpg"][: len(good["photo.jpg"]) // 2],
        "cut.png": good["alpha.png"][: len(good["alpha.png"]) // 2],
        "empty.jpg": b"",
        "text.jpg": b"no image",
        "photo.webp": encoded(Image.new("RGB", (9, 9), "red"), "WEBP"),
        **huge,
    }


def mixed(good, bad):
    """A batch of good and bad ones in turns, with their names."""
    names = [name for pair in zip(good, bad) for name in pair]
    names += [name for name in (*good, *bad) if name not in names]
    return names, [(good | bad)[name] for name in names]


def predicted(model, files, folder):
    """Return predictions from files, with a detection a row also for a localizer."""
    paths = []
    for name, contents in files.items():
        paths.append(folder / name)
        paths[-1].write_bytes(contents)
    found = detectors.predict(model, paths, verbose=0)
    return {pathlib.Path(path).name: one for path, one in found.items()}


@pytest.mark.parametrize("kind", ["vivid_detector", pytest.param("vivid_yolov8", marks=pytest.mark.current_stack)])
def test_detections_are_those_of_prediction_from_files_beside_broken_ones(
    request, good, bad, c_servable, tmp_path, kind
):
    model, path = request.getfixturevalue(kind)
    expected = predicted(model, good, tmp_path)
    servable = c_servable(path)
    names, batch = mixed(good, bad)
    served = servable.run("serve_bytes", image_bytes=batch)
    assert {name for name, valid in zip(names, served["valid"]) if valid} == set(good)
    for row, name in enumerate(names):
        count = served["num_detections"][row]
        if name in bad:
            assert count == 0
            assert not served["scores"][row].any()
            assert not served["boxes"][row].any()
            assert set(served["class_names"][row]) == {b""}
            continue
        found, side = expected[name], {"gray.jpg": 200, "one.png": 1}.get(name, 90)
        assert 0 < count == len(found.scores)
        np.testing.assert_allclose(served["scores"][row, :count], found.scores, atol=1e-5)
        np.testing.assert_allclose(served["boxes"][row, :count], found.boxes, atol=1e-5 * side)
        np.testing.assert_array_equal(served["classes"][row, :count], found.classes)
    assert served["num_detections"].sum() > 10
    photo, turned = (served["scores"][names.index(name)] for name in ("photo.jpg", "turned.jpg"))
    assert np.abs(photo - turned).max() > 3e-5  # more than they may err
    alone = servable.run("serve_bytes", image_bytes=[good["turned.jpg"]])
    row = names.index("turned.jpg")
    assert served["boxes"][row, :, 2].max() <= 50  # upright, it is 50 pixels wide
    np.testing.assert_allclose(alone["scores"][0], served["scores"][row], atol=1e-4)
    np.testing.assert_allclose(alone["boxes"][0], served["boxes"][row], atol=1e-4 * 90)


@pytest.mark.current_stack
def test_a_localizers_answers_are_those_of_prediction_from_files(vivid_localizer, good, bad, c_servable, tmp_path):
    model, path = vivid_localizer
    expected = predicted(model, good, tmp_path)
    servable = c_servable(path)
    names, batch = mixed(good, bad)
    served = servable.run("serve_bytes", image_bytes=batch)
    for row, name in enumerate(names):
        assert served["valid"][row] == (name in good)
        if name in bad:
            assert not served["box"][row].any()
            assert not served["probabilities"][row].any()
            assert served["class_name"][row] == b""
            continue
        found, side = expected[name], {"gray.jpg": 200, "one.png": 1}.get(name, 90)
        np.testing.assert_allclose(served["box"][row], found.boxes[0], atol=1e-5 * side)
        np.testing.assert_allclose(served["probabilities"][row].max(), found.scores[0], atol=1e-5)
        assert served["class"][row] == found.classes[0]


@pytest.mark.current_stack
def test_files_embed_like_their_pixels_and_a_batch_of_broken_files_has_an_answer(simclr, good, bad, c_servable):
    servable = c_servable(simclr[1])
    files = servable.run("serve_bytes", image_bytes=[good["alpha.png"], bad["cut.jpg"]])
    with Image.open(io.BytesIO(good["alpha.png"])) as image:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
    pixels = np.asarray(white.convert("RGB"))[None]
    for signature in ("embed", "serving_default"):
        shown = servable.run(signature, images=pixels)["embeddings"]
        # Pillow rounds what lies on white another way, by one step at most.
        np.testing.assert_allclose(files["embeddings"][:1], shown, atol=0.02 * np.abs(shown).max())
    np.testing.assert_array_equal(files["embeddings"][1], 0)
    none = servable.run("serve_bytes", image_bytes=[bad["empty.jpg"]])
    assert none["valid"].tolist() == [False]
    assert none["embeddings"].shape == files["embeddings"][:1].shape


MEMORY = """
import json, pathlib, resource, sys
from kerassl.serving.c_api import CServable
servable = CServable(sys.argv[1])
small, *huge = [pathlib.Path(name).read_bytes() for name in sys.argv[2:]]
def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for _ in range(3):
    servable.run("serve_bytes", image_bytes=[small] * 4)
before = memory()
valid = servable.run("serve_bytes", image_bytes=[small, *huge, small])["valid"].tolist()
print(json.dumps({"valid": valid, "grown": memory() - before, "python": "tensorflow" in sys.modules}))
"""


@pytest.mark.current_stack
def test_an_oversized_image_is_refused_before_memory_is_taken_for_it(simclr, good, huge, tmp_path):
    _, path = simclr
    for name in ("photo.jpg", *huge):
        (tmp_path / name).write_bytes((good | huge)[name])
    command = [sys.executable, "-c", MEMORY, path, tmp_path / "photo.jpg", *(tmp_path / name for name in huge)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["valid"] == [True, False, False, True]
    assert report["grown"] < 100  # MiB; one of them decoded takes 412
    assert not report["python"]


@pytest.mark.current_stack
def test_limit_of_pixels_is_that_of_the_export(limited_backbone, good, signatures):
    served = signatures(limited_backbone[1])["serve_bytes"]
    answer = served(image_bytes=tf.constant([good["photo.jpg"], good["gray.jpg"]]))  # 90 x 50 and 200 x 70
    assert answer["valid"].numpy().tolist() == [True, False]
