"""Images packed into shards, and read from them."""

import json
import os
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl._io.manifest import checksum
from kerassl.datasets import image_folder, write_shards
from kerassl.datasets.images.shard_index import read_index
from kerassl.datasets.shards import writer

pytestmark = pytest.mark.current_stack


@pytest.fixture
def photos(tmp_path, save_image):
    for number in range(13):
        path = tmp_path / "photos" / f"{number:02d}.{'png' if number % 5 == 0 else 'jpg'}"
        save_image(path, 60 + number, 90, seed=number)
    return tmp_path / "photos"


def write(photos, folder, **kwargs):
    return write_shards(photos, folder, **{"per_shard": 4, "progress": False, **kwargs})


def epoch(dataset):
    return np.array([images.numpy() for images in dataset])


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*")}


def flip(path, byte):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


def test_gives_the_batches_of_the_folder_when_nothing_is_shrunk(photos, tmp_path):
    done = write(photos, tmp_path / "shards")
    assert done == (13, 4, 0, [])
    folder, packed = image_folder(photos, 32, 4, seed=3), image_folder(tmp_path / "shards", 32, 4, seed=3)
    assert packed.element_spec == folder.element_spec
    assert packed.cardinality() == folder.cardinality() == packed.steps == 3
    for _ in range(2):
        np.testing.assert_array_equal(epoch(packed), epoch(folder))
    np.testing.assert_array_equal(epoch(packed.at(7, 2)), epoch(folder.at(7, 2)))
    for kwargs in ({"shuffle": False, "drop_remainder": False}, {"worker": (1, 2)}):
        for ours, theirs in zip(
            image_folder(tmp_path / "shards", 32, 5, **kwargs), image_folder(photos, 32, 5, **kwargs)
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_shrinks_larger_images_and_leaves_smaller_ones_as_they_are(tmp_path, save_image):
    coarse = np.random.default_rng(0).integers(0, 255, (8, 12, 3), "uint8")
    (tmp_path / "photos").mkdir()
    PIL.Image.fromarray(coarse).resize((600, 400), PIL.Image.BICUBIC).save(tmp_path / "photos" / "large.png")
    small = save_image(tmp_path / "photos" / "small.jpg", 60, 40)
    write(tmp_path / "photos", tmp_path / "shards", image_size=64, quality=95)
    (path,) = (tmp_path / "shards").glob("*.tfrecord")
    large, same = (tf.train.Example.FromString(raw.numpy()) for raw in tf.data.TFRecordDataset(str(path)))
    assert same.features.feature["image/encoded"].bytes_list.value[0] == small.read_bytes()
    assert same.features.feature["image/filename"].bytes_list.value[0].decode() == str(small)
    assert [large.features.feature[f"image/{side}"].int64_list.value[0] for side in ("height", "width")] == [64, 96]
    assert tf.io.decode_jpeg(large.features.feature["image/encoded"].bytes_list.value[0]).shape == (64, 96, 3)
    (ours,), (theirs,) = (list(image_folder(tmp_path / where, 32, 2, shuffle=False)) for where in ("shards", "photos"))
    assert np.abs(ours[0] - theirs[0]).mean() < 4  # shrunk twice, and a JPEG, whose colors are coarser
    assert np.abs(ours[0] - theirs[0][::-1]).mean() > 20
    np.testing.assert_array_equal(ours[1], theirs[1])


def test_leaves_out_broken_files_and_names_them(photos, tmp_path, caplog):
    (photos / "03.jpg").write_bytes(b"nothing")
    (photos / "11.jpg").write_bytes(b"")
    done = write(photos, tmp_path / "shards")
    expected = [
        (str(photos / "03.jpg"), "is no image that can be read"),
        (str(photos / "11.jpg"), "is empty (0 bytes)"),
    ]
    assert (done.images, done.broken) == (11, expected)
    assert "left out" in caplog.text
    index = json.loads((tmp_path / "shards" / "index.json").read_text())
    assert [each for entry in index["shards"] for each in entry["broken"]] == [list(each) for each in expected]
    assert len(epoch(image_folder(tmp_path / "shards", 32, 11))) == 1
    with pytest.raises(UserError, match="none of 1 image files can be read"):
        write(photos / "11.jpg", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_failure_leaves_a_folder_as_it_was_and_no_new_one(photos, tmp_path, monkeypatch):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    for images, message in ((tmp_path / "broken", "none of 1 image"), (tmp_path / "empty", "holds no images")):
        for folder in (tmp_path / "new" / "shards", tmp_path / "empty"):
            with pytest.raises(UserError, match=message):
                write(images, folder)
    # A disk that is full from the start, and one that a user stops.
    for error, raised in (
        (OSError(28, "No space left on device"), UserError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(writer, "_write", Mock(side_effect=error))
            for folder in (tmp_path / "new" / "shards", tmp_path / "empty"):
                with pytest.raises(raised):
                    write(photos, folder)
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "empty").iterdir())
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"already holds notes\.txt"):
        write(photos, other)
    assert [path.name for path in other.iterdir()] == ["notes.txt"]
    # Whole shards of other images outlive it.
    write(photos, tmp_path / "whole")
    before = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    with pytest.raises(UserError, match="none of 1 image"):
        write(tmp_path / "broken", tmp_path / "whole")
    assert {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()} == before


def test_second_run_keeps_what_is_whole_and_repairs_the_rest(photos, tmp_path):
    folder = tmp_path / "shards"
    write(photos, folder)
    before, sums = times(folder), {path.name: checksum(path) for path in folder.glob("shard-*")}
    assert write(photos, folder).kept == 4
    assert times(folder) == before
    flip(folder / "shard-00001.tfrecord", 500)
    (folder / "shard-00002.tfrecord").unlink()
    os.utime(photos / "12.jpg", (1, 1))
    assert write(photos, folder).kept == 1
    # The file that somebody changed is kept.
    assert {name for name, when in times(folder).items() if when != before.get(name)} == {
        *(f"shard-0000{number}.tfrecord" for number in (1, 2, 3)), "shard-00001.tfrecord.changed"
    }  # fmt: skip
    assert {path.name: checksum(path) for path in folder.glob("shard-*.tfrecord")} == sums
    for number in range(4, 13):
        next(photos.glob(f"{number:02d}.*")).unlink()
    assert write(photos, folder) == (4, 1, 1, [])
    assert len(list(folder.glob("shard-*.tfrecord"))) == 1


def test_run_that_is_killed_leaves_no_half_shard_and_goes_on(photos, tmp_path, monkeypatch):
    folder = tmp_path / "shards"
    code = (
        "import sys, time; from kerassl.datasets import write_shards as w; import importlib; "
        "m = importlib.import_module('kerassl.datasets.shards.writer'); made = m.shard_example; "
        "m.shard_example = lambda *a: (time.sleep(0.1), made(*a))[1]; "
        "w(sys.argv[1], sys.argv[2], per_shard=4, progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(photos), str(folder)])
    deadline = time.time() + 120
    while not (folder / "shard-00001.tfrecord").exists() and time.time() < deadline:
        time.sleep(0.02)
    time.sleep(0.15)
    with pytest.raises(UserError, match="another process is writing"):
        write(photos, folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not read_index(folder).complete
    with pytest.raises(UserError, match="not finished"):
        image_folder(folder, 32, 4)
    finished = times(folder)
    done = write(photos, folder)
    assert done.kept >= 1
    assert done.images == 13
    assert {name for name, when in times(folder).items() if finished.get(name) == when} >= {"shard-00000.tfrecord"}
    assert not list(folder.glob(".*.part*"))
    np.testing.assert_array_equal(epoch(image_folder(folder, 32, 4)), epoch(image_folder(photos, 32, 4)))


def test_finished_shards_are_left_when_the_disk_is_full(photos, tmp_path, monkeypatch):
    made = tf.io.TFRecordWriter

    def full(path):
        if len(list((tmp_path / "shards").glob("shard-*"))) == 2:
            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")
        return made(path)

    monkeypatch.setattr(tf.io, "TFRecordWriter", full)
    with pytest.raises(UserError, match=r"00002.tfrecord could not be written \(No space .* the 2 finished") as error:
        write(photos, tmp_path / "shards")
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    assert write(photos, tmp_path / "shards").kept == 2


@pytest.mark.parametrize("where", ["image", "length"])
def test_damaged_record_is_left_out_and_named(photos, tmp_path, caplog, where):
    folder = tmp_path / "shards"
    write(photos, folder)
    offset = read_index(folder).shards[2]["offsets"][1]
    flip(folder / "shard-00002.tfrecord", offset + (500 if where == "image" else 2))
    data = image_folder(folder, 32, 12, shuffle=False)
    (images,) = epoch(data)
    rest = [path for path in sorted(photos.iterdir()) if path.stem != "09"]
    np.testing.assert_array_equal(images, epoch(image_folder(rest, 32, 12, shuffle=False))[0])
    name = f"{folder / 'shard-00002.tfrecord'}#1"
    assert f"{name} is damaged: its checksum is wrong" in caplog.text
    assert data.broken == [name]
    with pytest.raises(tf.errors.OpError, match="checksum is wrong"):
        epoch(image_folder(folder, 32, 12, shuffle=False, strict=True))


def test_cut_and_missing_shards_are_refused(photos, tmp_path):
    folder = tmp_path / "shards"
    write(photos, folder)
    os.truncate(folder / "shard-00002.tfrecord", 100)
    with pytest.raises(UserError, match=r"shard-00002.tfrecord has 100 bytes and was written with"):
        image_folder(folder, 32, 4)
    (folder / "shard-00002.tfrecord").unlink()
    with pytest.raises(UserError, match=r"shard-00002.tfrecord is not there"):
        image_folder(folder, 32, 4)


def test_refuses_what_cannot_be(photos, tmp_path):
    def refused(pattern, function, *args, **kwargs):
        with pytest.raises(UserError, match=pattern) as error:
            function(*args, **kwargs)
        assert "\n" not in str(error.value)

    folder = tmp_path / "shards"
    refused("photos already holds 00.png", write, photos, photos)
    for name, value in (("image_size", 0), ("quality", 101), ("per_shard", 0), ("workers", 1.5)):
        refused(f"{name} is {value}", write, photos, folder, **{name: value})
    write(photos, folder)
    refused("was written with image_size None, quality 90, per_shard 4, not image_size 64", write, photos, folder,
            image_size=64)  # fmt: skip
    refused("cannot fill one batch of 14", image_folder, folder, 32, 14)
    (folder / "index.json").write_text("{}")
    refused("is no index of kerassl's shards", image_folder, folder, 32, 4)


def test_warns_when_images_are_enlarged(photos, tmp_path, caplog):
    write(photos, tmp_path / "shards", image_size=40)
    image_folder(tmp_path / "shards", 32, 4)
    assert "enlarged" not in caplog.text
    image_folder(tmp_path / "shards", 64, 4)
    assert "images of 40 px at the short side; they are enlarged to 64" in caplog.text


def test_cache_of_shards_is_not_used_for_others(photos, tmp_path, caplog):
    write(photos, tmp_path / "shards")
    expected = epoch(image_folder(tmp_path / "shards", 32, 4))
    for _ in range(2):
        np.testing.assert_array_equal(
            epoch(image_folder(tmp_path / "shards", 32, 4, cache=tmp_path / "cache")), expected
        )
    assert "made again" not in caplog.text
    image_folder(photos, 32, 4, cache=tmp_path / "cache")
    assert "made again" in caplog.text
