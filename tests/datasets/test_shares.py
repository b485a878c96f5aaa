"""The images of one epoch, shared by several workers, and entered in the middle."""

import json
import logging
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.datasets import image_folder

pytestmark = pytest.mark.current_stack

SCRIPT = pathlib.Path(__file__).with_name("sharing_worker.py")


@pytest.fixture
def photos(tmp_path):
    """23 square images of 32 pixels, of which each has one gray: 0, 10, 20, …"""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(23):
        gray = tf.fill([32, 32, 3], tf.constant(10 * number, tf.uint8))
        tf.io.write_file(str(folder / f"{number:02d}.png"), tf.io.encode_png(gray))
    return folder


def epoch(dataset):
    return [np.round(images.numpy()[:, 0, 0, 0] / 10).astype(int).tolist() for images in dataset]


def flat(batches):
    return [number for batch in batches for number in batch]


def test_workers_share_an_epoch_without_one_image_twice(photos):
    count = 3
    workers = [image_folder(photos, 32, 3, seed=1, worker=(index, count)) for index in range(count)]
    assert {each.steps for each in workers} == {23 // count // 3}
    seen = set()
    for _ in range(4):
        parts = [epoch(each) for each in workers]
        assert {len(part) for part in parts} == {23 // count // 3}
        together = flat(flat(parts))
        assert len(set(together)) == len(together) == count * (23 // count // 3) * 3
        seen |= set(together)
    assert seen == set(range(23))
    # Together they go through the order of a single worker.
    order = flat(epoch(image_folder(photos, 32, 1, seed=1)))
    first = image_folder(photos, 32, 3, seed=1, worker=(0, count))
    assert flat(epoch(first)) == order[::count][: first.steps * 3]


def test_worker_with_broken_files_reads_on_in_its_own_share(photos, caplog):
    broken = {3, 4, 11, 20, 21}
    for number in broken:
        (photos / f"{number:02d}.png").write_bytes(b"nothing")
    workers = [image_folder(photos, 32, 3, seed=1, worker=(index, 2)) for index in range(2)]
    for _ in range(3):
        first, second = (flat(epoch(each)) for each in workers)
        assert len(first) == len(second) == 9
        assert not set(first) & set(second)
        assert not broken & {*first, *second}


@pytest.mark.parametrize(("worker", "cached"), [((1, 2), False), ((0, 1), True)])
def test_epoch_that_is_entered_goes_on_as_the_one_that_was_not(photos, tmp_path, worker, cached):
    for number in (0, 7, 8, 9, 22):
        (photos / f"{number:02d}.png").write_bytes(b"nothing")
    cache = tmp_path / "cache" if cached else None
    steps = 23 // worker[1] // 2

    def images():
        return image_folder(photos, 32, 2, seed=5, worker=worker, cache=cache)

    whole = images()
    epochs = [epoch(whole) for _ in range(4)]
    again = images()
    for step in (1, steps - 1):
        assert epoch(again.at(3, step, whole.broken)) == epochs[3][step:]
    again.begin(2)
    assert [epoch(again), epoch(again)] == epochs[2:]


def test_workers_draw_different_views(photos):
    def seeds(worker):
        data = image_folder(photos, 32, 4, augmentation=lambda images, seed: seed, seed=9, worker=worker)
        return [tuple(seed.numpy()) for _ in range(2) for seed in data]

    both = seeds((0, 2)) + seeds((1, 2))
    assert len(set(both)) == len(both) == 8


@pytest.mark.parametrize("worker", [(2, 2), (-1, 2), (0, 0), 1, "ab", (0, 1, 2)])
def test_refuses_what_is_no_worker(photos, worker):
    with pytest.raises(UserError, match="worker is"):
        image_folder(photos, 32, 2, worker=worker)


def test_refuses_workers_with_unequal_batches(photos):
    with pytest.raises(UserError, match="drop_remainder"):
        image_folder(photos, 32, 2, worker=(0, 2), drop_remainder=False)
    with pytest.raises(UserError, match="cannot fill one batch of 12 on each of 2 workers"):
        image_folder(photos, 32, 12, worker=(0, 2))
    assert image_folder(photos, 32, 11, worker=(0, 2)).steps == 1


def test_stops_a_worker_when_all_its_files_vanish(photos, caplog):
    dataset = image_folder(photos, 32, 2, worker=(0, 2))
    for path in photos.iterdir():
        path.unlink()
    with (
        caplog.at_level(logging.ERROR, "kerassl"),
        pytest.raises(tf.errors.InvalidArgumentError, match="none of 12 image files"),
    ):
        epoch(dataset)


@pytest.mark.slow
def test_two_processes_fit_on_each_image_once_an_epoch(photos, tmp_path):
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    processes, paths = [], [tmp_path / f"{index}.json" for index in range(2)]
    for index, path in enumerate(paths):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(SCRIPT), str(photos), str(path)],
                env={**os.environ, "TF_CONFIG": json.dumps(config)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    for process in processes:
        output = process.communicate(timeout=200)[0]
        assert process.returncode == 0, output[-3000:]
    found = [json.loads(path.read_text()) for path in paths]
    assert [each["steps"] for each in found] == [5, 5]
    for number in range(2):
        together = [image for each in found for batch in each["seen"][5 * number : 5 * number + 5] for image in batch]
        assert len(together) == len(set(together)) == 20
    alone = [image_folder(photos, 32, 2, seed=4, worker=(index, 2)) for index in range(2)]
    assert [each["seen"] for each in found] == [[*epoch(each), *epoch(each)] for each in alone]
