"""`kerassl convert`: splits, class names and refusals."""

import pytest

from kerassl import UserError, convert
from kerassl.cli.main import main
from kerassl.datasets import DetectionDataset

pytestmark = pytest.mark.current_stack


@pytest.fixture
def voc(devkit, thing):
    devkit.add("a", thing("dog") + thing("cat", (3, 4, 50, 30)))
    devkit.add("b", thing("cat"), split="val")
    devkit.add("c", "", split="trainval")
    return devkit.folder


@pytest.mark.parametrize("format", ["voc", "coco", "yolo", "csv", "shards"])
def test_splits_of_the_data_are_kept_when_converted(voc, tmp_path, format, caplog):
    done = convert(voc, tmp_path / "out", format=format, classes=["cat", "dog"])
    assert (done.images, done.objects) == (2, 3)
    assert "1 labeled images left out" in caplog.text
    for split in ("train", "val"):
        given = DetectionDataset.open(voc, split=split, class_names=["cat", "dog"])
        read = DetectionDataset.open(tmp_path / "out", split=split)
        assert [{read.class_names[label] for label in one.classes} for one in read] == [
            {given.class_names[label] for label in one.classes} for one in given
        ]
        assert [one.boxes.tolist() for one in read] == [one.boxes.tolist() for one in given]


def test_one_split_is_written_when_it_is_named(voc, tmp_path, capsys):
    assert main(["convert", str(voc), str(tmp_path / "out"), "--format", "coco", "--split", "trainval"]) == 0
    read = DetectionDataset.open(tmp_path / "out" / "annotations.json", class_names=["dog"])
    assert [len(one.boxes) for one in read] == [0]


@pytest.mark.parametrize("out", ["VOCdevkit/VOC2007", "VOCdevkit/VOC2007/new", "VOCdevkit", "."])
@pytest.mark.parametrize("format", ["yolo", "shards"])
def test_output_is_refused_when_it_is_in_at_or_above_the_input(voc, tmp_path, out, format):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError):
        convert(voc, tmp_path / out, format=format)
    assert sorted(tmp_path.rglob("*")) == before
