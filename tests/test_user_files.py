"""A user's file in the way of each output: nothing of it is ever gone, and one line says what to do."""

import dataclasses
import logging
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from kerassl import UserError, backbones, callbacks, datasets, detectors, explain, metrics, serving
from kerassl._io import files as _files
from kerassl._io.manifest import Manifest
from kerassl.config import read_config
from kerassl.datasets import card
from kerassl.metrics import plots
from kerassl.report.data_card import draw_card
from kerassl.runs.folder import run_folder
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack

PREDICTIONS = {"a": Detections([[0, 0, 9, 9]], [0.5], [0])}
FILES = {
    "predictions.json": lambda path, made: metrics.save_predictions(path, PREDICTIONS),
    "backbone.keras": lambda path, made: backbones.save(made.backbone, path),
    "weights.npz": lambda path, made: detectors.save_weights(made.localizer, path),
    "neck.npz": lambda path, made: detectors.save_neck(made.localizer, path),
    "curves.png": lambda path, made: plots.precision_recall(PREDICTIONS, made.records, ["cat"], path),
    "errors.png": lambda path, made: plots.error_bars(
        metrics.error_kinds(PREDICTIONS, made.records, ["cat"]), path
    ),
    "cams.png": lambda path, made: explain.side_by_side(
        np.zeros([1, 8, 8, 3]), {"a": np.zeros([1, 8, 8])}, path
    ),
    "card.png": lambda path, made: draw_card(card.image_card([made.image]), None, path, "photos"),
    "comp4_det_test_cat.txt": lambda path, made: metrics.save_voc_results(path.parent, PREDICTIONS, ["cat"]),
    "detector.tflite": lambda path, made: serving.export_tflite(made.localizer, path),
}  # fmt: skip
FOLDERS = {
    "shards": lambda path, made: datasets.write_shards([made.image], path, progress=False),
    "scenes": lambda path, made: datasets.write_scenes(path, train=1, val=0),
    "1": lambda path, made: serving.export(made.localizer, path),
    "cache/images-32": lambda path, made: next(
        iter(datasets.image_folder([made.image], 32, 1, cache=path.parent))
    ),
    "run": lambda path, made: run(path),
    "resumed": lambda path, made: run(path, resume=True),
    "replaced": lambda path, made: run(path, replace=True),
}  # fmt: skip


def run(path, **again):
    with run_folder(path, read_config(), **again):
        pass


@dataclasses.dataclass
class Made:
    """Return the written files."""

    backbone: keras.Model
    localizer: detectors.Localizer
    records: list
    image: str


@pytest.fixture(scope="module")
def made(tiny_backbone, tmp_path_factory):
    image = tmp_path_factory.mktemp("photos") / "a.jpg"
    Image.fromarray(np.full([48, 64, 3], 90, np.uint8)).save(image)
    record = datasets.Record("a", str(image), 48, 64, np.float32([[0, 0, 9, 9]]), np.int32([0]), np.array([False]))
    backbone = tiny_backbone()
    return Made(backbone, detectors.Localizer(backbone, ["cat"], image_size=32, num_filters=8), [record], str(image))


def tree(folder):
    """Each path below a folder, with the bytes of files and where links lead."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = content
    return found


@pytest.mark.parametrize("name", FILES)
def test_file_of_the_user_is_never_replaced_by_a_file(name, made, tmp_path):
    path, mine = tmp_path / "out" / name, tmp_path / "mine"
    path.parent.mkdir()
    mine.write_text("precious")
    for put in (
        lambda: path.write_text("precious"),
        lambda: path.symlink_to(mine),
        lambda: path.symlink_to(tmp_path / "nothing"),
        lambda: (path.mkdir(), (path / "thesis.txt").write_text("precious")),
    ):
        put()
        before = tree(tmp_path)
        with pytest.raises(UserError, match=f"{name} (already exists|is a folder).*choose another path"):
            FILES[name](path, made)
        assert tree(tmp_path) == before
        path.unlink() if path.is_symlink() or path.is_file() else path.rename(tmp_path / "moved")


@pytest.mark.parametrize("name", FOLDERS)
def test_file_of_the_user_is_never_removed_for_a_folder(name, made, tmp_path):
    path = tmp_path / "out" / name
    for inside in (
        "photos/a.jpg",
        "config.yaml",
        "index.json",
        "header.json",
        "shard-00000.tfrecord",
        ".lock",
        ".x.part",
    ):
        (path / inside).parent.mkdir(parents=True, exist_ok=True)
        (path / inside).write_text("precious")
        before = tree(tmp_path)
        with pytest.raises(UserError, match=r"(another|a new|next)"):
            FOLDERS[name](path, made)
        assert tree(tmp_path) == before
    moved = path.rename(tmp_path / "moved")
    path.symlink_to(moved)
    before = tree(tmp_path)
    with pytest.raises(UserError, match=r"(another|a new|next)"):
        FOLDERS[name](path, made)
    assert tree(tmp_path) == before


def test_checkpoints_of_the_user_are_never_pruned(made, tmp_path):
    mine = ["checkpoint-000001-00000000.npz", "checkpoint-000000-00000001.npz", ".checkpoint-1.part.npz", "notes.md"]
    for name in mine:
        (tmp_path / name).write_text("precious")
    images = np.zeros([2, 32, 32, 3], np.float32)
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model(images)
    model.fit(images, np.zeros([2, 1]), epochs=3, verbose=0, callbacks=[callbacks.Resume(tmp_path, keep=1)])
    for name in mine[1:]:
        assert (tmp_path / name).read_text() == "precious"
    assert (tmp_path / f"{mine[0]}.changed").read_text() == "precious"  # in the way of the first one
    assert (tmp_path / "checkpoint-000003-00000000.npz").exists()
    assert not (tmp_path / "checkpoint-000002-00000000.npz").exists()


def test_new_checkpoints_are_kept_when_damaged_ones_seem_newer(tmp_path):
    images = np.zeros([2, 32, 32, 3], np.float32)
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model(images)
    (tmp_path / "checkpoint-000009-00000000.npz").write_text("damaged")
    model.fit(images, np.zeros([2, 1]), epochs=2, verbose=0, callbacks=[callbacks.Resume(tmp_path, keep=1)])
    assert callbacks.Resume(tmp_path).epoch == 2


def test_text_of_the_user_is_left_by_a_log_of_metrics(tmp_path):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    (tmp_path / "notes.txt").write_text("my notes\n{unfinished thought")
    log = callbacks.MetricsFile(tmp_path / "notes.txt")
    model.fit(np.zeros([2, 3]), np.zeros([2, 1]), verbose=0, callbacks=[log])
    assert (tmp_path / "notes.txt").read_text().startswith("my notes\n{unfinished thought\n{")


def test_run_is_never_replaced_by_a_file_nor_removed_with_a_run_in_it_or_an_input(tmp_path):
    run(tmp_path / "run")
    run(tmp_path / "other")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for path in (tmp_path / "run", tmp_path / "link"):
        with pytest.raises(UserError, match="is a folder, which is not replaced"):
            metrics.save_predictions(path, PREDICTIONS)
    shutil.copytree(tmp_path / "other", tmp_path / "run" / "tuned")
    with pytest.raises(UserError, match="tuned is not as kerassl wrote it; move it out"):
        run(tmp_path / "run", replace=True)
    with pytest.raises(UserError, match=r"config\.yaml is in .*run, which --replace removes; move it out"):
        _files.check_not_removed(tmp_path / "run", {"a": [{"b": str(tmp_path / "run" / "config.yaml")}], "c": "val"})
    assert (tmp_path / "run" / "tuned" / "config.yaml").exists()


def test_log_of_a_killed_run_is_the_users_when_it_holds_anything_else(tmp_path):
    with run_folder(tmp_path / "run", read_config()) as folder:
        logging.getLogger("kerassl").warning("a line")
        assert Manifest.at(folder).owns(folder / "log.txt")
        (folder / "log.txt").write_text("my notes\n")
        assert not Manifest.at(folder).owns(folder / "log.txt")
        (folder / "metrics.jsonl").write_text('{"kind": "epoch"}\n{"kind": "ep')
        assert Manifest.at(folder).owns(folder / "metrics.jsonl")


def test_replacing_a_run_leaves_every_kind_of_output_that_was_changed(tmp_path):
    run(tmp_path / "run")
    for name in ("config.yaml", "log.txt"):
        path = tmp_path / "run" / name
        before, text = tree(tmp_path), path.read_text()
        path.write_text(text + "mine")
        with pytest.raises(UserError, match=f"{name} is not as kerassl wrote it; move it"):
            run(tmp_path / "run", replace=True)
        assert path.read_text() == text + "mine"
        path.write_text(text)
        assert set(tree(tmp_path)) == set(before)
    run(tmp_path / "run", replace=True)
