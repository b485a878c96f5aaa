"""`kerassl views`: the same sheet for the same seed."""

import logging

import numpy as np
import pytest
from PIL import Image

from kerassl.cli.main import main
from kerassl.datasets import write_scenes

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def devkit(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("labeled") / "scenes", train=5, val=1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("views") / "scenes", train=0, val=0, unlabeled=5) / "unlabeled"


def _drawn(path, *arguments):
    path.unlink(missing_ok=True)
    assert main(["views", *map(str, arguments), "--out", str(path)]) == 0
    with Image.open(path) as sheet:
        return np.asarray(sheet)


def test_sheet_is_the_same_when_the_seed_is_and_another_when_anything_else_changes(photos, tmp_path):
    few = (photos, "--count", 2, "--image-size", 64)
    first = _drawn(tmp_path / "a.png", *few)
    np.testing.assert_array_equal(first, _drawn(tmp_path / "b.png", *few))
    for change in (("--seed", 1), ("--views", "mild"), ("--level", "P4")):
        other = _drawn(tmp_path / "c.png", *few, *change)
        assert other.shape == first.shape
        assert np.mean(other != first) > 0.01, change
    assert _drawn(tmp_path / "d.png", photos, "--image-size", 64).shape[0] > 2 * first.shape[0]  # all five


def test_sheet_shows_the_views_of_a_run_when_given_its_configuration(photos, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"data: {{unlabeled: ['{photos}']}}\npretrain: {{image_size: 64, smallest_crop: 0.2, strength: 0.5}}"
    )
    by_config = _drawn(tmp_path / "a.png", "--config", config, "--count", 2)
    by_flags = _drawn(tmp_path / "b.png", photos, "--count", 2, "--image-size", 64, "--views", "mild")
    np.testing.assert_array_equal(by_config, by_flags)


def test_broken_image_is_named_and_left_out(photos, tmp_path, caplog):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING, "kerassl"):
        _drawn(tmp_path / "a.png", tmp_path / "broken.jpg", photos, "--image-size", 32)
    assert [record.getMessage().count("broken.jpg") for record in caplog.records] == [1]


def test_training_images_are_drawn_as_the_configuration_augments_them(devkit, tmp_path):
    few = ("--data", devkit, "--split", "train", "--count", 3, "--image-size", 64)
    config = tmp_path / "run.yaml"
    config.write_text("localizer: {augmentation: {flip: 0, zoom: 0, crop: 0, jitter: 0}}\n")
    sheet = _drawn(tmp_path / "a.png", *few, "--config", config, "--task", "localizer")[64:].astype(int)
    assert sheet.shape == (3 * 306, 5 * 306, 3)
    plain, *epochs = np.split(sheet, 5, axis=1)
    for epoch in epochs:  # frames may be a pixel apart
        assert np.abs(epoch - plain).mean() < 1
        np.testing.assert_array_equal(np.median(np.abs(epoch - plain)), 0)
