"""Labels of a detector: read back, resumed, and never over those of people."""

import json
import shutil

import keras
import numpy as np
import PIL.Image
import pytest

import kerassl
from kerassl import UserError, detectors
from kerassl.cli.main import main
from kerassl.datasets import DetectionDataset, Record, write_coco
from kerassl.detectors.self_training.merging import merge
from kerassl.tasks.label import label

pytestmark = pytest.mark.current_stack

NAMES = ("red", "green", "blue light")


@pytest.fixture(scope="module")
def model(tiny_detector, noisy_heads):
    keras.utils.set_random_seed(0)
    return noisy_heads(tiny_detector("YOLOV8", class_names=NAMES))


def labeled_by_people(path, times=1):
    boxes = np.tile(np.float32([[4, 5, 60, 40], [10, 10, 50, 30], [0, 0, 9, 9]]), [times, 1])
    classes = np.tile([0, 1, 2], times)
    return Record(str(path), str(path), 40, 60, boxes, classes, np.zeros(3 * times, bool))


@pytest.fixture
def like(tmp_path, save_image):
    paths = [save_image(tmp_path / "people" / f"{number}.png", seed=100 + number) for number in range(8)]
    return DetectionDataset(list(map(labeled_by_people, paths)), NAMES)


@pytest.fixture
def photos(tmp_path, save_image, save_turned):
    """Twenty images in three batches, among them a broken one, one rotated by EXIF, and names that clash."""
    for number in range(16):
        save_image(tmp_path / "photos" / f"{number:02d}.jpg", seed=number)
    save_image(tmp_path / "photos" / "more" / "ä, b.png", seed=98)
    save_image(tmp_path / "photos" / "more" / "ä, b.jpg", seed=99)
    save_turned(tmp_path / "photos" / "turned.jpg", 6, (0, 0, 9, 9))
    (tmp_path / "photos" / "03.jpg").write_bytes(b"nothing")
    return tmp_path / "photos"


def content(path):
    return PIL.Image.open(path).tobytes()


def detected(model, photos, mirror):
    """Detections, size and agreement of each image by its pixels, and a threshold that not all of them reach."""
    found, paths = {}, kerassl.datasets.image_files(photos)
    for batch in detectors.predict_batches(model, paths, mirror=mirror):
        rows = zip(batch.places, batch.detections, batch.sizes.astype(int).tolist(), batch.agreements or batch.places)
        found |= {content(paths[place]): more for place, *more in rows}
    best = sorted(float(one.scores.max()) for one, *_ in found.values())
    return found, (best[3] + best[4]) / 2


@pytest.mark.parametrize(("format", "mirror"), [("coco", False), ("yolo", True)])
def test_labels_are_read_as_they_were_detected_when_written(tmp_path, model, photos, like, format, mirror):
    expected, threshold = detected(model, photos, mirror)
    given = {"like": like, "threshold": threshold, "format": format, "mirror": mirror, "keep_foreign": True}
    done = label(model, photos, out=tmp_path / "out", **given)
    assert (done.images, done.broken, done.foreign, done.labeled) == (18, 1, 0, 0)
    read = DetectionDataset.open(tmp_path / "out", class_names=NAMES)
    assert {content(record.path) for record in read} == set(expected)
    assert len(read) == 18
    assert done.objects == sum(len(record.boxes) for record in read) >= 14
    assert done.empty == sum(not len(record.boxes) for record in read) == 4
    for record in read:
        found, size, _ = expected[content(record.path)]
        found = found.filter(threshold)
        assert [record.height, record.width] == size
        np.testing.assert_allclose(record.boxes, found.boxes, atol=1e-3)
        np.testing.assert_array_equal(record.classes, found.classes)
    assert PIL.Image.open(tmp_path / "out" / "contact_sheet.png").size == (1280, 720)


def test_weights_are_read_by_training_when_the_format_is_coco(tmp_path, model, photos, like):
    like = DetectionDataset([labeled_by_people(record.path, 2) for record in like], NAMES)
    weights = {"weight_by_score": True, "least_agreement": 0.8, "background": 0.5, "empty_background": 0.05}
    done = label(model, photos, like=like, out=tmp_path / "out", threshold="count", mirror=True, **weights)
    read = DetectionDataset.open(tmp_path / "out", class_names=NAMES)
    assert len(read) == done.images - done.foreign
    scores = {one["id"]: one for one in json.loads((tmp_path / "out" / "annotations.json").read_text())["annotations"]}
    assert done.objects + done.ignored == len(scores) > 10
    weight, box_weight, ignore = (
        np.concatenate([getattr(record.weights, name) for record in read])
        for name in ("weight", "box_weight", "ignore")
    )
    assert sorted(weight) == pytest.approx(sorted(one["score"] for one in scores.values()))
    assert set(box_weight) == {0, 1}
    assert ignore.sum() == done.ignored > 0
    for record in read:
        assert record.weights.background == pytest.approx(0.05 if record.weights.ignore.all() else 0.5)
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    for place, name in enumerate(NAMES):
        cut = card["classes"][name], card["thresholds"][name]
        kept = [one["score"] for one in scores.values() if one["category_id"] == place + 1 and not one["ignore"]]
        assert cut[0]["boxes"] == len(kept)
        assert min(kept) >= cut[1]["label"]


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".kerassl"))
    return {path.relative_to(folder): path.read_bytes() for path in found}


def test_files_are_equal_to_the_byte_when_killed_labeling_is_resumed(tmp_path, model, photos, like, monkeypatch):
    out, killed = tmp_path / "out", tmp_path / "killed"
    predict, places = detectors.predict_batches, []

    def watched(network, paths, *args, **kwargs):
        for number, batch in enumerate(predict(network, paths, *args, **kwargs)):
            if number == 1 and len(paths) > 8 and not killed.exists():
                shutil.copytree(out, killed)
            places.extend([batch.places.tolist()] * (len(paths) > 8))
            yield batch

    monkeypatch.setattr(detectors, "predict_batches", watched)
    given = {"like": like, "threshold": "count", "mirror": True, "format": "labelstudio"}
    done = label(model, photos, out=out, **given)
    assert 0 < done.foreign < done.images
    with pytest.raises(UserError, match="keep_foreign"):
        label(model, photos, out=killed, resume=True, keep_foreign=True, **given)
    whole = places[:]
    places.clear()
    resumed = label(model, photos, out=killed, resume=True, **given)
    assert places == whole[1:]
    assert files(killed) == files(out)
    assert label(model, photos, out=killed, resume=True, **given) == resumed
    tasks = json.loads((out / "labelstudio.json").read_text())
    assert len(tasks) == done.images - done.foreign
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert scores == sorted(scores, reverse=True)
    assert sum(len(task["predictions"][0]["result"]) for task in tasks) == done.objects


def test_labels_are_those_of_the_files_when_they_are_not_written(tmp_path, model, photos, like):
    weights = {"weight_by_score": True, "least_agreement": 0.8, "background": 0.5, "mirror": True}
    given = {"like": like, "threshold": "count", "keep_foreign": True, **weights}
    label(model, photos, out=tmp_path / "out", **given)
    expected = {content(one.path): one for one in DetectionDataset.open(tmp_path / "out", class_names=NAMES)}
    found = label(model, photos, **given)
    assert (len(found), found.class_names) == (len(expected), like.class_names)
    arrays = label(model, [kerassl.datasets.read_image(one.path) for one in found], **given)
    assert [one.image_id for one in arrays] == [str(place) for place in range(len(found))]
    for one, other in zip(found, arrays):
        for record in (one, other):
            written = expected[content(one.path)]
            np.testing.assert_allclose(record.boxes, written.boxes, atol=1e-2)
            for name in ("weight", "box_weight", "ignore"):
                np.testing.assert_allclose(getattr(record.weights, name), getattr(written.weights, name), atol=1e-5)
            assert record.weights.background == written.weights.background
    with pytest.raises(UserError, match="leave out out"):
        label(model, [np.zeros([9, 9, 3])], out=tmp_path / "new", **given)


def test_detections_of_two_detectors_are_merged_when_another_is_given(
    tmp_path, model, photos, like, tiny_detector, noisy_heads
):
    photos = kerassl.datasets.image_files(photos)[:6]
    keras.utils.set_random_seed(1)
    other = noisy_heads(tiny_detector("YOLOV8", NAMES, 96))
    other.save(tmp_path / "other.keras")
    found = [detected(one, photos, False)[0] for one in (model, other)]
    expected = {name: merge(found[0][name][0], found[1][name][0]) for name in found[0]}
    middle = float(
        np.median(np.concatenate([agreement[merged.scores >= 0.1] for merged, agreement in expected.values()]))
    )
    given = {"like": like, "threshold": 0.1, "keep_foreign": True, "least_agreement": middle}
    labels = label(model, photos, also=tmp_path / "other.keras", **given)
    assert len(labels) == len(expected) == 5
    for record in labels:
        merged, agreement = expected[content(record.path)]
        kept = merged.scores >= 0.1
        np.testing.assert_allclose(record.boxes, merged.boxes[kept], atol=1e-3)
        np.testing.assert_array_equal(record.weights.box_weight, agreement[kept] >= middle)
    assert sum(record.weights.box_weight.sum() for record in labels) > 0
    with pytest.raises(UserError, match="other classes"):
        label(model, photos, like=like, out=tmp_path / "new", also=tiny_detector("YOLOV8", class_names=NAMES[::-1]))


def test_images_are_left_out_when_people_labeled_them_or_copies(tmp_path, model, photos, like, capsys, monkeypatch):
    write_coco(like, tmp_path / "like", progress=False)
    model.save(tmp_path / "detector.keras")
    with PIL.Image.open(like[0].path) as image:
        image = image.resize((6, 4)).resize((240, 160), PIL.Image.Resampling.BICUBIC)
    image.save(like[0].path)
    image.resize((180, 120), PIL.Image.Resampling.BICUBIC).save(photos / "resized.png")
    image.save(photos / "again.jpg", quality=90)
    shutil.copy(like[1].path, photos / "copy.png")
    monkeypatch.chdir(tmp_path)
    options = ["label", "--model", "detector.keras", "--like", "like", "--keep-foreign", "--threshold", "0.15"]
    assert main([*options, "--images", "photos", like[2].path, "--out", "out"]) == 0
    assert "4 labeled by people left out" in capsys.readouterr().out
    read = DetectionDataset.open(tmp_path / "out", class_names=NAMES)
    assert len(read) == 18
    assert not {"resized", "again", "copy"} & {path.stem for path in (tmp_path / "out").rglob("*")}
    assert main([*options, "--images", like[2].path, "--out", "other"]) == 2
    assert not (tmp_path / "other").exists()


def test_teacher_that_finds_nothing_is_reported_in_one_line(tmp_path, model, photos, like, caplog):
    done = label(model, photos, like=like, out=tmp_path / "out", threshold=1.0, keep_foreign=True)
    (alarm,) = done.alarms
    assert "finds nothing in 18 images" in alarm
    assert caplog.messages.count(alarm) == 1
    assert done.empty == done.images
    with pytest.raises(UserError, match="threshold is 2"):
        label(model, photos, like=like, out=tmp_path / "new", threshold=2)
