"""Generated scenes: the truth in the files, the same bytes from the same seed, and what is refused."""

import collections
import hashlib
import sys

import defusedxml.ElementTree
import numpy as np
import PIL.Image
import pytest

from kerassl._errors import UserError
from kerassl.datasets import SCENE_CLASSES, DetectionDataset, write_scenes

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same


def _bytes(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("crowded") / "kit", train=90, val=20, unlabeled=5, seed=4)


@pytest.fixture(scope="module")
def lonely(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("lonely") / "kit", train=64, val=0, single_object=True, seed=4)


def _annotations(root):
    for path in sorted((root / "VOC2007" / "Annotations").iterdir()):
        yield path.stem, defusedxml.ElementTree.parse(path).getroot()


def _mask(root, image_id):
    return np.asarray(PIL.Image.open(root / "VOC2007" / "SegmentationObject" / f"{image_id}.png"))


def test_writes_the_same_bytes_when_the_seed_is_the_same(tmp_path):
    settings = {"train": 4, "val": 2, "unlabeled": 2, "image_size": (64, 80)}
    first = _bytes(write_scenes(tmp_path / "a", seed=7, **settings))
    again = _bytes(write_scenes(tmp_path / "b", seed=7, **settings))
    other = _bytes(write_scenes(tmp_path / "c", seed=8, **settings))
    assert first == again
    images = [name for name in first if name.endswith(".jpg")]
    assert len(images) == 8
    assert all(first[name] != other[name] for name in images)
    assert len({first[name] for name in images}) == 8  # splits and images differ from each other


def test_begins_with_the_smaller_splits_when_it_is_larger(tmp_path):
    small = _bytes(write_scenes(tmp_path / "small", train=3, val=2, unlabeled=1, image_size=(64, 80)))
    large = _bytes(write_scenes(tmp_path / "large", train=9, val=5, unlabeled=4, image_size=(64, 80)))
    alike = [name for name in small if not name.endswith((".txt", ".json"))]
    assert len(alike) == 3 * 3 + 3 * 2 + 1
    assert all(small[name] == large[name] for name in alike)


def test_boxes_are_those_of_the_masks_when_objects_overlap(crowded):
    boxes_seen = 0
    for image_id, root in _annotations(crowded):
        mask = _mask(crowded, image_id)
        objects = root.findall("object")
        assert sorted(set(np.unique(mask)) - {0}) == list(range(1, len(objects) + 1))
        for number, each in enumerate(objects, start=1):
            rows, columns = np.nonzero(mask == number)
            box = [int(each.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")]
            assert box == [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1], image_id
            assert len(rows) >= 40, image_id  # an object of which hardly anything is seen is left out
            boxes_seen += 1
    assert boxes_seen > 200


def test_images_masks_and_sizes_agree_when_read_back(crowded):
    for image_id, root in _annotations(crowded):
        with PIL.Image.open(crowded / "VOC2007" / "JPEGImages" / f"{image_id}.jpg") as image:
            assert (image.size, image.mode) == ((200, 160), "RGB")
        with PIL.Image.open(crowded / "VOC2007" / "SegmentationObject" / f"{image_id}.png") as mask:
            assert (mask.size, mask.mode) == ((200, 160), "P")
            assert mask.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]  # VOC's first colors
        assert [root.findtext(f"size/{name}") for name in ("width", "height", "depth")] == ["200", "160", "3"]
        assert root.findtext("filename") == f"{image_id}.jpg"


def test_objects_differ_from_the_background_when_drawn(lonely):
    # The mask is the object's: colors change across its edge much more than elsewhere.
    across, elsewhere = [], []
    for record in DetectionDataset.from_voc(lonely, 2007, "train", class_names=SCENE_CLASSES):
        image = np.asarray(PIL.Image.open(record.path), np.float32)
        mask = np.asarray(PIL.Image.open(record.mask_path))
        step = np.abs(np.diff(image, axis=1)).sum(-1)
        edge = mask[:, 1:] != mask[:, :-1]
        across.append(step[edge].mean())
        elsewhere.append(step[(mask[:, 1:] == 0) & (mask[:, :-1] == 0)].mean())
    assert np.mean(across) > 3 * np.mean(elsewhere)
    assert np.mean(np.array(across) > np.array(elsewhere)) > 0.9


def test_every_class_occurs_alone_and_among_others_when_there_are_enough(crowded, lonely):
    assert len(SCENE_CLASSES) >= 6
    for root in (crowded, lonely):
        found = collections.Counter(
            each.findtext("name") for _, tree in _annotations(root) for each in tree.findall("object")
        )
        assert set(found) == set(SCENE_CLASSES)


def test_some_objects_are_difficult_when_they_occlude_each_other(crowded):
    records = DetectionDataset.from_voc(crowded, 2007, "train", class_names=SCENE_CLASSES)
    difficult = np.concatenate([record.difficult for record in records])
    assert 0.01 < difficult.mean() < 0.3
    counts = {len(record.boxes) for record in records}
    assert counts >= {1, 2, 3, 4}
    touching = 0
    for record in records:
        mask = np.asarray(PIL.Image.open(record.mask_path))
        pairs = np.stack([mask[:, 1:], mask[:, :-1]])
        touching += np.any((pairs[0] != pairs[1]) & (pairs.min(0) > 0))
    assert touching > len(records) / 5


def test_difficult_objects_show_less_when_all_are_compared(crowded):
    shares = {True: [], False: []}
    for record in DetectionDataset.from_voc(crowded, 2007, None, class_names=SCENE_CLASSES):
        mask = np.asarray(PIL.Image.open(record.mask_path))
        for number, difficult in enumerate(record.difficult, start=1):
            shares[bool(difficult)].append(int((mask == number).sum()))
    assert np.median(shares[True]) < np.median(shares[False])


def test_there_is_exactly_one_large_object_when_asked_for_one(lonely):
    records = DetectionDataset.from_voc(lonely, 2007, "train", class_names=SCENE_CLASSES)
    assert len(records) == 64
    for record in records:
        assert record.difficult.tolist() == [False]
        assert (record.boxes[0, 2:] - record.boxes[0, :2]).max() >= 0.25 * 160


def test_mean_colors_do_not_predict_the_class(tmp_path):
    root = write_scenes(tmp_path / "kit", train=400, val=0, single_object=True, image_size=(64, 80), seed=2)
    means, labels = [], []
    for record in DetectionDataset.from_voc(root, 2007, "train", class_names=SCENE_CLASSES):
        mask = np.asarray(PIL.Image.open(record.mask_path)) == 1
        means.append(np.asarray(PIL.Image.open(record.path), np.float32)[mask].mean(0))
        labels.append(record.classes[0])
    means, labels = np.array(means), np.array(labels)
    centers = np.stack([means[:200][labels[:200] == label].mean(0) for label in range(len(SCENE_CLASSES))])
    nearest = np.argmin(np.abs(means[200:, None] - centers[None]).sum(-1), axis=1)
    # Chance is one in eight; 200 guesses stay under this with a probability of more than 99.9 %.
    assert np.mean(nearest == labels[200:]) < 0.21


def test_image_sets_agree_with_the_annotations_when_read_by_class(crowded):
    sets = crowded / "VOC2007" / "ImageSets" / "Main"
    train, val, both = ((sets / f"{split}.txt").read_text().split() for split in ("train", "val", "trainval"))
    assert (len(train), len(val)) == (90, 20)
    assert both == train + val
    assert len(set(both)) == 110
    assert sorted(both) == [image_id for image_id, _ in _annotations(crowded)]
    truth = {
        image_id: [(each.findtext("name"), each.findtext("difficult") == "1") for each in root.findall("object")]
        for image_id, root in _annotations(crowded)
    }
    marks = collections.Counter()
    for split, ids in (("train", train), ("val", val), ("trainval", both)):
        for name in SCENE_CLASSES:
            lines = [line.split() for line in (sets / f"{name}_{split}.txt").read_text().splitlines()]
            assert [line[0] for line in lines] == ids
            for image_id, mark in lines:
                difficult = [hard for found, hard in truth[image_id] if found == name]
                expected = -1 if not difficult else (0 if all(difficult) else 1)
                assert int(mark) == expected, (name, image_id)
                marks[int(mark)] += 1
    assert set(marks) == {-1, 0, 1}
    assert len(list((crowded / "unlabeled").glob("*.jpg"))) == 5


def test_is_used_again_when_the_settings_are_the_same(tmp_path):
    root = write_scenes(tmp_path / "kit", train=2, val=1, image_size=(64, 64))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert write_scenes(tmp_path / "kit", train=2, val=1, image_size=(64, 64)) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


@pytest.mark.parametrize("content", ["scenes of other settings", "another folder", "a file", "a broken scenes.json"])
def test_refuses_the_folder_when_it_holds_something_else(tmp_path, content):
    path = tmp_path / "kit"
    if content == "scenes of other settings":
        write_scenes(path, train=2, val=1, image_size=(64, 64))
    elif content == "a file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / ("scenes.json" if "json" in content else "mine.txt")).write_text("mine")
    before = _bytes(tmp_path)
    with pytest.raises(UserError, match="kit") as caught:
        write_scenes(path, train=3, val=1, image_size=(64, 64))
    assert "\n" not in str(caught.value)
    assert _bytes(tmp_path) == before


def test_leaves_nothing_when_interrupted(tmp_path, monkeypatch):
    module = sys.modules[write_scenes.__module__]
    draw, calls = module.draw_scene, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return draw(*args, **kwargs)

    monkeypatch.setattr(module, "draw_scene", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "deep" / "kit", train=8, val=0, image_size=(64, 64))
    assert len(calls) >= 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"train": -1}, "train is -1"),
        ({"val": 2.5}, "val is 2.5"),
        ({"unlabeled": True}, "unlabeled is True"),
        ({"train": 0, "val": 0}, "0"),
        ({"seed": -3}, "seed is -3"),
        ({"image_size": (60, 80)}, "64"),
        ({"image_size": (80,)}, "64"),
    ],
)
def test_says_what_is_accepted_when_a_number_is_wrong(tmp_path, settings, word):
    with pytest.raises(UserError, match=word) as caught:
        write_scenes(tmp_path / "kit", **settings)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_scenes_are_of_some_classes_when_these_are_named(tmp_path):
    settings = {"train": 12, "val": 0, "test": 3, "image_size": (64, 64)}
    root = write_scenes(tmp_path / "kit", classes=["fish", "car"], **settings)
    names = {each.text for _, found in _annotations(root) for each in found.iter("name")}
    assert names == {"fish", "car"}
    assert len(DetectionDataset.from_voc(root, 2007, "test", class_names=["car", "fish"])) == 3
    every = write_scenes(tmp_path / "every", classes=list(SCENE_CLASSES), **settings)
    assert _bytes(every) == _bytes(write_scenes(tmp_path / "all", **settings))
    for classes in ([], ["car", "car"], ["dog"]):
        with pytest.raises(UserError, match="give some of boat, car"):
            write_scenes(tmp_path / "other", classes=classes, **settings)
