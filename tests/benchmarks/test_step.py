import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from benchmarks import comparison, machine, measuring, oracle, tensorflow_worker

pytestmark = pytest.mark.current_stack

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = {"backbone": "MobileNet", "image-size": 32, "batch-size": 4, "rounds": 1, "steps": 1, "warmup": 1, "count": 16}


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """The report of a run on a tiny network."""
    out = tmp_path_factory.mktemp("benchmark") / "bench.json"
    command = [sys.executable, "-m", "benchmarks.step", "--without", "lightly", "detectors", "--out", str(out)]
    command += [f"--{name}={value}" for name, value in TINY.items()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_figures_are_positive_and_fit_together(tiny_run):
    report = tiny_run
    assert [row["contender"] for row in report["step"]] == ["whole", "usual", "bare"]
    for row in report["step"]:
        assert len(row["rounds_ms"]) == 1
        assert row["ms"] == row["rounds_ms"][0] > 0
        assert row["pairs_per_second"] == pytest.approx(4 * 1000 / row["ms"])
        assert row["memory_mib"] > 100, "TensorFlow alone takes more"
        assert row["versions"]["tensorflow"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ratios_are_those_of_the_figures(tiny_run):
    report = tiny_run
    whole, usual, bare = report["step"]
    assert whole["ratio_to_kerassl"] == 1
    assert usual["ratio_to_kerassl"] == pytest.approx(whole["ms"] / usual["ms"])
    assert report["whole_over_bare"] == pytest.approx(whole["ms"] / bare["ms"])
    assert bare["share_of_step"] == pytest.approx(bare["ms"] / whole["ms"])


def test_detector_is_compared_with_its_own_network_when_there_are_several():
    rows = comparison.detector_rows({"network": "MobileNet", "image_size": 128, "batch_size": 32})
    results = [{"contender": row.contender, "settings": row.settings} for row in rows]
    for result, ms in zip(results, (250, 200, 400, 100)):
        result["ms"] = ms
    comparison.add_bare_ratios(results)
    assert [result["ratio_to_bare"] for result in results] == [0.8, 1, 0.25, 1]
    assert {result["settings"]["batch_size"] for result in results} == {8}


@pytest.mark.slow  # it builds the graph of a training step
def test_network_of_a_detector_gives_as_many_times_as_steps_were_asked(monkeypatch, tiny_backbone):
    monkeypatch.setattr(tensorflow_worker.kerassl.backbones, "build", lambda _: tiny_backbone())
    build = tensorflow_worker.CONTENDERS["bare detector"]
    assert len(build(network=None, image_size=64, batch_size=2, kind="YOLOV8")(steps=2, warmup=1)) == 2


@pytest.mark.parametrize("contender", list(comparison.STAGES))
def test_stage_gives_as_many_times_as_steps_were_asked(contender, tmp_path):
    for name in "abcd":
        keras.utils.save_img(tmp_path / f"{name}.jpg", np.zeros([40, 40, 3]))
    build = tensorflow_worker.CONTENDERS[contender]
    seconds = build(network=None, image_size=32, batch_size=4, images=str(tmp_path))(steps=3, warmup=2)
    assert len(seconds) == 3
    assert min(seconds) > 0


def test_missing_lightly_is_said_and_not_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(comparison, "LIGHTLY_PYTHON", tmp_path / "python")
    row = next(row for row in comparison.rows({"batch_size": 4}) if row.contender == "lightly")
    (result,) = measuring.measure([row], rounds=1, steps=1, warmup=1, cores=2)
    assert result["note"] == "not installed: make bench-lightly"
    assert "ms" not in result


def test_row_is_left_out_when_memory_does_not_do(monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: 1000.0)
    row = measuring.Row("large", "loss", {"batch_size": 4}, python="/nonexistent", needs=lambda results: 950)
    (result,) = measuring.measure([row], rounds=1, steps=1, warmup=1, cores=2)
    assert result["note"] == "left out: may need 950 MiB, 1000 are free"


def test_reason_is_logged_when_a_worker_dies():
    row = measuring.Row("dead", "loss", {"batch_size": 4}, module="benchmarks.no_such_worker")
    (result,) = measuring.measure([row], rounds=1, steps=1, warmup=1, cores=2)
    assert "No module named benchmarks.no_such_worker" in result["note"]


@pytest.mark.skipif(not comparison.LIGHTLY_PYTHON.exists(), reason="lightly is not set up: make bench-lightly")
def test_info_nce_equals_lightlys():
    found = oracle.compare()
    assert found["kerassl"] == pytest.approx(found["lightly"], abs=1e-5)
    # The losses differ between temperatures, so that equality says something.
    assert max(found["kerassl"]) - min(found["kerassl"]) > 1
