"""Shards that were damaged, or made to harm: one line with the file and what to do, and nothing else is opened."""

import copy
import json
import os
import struct

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kerassl import datasets
from kerassl._errors import UserError
from kerassl.cli import main as cli
from kerassl.datasets.images.image_bytes import image_bytes
from kerassl.datasets.images.shard_index import open_index, read_index
from kerassl.datasets.record import Record

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A folder of two shards of two labeled images each, and its index."""
    folder = tmp_path_factory.mktemp("shards")
    records = []
    for number in range(4):
        path = folder / f"{number}.png"
        PIL.Image.fromarray(np.full((40, 60, 3), 50 * number, np.uint8)).save(path)
        box = np.array([[1, 1, 30, 30]], np.float32)
        records.append(Record(str(number), str(path), 40, 60, box, np.zeros(1, np.int32), np.zeros(1, bool)))
    labeled = datasets.DetectionDataset(records, ["cat"])
    datasets.write_shards(labeled, folder / "shards", per_shard=2, progress=False)
    return folder / "shards"


@pytest.fixture
def shards(packed, tmp_path):
    """A copy that a test may spoil."""
    for path in packed.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def _set(*keys):
    """A function that puts a value into the content of an index."""

    def put(content, value):
        for key in keys[:-1]:
            content = content[key]
        if value is KeyError:
            del content[keys[-1]]
        else:
            content[keys[-1]] = value

    return put


_first, _offsets = ("shards", 0), ("shards", 0, "offsets")
SPOILED = [
    (_set(*_first, "file"), value, "file is ")
    for value in ("../shard-00001.tfrecord", "/etc/passwd", "a/b", "", "shard-1.tfrecord\n", "index.json")
]
SPOILED += [(_set(*_first, "file"), value, "file is ") for value in (None, 7, [], KeyError)]
SPOILED += [(_set(*_first, "file"), "shard-00001.tfrecord", "shard-00001.tfrecord is named more than once")]
SPOILED += [(_set(*_first, "bytes"), value, "bytes is ") for value in (None, "9", -1, 1.5, True, 10**30, KeyError)]
SPOILED += [(_set(*_offsets), value, "offsets is ") for value in (None, {}, "0", KeyError)]
SPOILED += [(_set(*_offsets, 1), value, "the offset ") for value in (None, "9", -5, 0, 3, 1.0, 2**70, 10**8, True)]
SPOILED += [(_set(*_first, "broken"), value, "broken is ") for value in (None, {}, [["a"]], [[1, 2]], ["ab"])]
SPOILED += [(_set(*_first), value, "in shard 0 is ") for value in (None, [], "x", 3)]
SPOILED += [(_set("shards"), value, "shards is ") for value in (None, {}, "x", KeyError)]
SPOILED += [(_set("settings"), value, "settings is ") for value in (None, [], KeyError)]
SPOILED += [(_set("settings", "image_size"), value, "image_size is ") for value in ("x", -1, 0, 10**9, True, [])]
SPOILED += [(_set("settings", "classes"), value, "classes is ") for value in ("cat", [], [None], {}, [1])]
SPOILED += [(_set("settings", "classes"), ["a", "a"], "classes names 'a' more than once")]
SPOILED += [(_set("complete"), value, "complete is ") for value in (None, 1, "true", KeyError)]
SPOILED += [(_set("shards"), [], "names no image")]


def test_index_is_refused_in_one_line_when_a_value_cannot_be(shards):
    whole = json.loads((shards / "index.json").read_text())
    for put, value, message in SPOILED:
        content = copy.deepcopy(whole)
        put(content, value)
        (shards / "index.json").write_text(json.dumps(content))
        with pytest.raises(UserError) as error:
            open_index(shards)
        line = str(error.value)
        assert message in line, (message, value)
        assert str(shards / "index.json") in line
        assert line.endswith("write the shards again into a new folder")
        assert len(line) < 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ('{"format": "kerassl shards 1", "shar', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"a":' * 100_000, "is no JSON"),
        ("null", "is no index"),
        ("[]", "is no index"),
        ('{"format": 1}', "is no index"),
        ('{"format": "kerassl shards 9"}', "is no index"),
        ("9" * 5000, "is no JSON"),
        (b"\xff\xfe\xff", "index.json"),
    ],
)
def test_index_is_refused_in_one_line_when_it_is_no_index(shards, text, message):
    (shards / "index.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as error:
        read_index(shards)
    assert "write the shards again into a new folder" in str(error.value)


def test_shard_is_refused_when_it_is_cut_missing_or_a_pipe(shards, capsys):
    shard = shards / "shard-00001.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-7])
    assert cli.main(["inspect", str(shards)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert str(shard) in line
    assert "start write_shards (kerassl shards) again" in line
    shard.unlink()
    with pytest.raises(UserError, match=f"{shard} is not there"):
        open_index(shards)
    os.mkfifo(shard)
    with pytest.raises(UserError, match=f"{shard} is "):
        open_index(shards)
    with pytest.raises(UserError, match=f"{shard} is a named pipe and no file"):
        datasets.read_image(f"{shard}#0")


def _checksum(data):
    """TFRecord's masked CRC-32C, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("length", [2**40, 2**62, 0, 5])
def test_record_is_left_out_when_its_head_claims_another_length(shards, length, caplog):
    head = struct.pack("<Q", length)
    shard = shards / "shard-00000.tfrecord"
    with shard.open("r+b") as file:
        file.write(head + struct.pack("<I", _checksum(head)))  # TensorFlow believes it, and would end the process
    records = datasets.DetectionDataset.from_shards(shards)
    assert [record.image_id for record in records] == ["1", "2", "3"]
    assert f"{shard}#0 is damaged" in caplog.text
    with pytest.raises(UserError, match=r"shard-00000\.tfrecord#0 is damaged"):
        datasets.DetectionDataset.from_shards(shards, strict=True)


@pytest.mark.parametrize("place", [3, 9, 40, -3])
def test_record_is_left_out_when_a_bit_is_flipped(shards, place, caplog):
    shard = shards / "shard-00000.tfrecord"
    contents = bytearray(shard.read_bytes())
    end = open_index(shards).shards[0]["offsets"][1]
    contents[place if place >= 0 else end + place] ^= 4
    shard.write_bytes(contents)
    assert len(datasets.DetectionDataset.from_shards(shards)) == 3
    assert f"{shard}#0 is damaged" in caplog.text


LABELS = {
    "class of another list": {"labels": [2]},
    "class below": {"labels": [0]},
    "labels without boxes": {"labels": [1, 1]},
    "not finite": {"boxes": [0, 0, float("nan"), 5]},
    "no size": {"height": 0},
    "another's id": {"name": b"3"},
}


@pytest.mark.parametrize("wrong", LABELS)
def test_record_is_left_out_when_its_labels_cannot_be(shards, wrong, caplog):
    given = {"labels": [1], "boxes": [1, 1, 9, 9], "height": 40, "name": b"new", **LABELS[wrong]}
    whole = lambda values: tf.train.Feature(int64_list=tf.train.Int64List(value=values))  # noqa: E731
    text = lambda value: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))  # noqa: E731
    features = {
        "image/encoded": text((shards / "shard-00000.tfrecord").read_bytes()[:10]),
        "image/source_id": text(given["name"]),
        "image/height": whole([given["height"]]),
        "image/width": whole([60]),
        "image/object/bbox/pixels": tf.train.Feature(float_list=tf.train.FloatList(value=given["boxes"])),
        "image/object/class/label": whole(given["labels"]),
        "image/object/difficult": whole([0]),
    }
    record = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    with tf.io.TFRecordWriter(str(shards / "shard-00001.tfrecord")) as file:
        file.write(record)
        file.write(_example_of(shards))
    content = json.loads((shards / "index.json").read_text())
    entry = content["shards"][1]
    entry["offsets"], entry["bytes"] = [0, len(record) + 16], (shards / entry["file"]).stat().st_size
    (shards / "index.json").write_text(json.dumps(content))
    records = datasets.DetectionDataset.from_shards(shards)
    assert sorted(record.image_id for record in records) == ["0", "1", "3"]
    assert "shard-00001.tfrecord#" in caplog.text


def _example_of(shards):
    """The record of image 3, as it was packed."""
    _, last = tf.data.TFRecordDataset(str(shards / "shard-00000.tfrecord"))
    example = tf.train.Example.FromString(last.numpy())
    example.features.feature["image/source_id"].bytes_list.value[0] = b"3"
    return example.SerializeToString()


def test_place_beyond_the_index_is_refused(shards):
    for name in ("shard-00000.tfrecord#2", "shard-00007.tfrecord#0"):
        with pytest.raises(UserError, match=f"knows no {shards / name}"):
            image_bytes([str(shards / name)])
