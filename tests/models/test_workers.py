"""Two worker processes on this machine, told of each other by TF_CONFIG."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np

WORKER = pathlib.Path(__file__).with_name("worker.py")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def run(path, config=None):
    environment = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
    if config is not None:
        environment["TF_CONFIG"] = json.dumps(config)
    command = [sys.executable, str(WORKER), str(path)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process, path):
    output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output[-3000:]
    with np.load(path) as file:
        return dict(file)


def test_step_of_two_workers_equals_step_of_one(tmp_path):
    one = finished(run(tmp_path / "one.npz"), tmp_path / "one.npz")
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    paths = [tmp_path / f"worker{index}.npz" for index in range(2)]
    workers = [
        run(path, {"cluster": cluster, "task": {"type": "worker", "index": index}}) for index, path in enumerate(paths)
    ]
    for found in [finished(worker, path) for worker, path in zip(workers, paths)]:
        np.testing.assert_allclose(found.pop("logs"), one["logs"], rtol=1e-5)
        moved = 0.0
        for name, change in found.items():
            assert np.linalg.norm(change - one[name]) <= 1e-10 * np.linalg.norm(one[name])
            moved += np.linalg.norm(change)
        assert moved > 0.1
