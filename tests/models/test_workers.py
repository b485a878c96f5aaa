"""Two worker processes on this machine, which know each other by TF_CONFIG, against one step in this process."""

import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import worker


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def double_precision():
    keras.mixed_precision.set_global_policy("float64")
    yield
    keras.mixed_precision.set_global_policy("float32")


def run(path, config):
    environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
    command = [sys.executable, worker.__file__, str(path)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process, path):
    output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output[-3000:]
    with np.load(path) as file:
        return dict(file)


def test_step_of_two_workers_equals_step_of_one(tmp_path, double_precision):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    paths = [tmp_path / f"worker{index}.npz" for index in range(2)]
    workers = [
        run(path, {"cluster": cluster, "task": {"type": "worker", "index": index}}) for index, path in enumerate(paths)
    ]
    one = worker.step(tf.distribute.get_strategy(), run_eagerly=True)
    for found in [finished(process, path) for process, path in zip(workers, paths)]:
        np.testing.assert_allclose(found.pop("logs"), one["logs"], rtol=1e-5)
        moved = 0.0
        for name, change in found.items():
            assert np.linalg.norm(change - one[name]) <= 1e-10 * np.linalg.norm(one[name])
            moved += np.linalg.norm(change)
        assert moved > 0.1
