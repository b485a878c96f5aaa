"""Images that are decoded once."""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from kerassl import UserError
from kerassl.datasets import image_folder
from kerassl.datasets.pipeline import row_cache, stream
from kerassl.datasets.pipeline.row_cache import RowCache

pytestmark = pytest.mark.current_stack


@pytest.fixture
def photos(tmp_path, save_image):
    for number in range(8):
        save_image(tmp_path / "photos" / f"{number:02d}.jpg", 50 + number, 70, seed=number)
    return tmp_path / "photos"


@pytest.fixture
def decoded(monkeypatch):
    """Counts the files that are read from now on, by name."""
    counts = collections.Counter()

    def read(path, index):
        return stream.tf.numpy_function(note, [path], stream.tf.string)

    def note(path):
        path = pathlib.Path(np.asarray(path).item().decode())
        counts[path.name] += 1
        return path.read_bytes()

    def folder(*args, **kwargs):
        made = stream.stream
        with monkeypatch.context() as patch:
            patch.setattr(stream, "stream", lambda *a, **k: made(*a, **{**k, "read": read}))
            data = image_folder(*args, **kwargs)
        counts.clear()  # of the look at the first file
        return data

    folder.counts = counts
    return folder


def epochs(dataset, count=2):
    return np.array([[images.numpy() for images in dataset] for _ in range(count)])


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_gives_the_same_bits_and_reads_each_file_once(photos, tmp_path, decoded, place):
    where = "memory" if place == "memory" else tmp_path / "cache"
    if place == "disk":
        (photos / "03.jpg").write_bytes(b"nothing")
    expected = epochs(image_folder(photos, 32, 4, seed=2))
    data = decoded(photos, 32, 4, seed=2, cache=where)
    np.testing.assert_array_equal(epochs(data), expected)
    del decoded.counts["03.jpg"]
    assert set(decoded.counts.values()) == {1}
    assert len(decoded.counts) >= 6
    decoded.counts.clear()
    data.begin(0)
    np.testing.assert_array_equal(epochs(data, 1), expected[:1])
    assert sum(decoded.counts.values()) - decoded.counts["03.jpg"] <= 1


def test_later_run_reads_no_file_again(photos, tmp_path, decoded):
    expected = epochs(image_folder(photos, 32, 8, shuffle=False, cache=tmp_path / "cache"), 2)
    data = decoded(photos, 32, 8, shuffle=False, cache=tmp_path / "cache")
    np.testing.assert_array_equal(epochs(data, 1), expected[:1])
    assert not decoded.counts
    other = decoded(photos, 64, 8, shuffle=False, cache=tmp_path / "cache")  # a size of its own
    assert epochs(other, 1).shape == (1, 1, 8, 64, 64, 3)
    assert len(decoded.counts) == 8
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["images-32", "images-64"]


def test_stale_cache_is_made_again(photos, tmp_path, decoded, save_image, caplog):
    cache = tmp_path / "cache"
    before = image_folder(photos, 32, 8, shuffle=False, cache=cache)
    old = epochs(before, 1)
    for change in (
        lambda: save_image(photos / "05b.jpg"),
        lambda: save_image(photos / "05.jpg", seed=99),
        lambda: os.truncate(cache / "images-32" / "whole.u8", 5),
    ):
        change()
        expected = epochs(image_folder(photos, 32, 8, shuffle=False), 1)
        caplog.clear()
        data = decoded(photos, 32, 8, shuffle=False, cache=cache)
        assert "is made again" in caplog.text
        np.testing.assert_array_equal(epochs(data, 1), expected)
        assert len(decoded.counts) >= 8
    # Whoever still reads the old one is not disturbed.
    np.testing.assert_array_equal(epochs(before, 1), old)


def test_half_full_cache_serves_what_it_has(photos, tmp_path, decoded):
    def cache():
        return tmp_path / "cache"

    first = decoded(photos, 32, 4, shuffle=False, cache=cache())
    next(iter(first.take(1)))
    del first
    data = decoded(photos, 32, 4, shuffle=False, cache=cache())
    flags = np.fromfile(cache() / "images-32" / "whole.u8", np.uint8)
    flags[:] = 0
    flags[[1, 4]] = 1
    path = cache() / "images-32"
    flags.tofile(path / "whole.u8")
    data = decoded(photos, 32, 4, shuffle=False, cache=cache())
    epochs(data, 1)
    assert "01.jpg" not in decoded.counts
    assert "04.jpg" not in decoded.counts
    assert decoded.counts["02.jpg"] == 1


def test_two_processes_fill_one_cache_and_both_read_right(tmp_path):
    code = (  # RowCache itself needs no TensorFlow, whose import takes seconds
        "import sys, numpy as np; from kerassl.datasets.pipeline.row_cache import RowCache\n"
        "cache, parity = RowCache(sys.argv[1], 'same', 40, 32), int(sys.argv[2])\n"
        "for place in range(parity, 40, 2): cache.put(np.int32(place), np.full((32, 32, 3), place, np.uint8))\n"
        "cache.known()"
    )
    given = [sys.executable, "-c", code, str(tmp_path / "cache")]
    processes = [subprocess.Popen([*given, str(parity)]) for parity in (0, 1)]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    cache = RowCache(tmp_path / "cache", "same", 40, 32)
    assert cache.known().all()
    assert (cache.rows(np.arange(40)) == np.arange(40)[:, None, None, None]).all()


def test_second_run_waits_where_the_first_still_makes_the_cache(tmp_path, monkeypatch):
    made = []
    second = threading.Thread(target=lambda: made.append(RowCache(tmp_path / "cache", "same", 4, 32)))
    check_room = row_cache._check_room

    def slowly(*arguments):
        if threading.current_thread() is not second:
            second.start()
            second.join(0.5)
        return check_room(*arguments)

    monkeypatch.setattr(row_cache, "_check_room", slowly)
    first = RowCache(tmp_path / "cache", "same", 4, 32)
    second.join()
    row = np.full((32, 32, 3), 7, np.uint8)
    for cache, place in ((first, 1), (made[0], 2)):
        cache.put(np.int32(place), row)
        cache.known()
    for cache in (first, made[0]):
        assert cache.known().tolist() == [False, True, True, False]
        np.testing.assert_array_equal(cache.rows(np.array([1, 2])), np.stack([row, row]))


def test_row_counts_only_after_it_is_secured(tmp_path, monkeypatch):
    cache = RowCache(tmp_path, "same", 4, 32)
    row = np.full((32, 32, 3), 7, np.uint8)
    monkeypatch.setattr(row_cache.os, "fdatasync", lambda file: None)
    cache.put(np.int32(2), row)
    assert not np.fromfile(tmp_path / "images-32" / "whole.u8", np.uint8).any()  # what a kill would leave
    assert RowCache(tmp_path, "same", 4, 32).known().tolist() == [False] * 4
    assert cache.known().tolist() == [False, False, True, False]
    later = RowCache(tmp_path, "same", 4, 32)
    assert later.known().tolist() == [False, False, True, False]
    np.testing.assert_array_equal(later.rows(np.array([2])), row[None])
    assert json.loads((tmp_path / "images-32" / "header.json").read_text())["images"] == 4


def test_full_disk_is_reported_once_and_reading_continues(photos, tmp_path, monkeypatch, caplog):
    def full(*args):
        raise OSError(28, "No space left on device")

    expected = epochs(image_folder(photos, 32, 4))
    monkeypatch.setattr(row_cache.os, "pwrite", full)
    np.testing.assert_array_equal(epochs(image_folder(photos, 32, 4, cache=tmp_path / "cache")), expected)
    logged = [message for message in caplog.messages if "keeps no more images" in message]
    assert len(logged) == 1
    assert "No space left" in logged[0]


def test_refuses_a_cache_without_room(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(row_cache, "available_memory", lambda: 2**14)
    with pytest.raises(UserError, match=r"8 images of 32 px takes 0\.0 GiB.*memory; give cache a folder") as error:
        image_folder(photos, 32, 4, cache="memory")
    assert "\n" not in str(error.value)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**20, 2**20, 1000))
    with pytest.raises(UserError, match=r"room in .*cache; make room or name another folder"):
        image_folder(photos, 32, 4, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_knows_the_memory_of_this_machine():
    assert 2**20 < row_cache.available_memory() < 2**50


def test_refuses_a_cache_that_cannot_be_written(photos, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"cache in .*cache cannot be opened \(.*\); name a folder") as error:
        image_folder(photos, 32, 4, cache=tmp_path / "cache")
    assert "\n" not in str(error.value)
