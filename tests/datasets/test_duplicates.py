"""Duplicates among images, within and across splits."""

import re
import shutil

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from kerassl.datasets import Record, find_duplicates, write_shards
from kerassl.datasets.duplicates import SIDE, hashes, nearest, similar, turnings, warn_of_leakage

pytestmark = pytest.mark.current_stack


def _photo(seed, size=(160, 120)):
    """An image with structure at several scales, as photos have."""
    draws = np.random.default_rng(seed)
    layers = [draws.integers(0, 256, (side, side, 3), np.uint8) for side in (4, 9, 30)]
    image, *rest = (PIL.Image.fromarray(layer).resize(size, PIL.Image.Resampling.BICUBIC) for layer in layers)
    for strength, layer in zip((0.4, 0.15), rest):
        image = PIL.Image.blend(image, layer, strength)
    return image


@pytest.fixture
def photos(tmp_path):
    """Five different photos."""
    paths = [tmp_path / f"{seed}.jpg" for seed in range(5)]
    for seed, path in enumerate(paths):
        _photo(seed).save(path, quality=92)
    return list(map(str, paths))


def _exif(path, image):
    # Stored a quarter turn to the left, displayed upright.
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    image.transpose(PIL.Image.Transpose.ROTATE_90).save(path, exif=exif, quality=90)


COPIES = {
    "half.jpg": lambda path, image: image.resize((80, 60)).save(path),
    "square.jpg": lambda path, image: image.resize((224, 224)).save(path),
    "low_quality.jpg": lambda path, image: image.save(path, quality=50),
    "webp.webp": lambda path, image: image.save(path, quality=60),
    "transparent.png": lambda path, image: image.convert("RGBA").save(path),
    "exif.jpg": _exif,
    "mirrored.jpg": lambda path, image: PIL.ImageOps.mirror(image).save(path, quality=80),
    "rotated.png": lambda path, image: image.transpose(PIL.Image.Transpose.ROTATE_270).save(path),
}


@pytest.mark.parametrize("name", COPIES)
def test_finds_the_original_alone_when_an_image_is_a_copy(photos, tmp_path, name):
    with PIL.Image.open(photos[2]) as image:
        COPIES[name](tmp_path / name, image)
    found = find_duplicates({"train": photos, "test": [tmp_path / name]}, progress=False)
    (copy,) = found.found
    assert (copy.path, copy.original, copy.kind) == (str(tmp_path / name), photos[2], "near")
    assert (copy.original_split, copy.split) == ("train", "test")
    assert copy.turned == (name in ("mirrored.jpg", "rotated.png"))
    assert 0 <= copy.difference < 30
    assert (found.images, found.unread) == ({"train": 5, "test": 1}, 0)


def test_finds_equal_files_within_and_across_splits_when_some_are_broken(photos, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff cut off")
    (tmp_path / "empty.jpg").write_bytes(b"")
    names = [photos[0], "cut.jpg", "cut.jpg", "empty.jpg", "empty.jpg"]
    copies = [str(tmp_path / f"copy{number}.jpg") for number in range(5)]
    for name, copy in zip(names, copies):
        shutil.copy(tmp_path / name, copy)
    splits = {"train": [*photos, copies[0], copies[1]], "test": [photos[4], *copies[2:], str(tmp_path / "missing.jpg")]}
    for near in (False, True):
        found = find_duplicates(splits, near=near, progress=False)
        assert [each.kind for each in found.found] == ["exact"] * 3
        assert [(each.path, each.original) for each in found.between("train", "train")] == [(copies[0], photos[0])]
        across = [(photos[4], photos[4]), (copies[2], copies[1])]
        assert [(each.path, each.original) for each in found.between("train", "test")] == across
        assert found.unread == (5 if near else 0)
    assert len(find_duplicates(splits, within=False, progress=False).found) == 2


def test_tells_flat_images_apart_when_their_colors_differ(tmp_path):
    colors = {"white.png": "white", "white.jpg": "white", "black.png": "black", "gray.png": "gray", "red.png": "red"}
    for name, color in colors.items():
        PIL.Image.new("RGB", (50, 40), color).save(tmp_path / name)
    PIL.Image.fromarray(np.full((40, 50), 2**15, np.uint16)).save(tmp_path / "gray16.png")
    found = find_duplicates([str(tmp_path / name) for name in [*colors, "gray16.png"]], progress=False).found
    assert [(each.path, each.original) for each in found] == [
        (str(tmp_path / "white.jpg"), str(tmp_path / "white.png")),
        (str(tmp_path / "gray16.png"), str(tmp_path / "gray.png")),
    ]


def test_tells_frames_of_a_camera_apart_when_an_object_is_in_one_of_them(photos, tmp_path):
    with PIL.Image.open(photos[0]) as image:
        image.paste((255, 255, 255), (40, 30, 70, 60))
        image.save(tmp_path / "frame.jpg", quality=92)
    assert not find_duplicates([photos[0], str(tmp_path / "frame.jpg")], progress=False).found


def test_similar_hashes_are_those_of_a_search_in_plain_loops():
    draws = np.random.default_rng(0)
    first = draws.integers(0, 2, (90, 64))
    second = np.concatenate([draws.integers(0, 2, (40, 64)), first[::2] ^ (draws.random((45, 64)) < 0.15)])
    expected = {(i, j) for i, one in enumerate(first) for j, other in enumerate(second) if sum(one != other) <= 10}
    blocks = list(similar(np.float32(2 * first - 1), np.float32(2 * second - 1), 10))
    assert {pair for columns, rows in blocks for pair in zip(columns.tolist(), rows.tolist())} == expected
    assert 20 < len(expected) < 45


def test_hashes_and_neighbors_are_the_same_in_blocks_of_any_size(monkeypatch):
    thumbnails = np.stack([np.asarray(_photo(seed).resize((SIDE, SIDE))) for seed in range(12)])
    turned = np.stack([turnings(each[None])[seed % 8][0] for seed, each in enumerate(thumbnails)])
    images = np.concatenate([thumbnails, turned, thumbnails[:3]])
    expected = [(row, row - 12, 0, row % 12 % 8 > 0) for row in range(12, 24)]
    expected += [(row, row - 24, 0, False) for row in range(24, 27)]
    assert list(nearest(images, images, True)) == expected
    for name, size in (("_ROWS", 5), ("_COLUMNS", 7), ("_TRIED", 1)):
        monkeypatch.setattr(f"kerassl.datasets.duplicates.{name}", size)
    assert list(nearest(images, images, True)) == expected
    assert (hashes(thumbnails) @ hashes(thumbnails).T == 64).sum() == 12


def test_finds_images_in_shards_of_the_same_photos(photos, tmp_path):
    write_shards(photos[:3], tmp_path / "shards", progress=False)
    names = [f"{tmp_path / 'shards' / 'shard-00000.tfrecord'}#{number}" for number in range(3)]
    found = find_duplicates({"photos": photos, "shards": names}, progress=False)
    assert [(each.path, each.original) for each in found.found] == list(zip(names, photos))


def test_one_line_reports_leakage_when_splits_share_images(photos, tmp_path, caplog):
    with PIL.Image.open(photos[1]) as image:
        image.save(tmp_path / "copy.png")
    boxes, none = np.zeros([0, 4], np.float32), np.zeros(0, np.int32)
    train, val, test = (
        [Record(path, path, 120, 160, boxes, none, none.astype(bool)) for path in paths]
        for paths in (photos[:3], photos[3:], [str(tmp_path / "copy.png"), photos[2], photos[4]])
    )
    warn_of_leakage(train, val, progress=False)
    assert not caplog.records
    warn_of_leakage(train, val, test, progress=False)
    (record,) = caplog.records
    assert re.findall(r"\d of \d \w+", record.args[0]) == ["2 of 3 test", "1 of 3 test"]
    assert record.args[1] == f"{tmp_path / 'copy.png'} of {photos[1]}"


@pytest.mark.realdata
def test_finds_99_percent_of_copies_and_no_others_among_real_photos(real_data, tmp_path):
    paths = sorted(map(str, (real_data / "VOCdevkit" / "VOC2007" / "JPEGImages").iterdir()))[::5]
    for number, path in enumerate(paths[::4]):
        with PIL.Image.open(path) as image:
            image.resize((224, 224)).save(tmp_path / f"{number:03}.jpg", quality=50)
    copies = sorted(map(str, tmp_path.iterdir()))
    found = find_duplicates({"photos": paths, "copies": copies}, progress=False).found
    right = [each for each in found if each.original == dict(zip(copies, paths[::4])).get(each.path)]
    assert len(right) == len(found) >= 0.99 * len(copies)
