"""What `benchmarks.input` and `benchmarks.colours` reckon, cheaply: one tiny run of kerassl's own rows."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import colours, comparison, input_rows, measuring, tables
from benchmarks import input as input_benchmark
from kerassl import _compat
from kerassl.augment import SimCLRViews

pytestmark = pytest.mark.skipif(not _compat.KERAS_3, reason="the benchmark measures the current stack")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, [60, 70, 3], np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return folder


def _result(contender, pairs, size=32, stage="jpeg", **more):
    settings = {"image_size": size, "stage": stage}
    figures = {"pairs_per_second": pairs, "ms": 1.0, "disturbed": False} if pairs else {}
    return {"contender": contender, "label": contender, "settings": settings, **figures, **more}


@pytest.mark.timeout(600)
def test_run_writes_and_prints_the_figures_of_both_stages(photos, tmp_path, capsys):
    out = tmp_path / "input.json"
    tiny = ["--sizes=32", "--batch-size=2", "--rounds=1", "--steps=2", "--warmup=1"]
    arguments = ["--images", str(photos), "--without", "lightly", "albumentations", "keras", "--out", str(out)]
    assert input_benchmark.main([*tiny, *arguments]) == 0
    report, screen = json.loads(out.read_text()), capsys.readouterr().out
    assert [row["place"] for row in report["results"]] == [[32, "jpeg"], [32, "memory"]]
    for row in report["results"]:
        assert row["pairs_per_second"] == pytest.approx(2 * 1000 / row["ms"])
        assert row["kerassl_over_it"] == 1
        assert f"{row['pairs_per_second']:.0f} (1.00)" in screen
    assert "benchmarks.input" in report["command"]


def test_ratios_say_how_much_faster_kerassl_is():
    results = [_result("kerassl", 400.0), _result("lightly", 100.0), _result("keras", None, note="broken")]
    input_rows.add_ratios(results)
    assert [result.get("kerassl_over_it") for result in results] == [1, 4, None]


def test_table_has_a_row_a_contender_and_a_column_a_place():
    results = [
        _result("kerassl", 400.0),
        _result("lightly", 100.0),
        _result("kerassl", 90.0, 64, disturbed=True),
        _result("lightly", None, 64, note="not installed"),
    ]
    for start in (0, 2):
        input_rows.add_ratios(results[start : start + 2])
    lines = tables.input_table(results, [(32, "jpeg", "32 px"), (64, "jpeg", "64 px")]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]
    assert cells[0][1:] == ["32 px", "64 px"]
    assert cells[1] == ["kerassl", "400 (1.00)", "90 (1.00) *"]
    assert cells[2] == ["lightly", "100 (4.00)", "not installed"]


def test_rows_of_the_other_environment_are_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(comparison, "LIGHTLY_PYTHON", tmp_path / "python")
    rows = input_rows.rows({"image_size": 32, "batch_size": 2}, "jpeg", without=["kerassl", "keras"])
    results = measuring.measure(rows, rounds=1, steps=1, warmup=1, cores=1)
    assert [result["contender"] for result in results] == ["lightly", "albumentations"]
    assert all(result["note"] == "not installed: make bench-lightly" for result in results)


@pytest.mark.parametrize(("size", "read"), [(32, 64), (96, 128), (128, 160), (224, 288)])
def test_images_are_read_a_quarter_larger_in_a_size_that_kerassl_takes(size, read):
    assert input_rows.read_size(size) == read


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "100"], "--sizes has 100"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--images", "nowhere"], "no folder nowhere"),
    ],
)
def test_mistakes_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        input_benchmark.parse(arguments)
    assert message in capsys.readouterr().err


def test_colours_differ_between_both_forms_and_more_when_the_jitter_is_stronger():
    images = np.random.default_rng(0).uniform(0, 255, [8, 40, 40, 3]).astype(np.float32)
    none, half, full = (colours.differences(images, strength) for strength in (0.0, 0.5, 1.0))
    for name in colours.FORMS:
        assert none[name].max() < 0.1
        assert 0.1 < half[name].mean() < full[name].mean()
    assert full["clipping"].mean() < full["tf.image"].mean()


def test_views_of_both_forms_differ_by_what_is_measured():
    images = np.random.default_rng(1).uniform(0, 255, [4, 40, 40, 3]).astype(np.float32)
    both = [
        np.concatenate(SimCLRViews(128, blur=0.0, fused=fused)(images, np.array([0, 3]))[:2]) for fused in (True, False)
    ]
    np.testing.assert_allclose(
        np.abs(both[0] - both[1]), colours.differences(images, 1.0, seed=3)["tf.image"], atol=1e-3
    )


def test_summary_is_that_of_hand_made_differences():
    found = np.zeros([4, 10, 10, 3])
    found[3] = 20.0
    assert colours.summary(found) == {
        "mean": 5.0,
        "99th percentile": 20.0,
        "median view's mean": 0.0,
        "share of views with a mean above 10": 0.25,
    }
