"""A folder as large as those that people have."""

import json
import os
import subprocess
import sys

import pytest

CODE = """
import json, pathlib, sys, time
from kerassl.datasets import image_folder

start = time.perf_counter()
images = image_folder(sys.argv[1], 32, 64)
(batch,) = images.take(1)
first = time.perf_counter() - start
start = time.perf_counter()
(batch,) = images.at(3, 3000).take(1)
entered = time.perf_counter() - start
peak = next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([images.steps, first, entered, int(peak.split()[1]) * 1024]))
"""


@pytest.mark.slow
@pytest.mark.current_stack
def test_first_batch_of_200000_files_comes_soon_and_in_bounded_memory(tmp_path, save_image):
    sources = [save_image(tmp_path / f"{number}.jpg", seed=number) for number in range(4)]
    for number in range(200_000):
        folder = tmp_path / "photos" / f"{number // 2000:03d}"
        if number % 2000 == 0:
            folder.mkdir(parents=True)
        os.symlink(sources[number % 4], f"{folder}/{number:06d}.jpg")
    command = [sys.executable, "-c", CODE, str(tmp_path / "photos")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    steps, first, entered, peak = json.loads(done.stdout.splitlines()[-1])
    assert steps == 3125
    assert first < 15
    assert entered < 15
    assert peak < 2**30
