"""`kerassl shards` and `kerassl inspect`."""

import json

import numpy as np
import PIL.Image
import pytest
from said import quiet

from kerassl.cli.main import main
from kerassl.datasets import DetectionDataset, image_folder, write_scenes
from kerassl.metrics import save_predictions
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def devkit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "devkit"
    write_scenes(folder, train=6, val=4, unlabeled=5, single_object=False, seed=0)
    (folder / "unlabeled" / "broken.jpg").write_bytes(b"nothing")
    return folder


def refused(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("kerassl: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def test_shards_are_written_and_continued(devkit, tmp_path, capsys):
    command = ["shards", "--images", str(devkit / "unlabeled"), "--out", str(tmp_path / "shards"), "--per-shard", "3"]
    assert main([*command, "--image-size", "64"]) == 0
    assert f"5 images in 2 shards; 1 broken files left out: {tmp_path / 'shards'}" in capsys.readouterr().out
    assert main([*command, "--image-size", "64"]) == 0
    assert "2 of them from before" in capsys.readouterr().out
    (images,) = image_folder(tmp_path / "shards", 32, 5)
    assert images.shape == (5, 32, 32, 3)
    assert "not image_size None" in refused(capsys, *command)
    assert "quality is 0" in refused(capsys, *command, "--quality", "0")
    assert "no images are named" in refused(capsys, "shards", "--out", tmp_path / "other")


def test_shards_have_the_labels_when_they_are_named(devkit, tmp_path, capsys):
    command = ["shards", "--voc", str(devkit), "--split", "train", "--out", str(tmp_path / "shards")]
    assert main([*command, "--per-shard", "4"]) == 0
    packed = DetectionDataset.from_shards(tmp_path / "shards")
    classes = packed.class_names
    assert "6 images in 2 shards: " in capsys.readouterr().out
    records = DetectionDataset.from_voc(devkit, class_names=classes)
    assert [each.image_id for each in packed] == [each.image_id for each in records]
    assert quiet(["inspect", str(devkit), "--split", "train"]) == 0
    expected = capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "shards"), "--decode", "--out", str(tmp_path / "card.png")]) == 0
    assert capsys.readouterr().out == f"{expected}card: {tmp_path / 'card.png'}\n"
    with PIL.Image.open(tmp_path / "card.png") as drawn:
        assert np.asarray(drawn).std() > 10
    with (tmp_path / "shards" / "shard-00001.tfrecord").open("r+b") as file:
        file.seek(500)
        file.write(bytes(8))
    assert main(["inspect", str(tmp_path / "shards")]) == 0
    printed = capsys.readouterr().out
    assert "broken: 1" in printed
    assert "shard-00001.tfrecord#0 is damaged: its checksum is wrong" in printed
    assert "5 images, 0 of them without a box" in printed


def test_shards_of_coco_and_yolo_hold_the_same_boxes(devkit, tmp_path, capsys):
    photos = tmp_path / "kites"
    photos.mkdir()
    for photo in sorted((devkit / "VOC2007" / "JPEGImages").iterdir())[:3]:
        (photos / photo.name).write_bytes(photo.read_bytes())
    with PIL.Image.open(photo) as image:
        width, height = image.size
    (photos / f"{photo.stem}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (photos / "classes.txt").write_text("kite\n")
    content = {
        "images": [{"id": number, "file_name": path.name} for number, path in enumerate(sorted(photos.glob("*.jpg")))],
        "annotations": [
            {
                "id": 1,
                "image_id": 2,
                "category_id": 4,
                "bbox": [0.375 * width, 0.25 * height, 0.25 * width, 0.5 * height],
            }
        ],
        "categories": [{"id": 4, "name": "kite"}],
    }
    (tmp_path / "kites.json").write_text(json.dumps(content))
    command = ["shards", "--images", str(photos)]
    for form in (["--coco", str(tmp_path / "kites.json")], ["--yolo"]):
        out = tmp_path / form[0].strip("-")
        assert main([*command, *form, "--out", str(out), "--image-size", "32"]) == 0
        assert "3 images in 1 shards" in capsys.readouterr().out
        records = DetectionDataset.from_shards(out)
        assert [len(record.boxes) for record in records] == [0, 0, 1]
        sides = np.array([records[2].width, records[2].height] * 2)
        np.testing.assert_allclose(records[2].boxes[0] / sides, [0.375, 0.25, 0.625, 0.75], atol=1e-6)
        assert records.class_names == ("kite",)


def test_shards_are_refused_as_labels_when_they_have_none(devkit, tmp_path, capsys):
    out = tmp_path / "shards"
    assert main(["shards", "--images", str(devkit / "unlabeled"), "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["inspect", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "images: 5 " in printed
    assert "class" not in printed
    predictions = tmp_path / "predictions.json"
    assert "without labels" in refused(capsys, "evaluate", "--predictions", predictions, "--shards", out)
    assert "leave --year" in refused(capsys, "inspect", out, "--split", "train")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_bytes(b"nothing")
    assert "nothing to draw" in refused(capsys, "inspect", tmp_path / "broken", "--out", tmp_path / "card.png")


def test_figures_on_shards_are_those_on_voc(devkit, tmp_path, capsys):
    assert main(["shards", "--voc", str(devkit), "--split", "val", "--out", str(tmp_path / "shards")]) == 0
    classes = DetectionDataset.from_shards(tmp_path / "shards").class_names
    found = {
        record.image_id: Detections(
            record.boxes[:1] + 2, np.ones(len(record.classes[:1]), np.float32), record.classes[:1]
        )
        for record in DetectionDataset.from_voc(devkit, split="val", class_names=classes)
    }
    save_predictions(tmp_path / "predictions.json", found)
    printed = []
    for labels in (["--shards", tmp_path / "shards"], ["--voc", devkit, "--split", "val", "--classes", *classes]):
        capsys.readouterr()
        assert main([str(each) for each in ["evaluate", "--predictions", tmp_path / "predictions.json", *labels]]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert all(name in printed[0] for name in classes)
    both = ["--shards", tmp_path / "shards", "--voc", devkit]
    assert "give the labels of one data set" in refused(
        capsys, "evaluate", "--predictions", tmp_path / "predictions.json", *both
    )


def test_card_has_the_figures_of_images_and_of_voc(devkit, tmp_path, capsys):
    assert main(["inspect", str(devkit / "unlabeled")]) == 0
    printed = capsys.readouterr().out
    assert "images: 6 " in printed
    assert "broken.jpg is no image" in printed
    assert "class" not in printed
    for where in ([str(devkit)], ["--voc", str(devkit)], [str(devkit / "VOC2007")]):
        assert main(["inspect", *where, "--out", str(tmp_path / "card.png"), "--decode"]) == 0
        printed = capsys.readouterr().out
        assert "10 images, 0 of them without a box" in printed
        with PIL.Image.open(tmp_path / "card.png") as drawn:
            assert np.asarray(drawn).std() > 10
        (tmp_path / "card.png").unlink()
    assert quiet(["inspect", str(devkit), "--split", "train"]) == 0
    assert "6 images, 0 of them without" in capsys.readouterr().out


def test_card_has_the_figures_of_coco(devkit, tmp_path, capsys):
    photos = sorted((devkit / "VOC2007" / "JPEGImages").iterdir())[:3]
    content = {
        "images": [{"id": number, "file_name": photo.name} for number, photo in enumerate(photos)],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 4, "bbox": [5, 5, 20, 30]}],
        "categories": [{"id": 4, "name": "kite"}],
    }
    (tmp_path / "kites.json").write_text(json.dumps(content))
    command = ["inspect", "--coco", str(tmp_path / "kites.json")]
    assert main([*command, str(photos[0].parent)]) == 0
    printed = capsys.readouterr().out
    assert "3 images, 2 of them without a box" in printed
    assert "kite" in printed
    assert "the one folder of its images" in refused(capsys, *command)


def test_card_has_the_figures_of_yolo(devkit, tmp_path, capsys):
    images, labels = tmp_path / "kites" / "images" / "train", tmp_path / "kites" / "labels" / "train"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for photo in sorted((devkit / "VOC2007" / "JPEGImages").iterdir())[:3]:
        (images / photo.name).write_bytes(photo.read_bytes())
    (labels / f"{photo.stem}.txt").write_text("1 0.5 0.5 0.2 0.3\n1 0.2 0.2 0.1 0.1\n")
    (tmp_path / "kites" / "data.yaml").write_text("names: [bird, kite]\n")
    command = ["inspect", "--yolo", str(images)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "3 images, 2 of them without a box" in printed
    assert "boxes: 2" in printed
    assert printed.index("kite ") < printed.index("bird ")
    assert "the one folder of the images" in refused(capsys, *command, "--year", "2007")
