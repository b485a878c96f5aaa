"""Predictions of a folder: formats, resuming, and parts."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import keras
import numpy as np
import pytest
from pycocotools.coco import COCO

import kerassl
from kerassl import UserError, detectors
from kerassl._io.parts import Part, part_outputs
from kerassl.cli.main import main
from kerassl.metrics import load_predictions
from kerassl.metrics.prediction_formats import FORMATS, Predicted, Written, text_stems
from kerassl.tasks import streamed
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "predict_array.sh"
NAMES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def model(tiny_detector, noisy_heads):
    keras.utils.set_random_seed(0)
    return noisy_heads(tiny_detector("YOLOV8", class_names=NAMES))


@pytest.fixture
def photos(tmp_path, save_image):
    """Twenty images in two batches and a half, of which one is broken."""
    for number in range(18):
        save_image(tmp_path / "photos" / f"{number:02d}.jpg", seed=number)
    save_image(tmp_path / "photos" / "more" / "ä, b.png", seed=98)
    save_image(tmp_path / "photos" / "more" / "ä, b.jpg", seed=99)
    (tmp_path / "photos" / "03.jpg").write_bytes(b"nothing")
    return tmp_path / "photos"


def corners(x, y, width, height):
    return [x, y, x + width, y + height]


def read_coco(out, name):
    coco = COCO(out / "predictions.json")
    (image,) = [each for each in coco.imgs.values() if each["file_name"] == name]
    found = coco.imgToAnns[image["id"]]
    return [[coco.cats[one["category_id"]]["name"], one["score"], *corners(*one["bbox"])] for one in found]


def read_yolo(out, name):
    names = (out / "classes.txt").read_text().split()
    stem = name if "ä" in name else name.removesuffix(".jpg")
    for line in (out / "labels" / f"{stem}.txt").read_text().splitlines():
        label, x, y, width, height, score = map(float, line.split())
        yield [names[int(label)], score, *corners(60 * (x - width / 2), 40 * (y - height / 2), 60 * width, 40 * height)]


def read_voc(out, name):
    stem = name if "ä" in name else name.removesuffix(".jpg")
    for one in ElementTree.parse(out / "Annotations" / f"{stem}.xml").getroot().iter("object"):
        x0, y0, x1, y1 = (float(each.text) for each in one.find("bndbox"))
        yield [one.findtext("name"), float(one.findtext("score")), x0 - 1, y0 - 1, x1, y1]


def read_csv(out, name):
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["filename"] == name and row["class"]:
                yield [row["class"], *(float(row[key]) for key in ("score", "xmin", "ymin", "xmax", "ymax"))]


def read_labelstudio(out, name):
    names = {each.get("value") for each in ElementTree.parse(out / "labelstudio.xml").iter("Label")}
    for task in json.loads((out / "labelstudio.json").read_text()):
        if task["data"]["image"].endswith(name.replace("ä, ", "%C3%A4%2C%20")):
            for one in task["predictions"][0]["result"]:
                value = one["value"]
                assert {*value["rectanglelabels"]} <= names == {*NAMES}
                sides = [value["x"] * 0.6, value["y"] * 0.4, value["width"] * 0.6, value["height"] * 0.4]
                yield [*value["rectanglelabels"], one["score"], *corners(*sides)]


READERS = {"coco": read_coco, "yolo": read_yolo, "voc": read_voc, "csv": read_csv, "labelstudio": read_labelstudio}


@pytest.mark.parametrize("format", READERS)
def test_files_hold_the_detections_when_written_in_any_format(tmp_path, format):
    draw = np.random.default_rng(0)
    names = ["1.jpg", "more/2.jpg", "more/ä, b.png", "more/ä, b.jpg"]

    def found(name, count):
        boxes = draw.uniform(0, 20, [count, 4]).astype("float32") + np.float32([0, 0, 30, 20])
        scores = np.sort(draw.uniform(0, 1, count).astype("float32"))[::-1]
        return Predicted(name, 60, 40, boxes, scores, draw.integers(0, 3, count))

    given = [found(name, count) for name, count in zip(names, (5, 0, 3, 2))]
    FORMATS[format](Written(tmp_path, NAMES, lambda: iter(given), text_stems(names), 0.2))
    for each in given:
        shown = each if format == "coco" else each.filter(0.2)
        read = list(READERS[format](tmp_path, each.name))
        assert [row[0] for row in read] == [NAMES[label] for label in shown.classes]
        expected = np.column_stack([shown.scores, shown.boxes])
        np.testing.assert_allclose(np.array([row[1:] for row in read]).reshape(-1, 5), expected, atol=1e-4)


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".kerassl"))
    return {path.relative_to(folder): path.read_bytes() for path in found}


def test_files_are_equal_to_the_byte_when_a_killed_run_is_resumed(model, photos, tmp_path, monkeypatch):
    out, killed = tmp_path / "out", tmp_path / "killed"
    predict, places = detectors.predict_batches, []

    def watched(*args, **kwargs):
        for number, batch in enumerate(predict(*args, **kwargs)):
            if number == 1 and not killed.exists():
                shutil.copytree(out, killed)  # as a process leaves it that is killed here
            places.append(batch.places.tolist())
            yield batch

    monkeypatch.setattr(detectors, "predict_batches", watched)
    expected = kerassl.predict(model, photos)
    given = {"draw": True, "score": 0.2}
    done = kerassl.predict(model, photos, out=out, **given)
    assert (done.images, done.broken) == (19, 1)
    assert done.objects == sum(len(one.filter(0.2)) for one in expected.values()) > 10
    read = kerassl.load(out / "predictions.json")
    assert {f"{photos}/{name}" for name in read} == set(expected)
    for name, found in read.items():
        for key in ("boxes", "scores", "classes"):
            np.testing.assert_array_equal(getattr(found, key), getattr(expected[f"{photos}/{name}"], key))
    (journal,) = killed.glob("unfinished*")
    with journal.open("a") as file:
        file.write('{"end": 16, "ima')
    with pytest.raises(UserError, match="--resume"):
        kerassl.predict(model, photos, out=killed, **given)
    with pytest.raises(UserError, match=r"score 0\.2, and now it is 0\.3"):
        kerassl.predict(model, photos, out=killed, draw=True, resume=True)
    assert len(files(killed)) == 2 + 7
    whole = places[:]
    places.clear()
    resumed = kerassl.predict(model, photos, out=killed, resume=True, **given)
    assert places == whole[1:]
    assert (resumed.images, resumed.objects) == (done.images, done.objects)
    assert len(files(out)) == 2 + 19
    assert files(killed) == files(out)
    places.clear()
    assert kerassl.predict(model, photos, out=killed, resume=True, **given) == resumed
    assert not places


@pytest.mark.parametrize("batches", [0, 2])
def test_stopped_run_leaves_its_results_if_it_has_any(tmp_path, monkeypatch, batches):
    names, found = [f"{number}.jpg" for number in range(9)], Detections([[1, 2, 3, 4]], [0.5], [0], NAMES)

    def predicted(network, paths, first=0):
        for start in range(first, 9, 3):
            if start == 3 * batches and first == 0:
                raise KeyboardInterrupt
            yield detectors.PredictedBatch(np.arange(start, start + 3), [found] * 3, np.ones([3, 2]), start + 3)

    monkeypatch.setattr(detectors, "predict_batches", predicted)
    monkeypatch.setattr(streamed, "load", lambda model: model)
    job = streamed.Job(None, NAMES, names, names, None, "csv", 0.3, False)
    with pytest.raises(KeyboardInterrupt):
        streamed.predict_into(tmp_path / "out", job, False)
    assert (tmp_path / "out").exists() == (batches > 0)
    if batches:
        assert streamed.predict_into(tmp_path / "out", job, True)["images"] == 9
        assert len((tmp_path / "out" / "predictions.csv").read_text().splitlines()) == 10


def test_parts_are_read_as_one_when_a_job_array_wrote_them_all(localizer, tmp_path, save_image, monkeypatch):
    names = [f"{number}.png" for number in range(20)]
    chosen = [names[place] for place in Part(1, 2).places(names)[:2]]
    for name in chosen:
        save_image(tmp_path / "photos" / name)
    localizer().save(tmp_path / "localizer.keras")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kerassl").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "bin" / "kerassl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        task = {**os.environ, "SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": "2"}
        command = ["bash", str(SCRIPT), "localizer.keras", "photos", "out", "--format", "coco"]
        arguments = subprocess.run(command, env=task, check=True, capture_output=True, text=True).stdout.split("\n")
        assert main(arguments[:-1]) == 0
    assert [len(load_predictions(part)) for part in part_outputs(tmp_path / "out")] == [2, 0]
    assert list(load_predictions("out")) == list(kerassl.load("out")) == chosen
    shutil.rmtree(tmp_path / "out" / "part-2-of-2")
    with pytest.raises(UserError, match="lacks 1 of 2 parts, 2/2 first"):
        load_predictions("out")


def test_no_image_that_can_be_read_is_refused_and_nothing_left(model, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(UserError, match="none of 1 images can be read"):
        kerassl.predict(model, tmp_path / "a.jpg", out=tmp_path / "out" / "in")
    assert not (tmp_path / "out").exists()
