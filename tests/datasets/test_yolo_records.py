import unicodedata

import numpy as np
import pytest

from kerassl import UserError
from kerassl.datasets import DetectionDataset, read_class_names

pytestmark = pytest.mark.current_stack  # files alone: both stacks would find out the same


class _Set:
    """Images and labels in the usual layout, which grow."""

    def __init__(self, root, save_image):
        self.root, self.save_image = root, save_image
        self.images, self.labels = root / "images" / "train", root / "labels" / "train"
        self.images.mkdir(parents=True)
        self.labels.mkdir(parents=True)
        (root / "data.yaml").write_text("train: images/train\nnames: [dog, cat, owl]\n")

    def add(self, name, text=None, height=40, width=60):
        self.save_image(self.images / f"{name}.png", height, width)
        if text is not None:
            path = self.labels / f"{name}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def refused(self, pattern, *args, **kwargs):
        with pytest.raises(UserError, match=pattern) as error:
            DetectionDataset.from_yolo(*(args or [self.images]), **kwargs)
        assert "\n" not in str(error.value)


@pytest.fixture
def traffic(tmp_path, save_image):
    return _Set(tmp_path, save_image)


def test_reads_boxes_and_polygons_in_pixels(traffic):
    lines = ["1 0.5 0.5 0.5 0.25", "", "2.0  0.1 0.2 0.9 0.4 0.3 0.75", "0 0.5 0.5 1 1 "]
    traffic.add("deep/a", "\ufeff" + "\r\n".join(lines) + "\r\n")
    traffic.add("b", "")
    empty, full = DetectionDataset.from_yolo(traffic.images, strict=True)
    assert (empty.image_id, full.image_id) == ("b.png", "deep/a.png")
    assert full.path == str(traffic.images / "deep" / "a.png")
    np.testing.assert_allclose(full.boxes, [[15, 15, 45, 25], [6, 8, 54, 30], [0, 0, 60, 40]], atol=1e-4)
    assert full.classes.tolist() == [1, 2, 0]
    assert full.difficult.tolist() == [False] * 3
    assert empty.boxes.shape == (0, 4)


def test_drops_the_confidence_when_a_detector_wrote_the_lines(traffic, caplog):
    traffic.add("a", "1 0.5 0.5 0.5 0.25 0.875\n2 0.5 0.5 0.5 0.25\n0 0.5 0.5 0.5 0.25 1\n")
    (record,) = DetectionDataset.from_yolo(traffic.images, strict=True)
    assert record.classes.tolist() == [1, 2, 0]
    np.testing.assert_allclose(record.boxes, [[15, 15, 45, 25]] * 3, atol=1e-4)
    assert [line.split()[0] for line in caplog.messages] == ["2"]


FAULTS = {
    "names the class 3, but the classes are 0 to 2": "3 0.5 0.5 0.5 0.25",
    "names the class -1": "-1 0.5 0.5 0.5 0.25",
    "names the class 0.5": "0.5 0.5 0.5 0.5 0.25",
    "holds 4 numbers; 5 are a box": "0 0.5 0.5 0.5",
    "holds 6 numbers; 5 are a box": "0 0.5 0.5 0.5 0.25 1.9",
    "does not hold numbers alone": "dog 0.5 0.5 0.5 0.25",
    "holds a number that is not finite": "0 0.5 nan 0.5 0.25",
    "inverted boxes left out": "0 0.5 0.5 -0.5 0.25",
    "boxes without an area left out": "0 0.5 0.5 0 0.25",
    "boxes outside the image left out": "0 0.5 1.5 0.5 0.25",
    "boxes clipped to the image": "0 0 0.5 0.5 0.25",
}


@pytest.mark.parametrize("words", FAULTS)
def test_counts_bad_lines_and_logs_file_and_number(traffic, caplog, words):
    for number in range(5):
        traffic.add(f"{number}", f"1 0.5 0.5 0.5 0.25\n\n{FAULTS[words]}\n2 0.5 0.5 0.5 0.25\n")
    if "boxes" not in words or "inverted" in words:
        traffic.refused(r"5 of 15 objects cannot be read.*0\.txt, line 3.*allow_broken=True")
        caplog.clear()
    for record in DetectionDataset.from_yolo(traffic.images, allow_broken=True):
        assert record.classes.tolist() == ([1, 0, 2] if "clipped" in words else [1, 2])
    (line,) = caplog.messages
    assert line.startswith("5 ")
    assert words in line
    assert "0.txt, line 3: " in line
    assert "and 2 more" in line
    traffic.refused(r"0\.txt, line 3.*strict", strict=True)


def test_takes_an_image_without_a_label_file_for_one_without_objects(traffic, caplog):
    traffic.add("a", "0 0.5 0.5 0.5 0.25")
    traffic.add("b")
    traffic.add("c")
    records = DetectionDataset.from_yolo(traffic.images, strict=True)
    assert [len(record.classes) for record in records] == [1, 0, 0]
    assert caplog.messages == ["2 images without a label file taken as without objects, first b.png"]
    (traffic.labels / "a.txt").unlink()
    traffic.refused("none of 3 images .* label file, first .*a.txt; give .*labels_dir")


def test_leaves_out_broken_images_and_survives_labels_of_another_kind(traffic, caplog):
    traffic.add("a", "0 0.5 0.5 0.5 0.25")
    traffic.add("b", "0 0.5 0.5 0.5 0.25")
    traffic.add("c", bytes(range(256)))
    (traffic.images / "a.png").write_bytes(b"nothing")
    assert [record.image_id for record in DetectionDataset.from_yolo(traffic.images, allow_broken=True)] == [
        "b.png",
        "c.png",
    ]
    assert "a.png is no image that can be read; its image is left out" in caplog.text
    assert "c.txt, line 1" in caplog.text
    (traffic.labels / "b.txt").write_text("0 " * 5_000_001)
    assert [record.image_id for record in DetectionDataset.from_yolo(traffic.images, allow_broken=True)] == ["c.png"]
    assert "b.txt has 10 MB" in caplog.text


@pytest.mark.parametrize("orientation", [3, 6])  # of the first four and of the others; VOC's test has each
def test_takes_shares_of_the_image_that_is_seen(traffic, save_turned, white_box, orientation):
    path = traffic.images / "a.jpg"
    save_turned(path, orientation, (16, 8, 40, 24))
    x0, y0, x1, y1 = seen = white_box(path)
    height, width = (40, 60) if orientation < 5 else (60, 40)
    center = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height
    values = (*center, (x1 - x0) / width, (y1 - y0) / height)
    (traffic.labels / "a.txt").write_text("1 " + " ".join(f"{value:.6f}" for value in values))
    (record,) = DetectionDataset.from_yolo(traffic.images, strict=True)
    assert (record.height, record.width) == (height, width)
    np.testing.assert_allclose(record.boxes, [seen], atol=1e-3)


def test_finds_labels_beside_the_images_where_no_folder_is_called_images(tmp_path, save_image):
    save_image(tmp_path / "all" / "a.jpg")
    (tmp_path / "all" / "a.txt").write_text("0 0.5 0.5 0.5 0.25")
    (tmp_path / "all" / "classes.txt").write_text("dog\n\n cat \n")
    for labels_dir in (None, tmp_path / "all"):
        (record,) = DetectionDataset.from_yolo(tmp_path / "all", labels_dir)
        assert record.classes.tolist() == [0]
    assert read_class_names(tmp_path / "all") == ["dog", "cat"]


def test_reads_the_names_of_classes_from_lists_and_files(tmp_path):
    texts = {
        "a.yaml": "names: [dog, 'no', 3]",
        "b.yml": "names:\n  1: 'no'\n  0: dog\n  2: 3\n",
        "c.txt": "\ufeffdog\nno\n3\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_class_names(tmp_path / name) == read_class_names(str(tmp_path / name)) == ["dog", "no", "3"]
    assert read_class_names(("dog", "cat")) == ["dog", "cat"]


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("a.yaml", b"names: [dog", "no YAML"),
        ("a.yaml", b"names: !!python/object/apply:os.getcwd []", "no YAML"),
        ("a.yaml", b"other: 1", "no list of names"),
        ("a.yaml", b"names: {0: dog, 2: cat}", "without a gap"),
        ("a.yaml", b"names: []", "names no class"),
        ("a.txt", b"\n", "names no class"),
        ("a.txt", b"dog\ndog\n", "more than once"),
        ("a.txt", b"\xff\n", "no UTF-8"),
        ("b.txt", None, "cannot be read"),
    ],
)
def test_refuses_files_without_names_of_classes(tmp_path, name, contents, words):
    if contents is not None:
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(UserError, match=words) as error:
        read_class_names(tmp_path / name)
    assert "\n" not in str(error.value)


def test_refuses_missing_folders_and_names(traffic, tmp_path):
    traffic.add("a", "0 0.5 0.5 0.5 0.25")
    traffic.refused("no folder .*nowhere", tmp_path / "nowhere")
    traffic.refused("no folder .*nowhere.*labels_dir", traffic.images, tmp_path / "nowhere")
    traffic.refused("holds no data.yaml", class_names=traffic.labels)
    (traffic.root / "data.yaml").unlink()
    traffic.refused("no data.yaml or classes.txt in .*give class_names=")
    assert len(DetectionDataset.from_yolo(traffic.images, class_names=["dog"])) == 1


def test_the_folder_above_images_and_labels_is_read(traffic):
    traffic.add("deep/a", "1 0.5 0.5 0.5 0.25")
    (record,) = DetectionDataset.from_yolo(traffic.root, strict=True)
    assert (record.image_id, record.classes.tolist()) == ("images/train/deep/a.png", [1])


def test_labels_beside_the_images_are_found_below_a_folder_called_images(tmp_path, save_image):
    folder = tmp_path / "images" / "all"
    save_image(folder / "a.jpg")
    (folder / "a.txt").write_text("0 0.5 0.5 0.5 0.25")
    (record,) = DetectionDataset.from_yolo(folder, class_names=["dog"])
    assert len(record.boxes) == 1


def test_named_classes_choose_among_the_numbered_ones(traffic, caplog):
    traffic.add("a", "0 0.5 0.5 0.5 0.25\n1 0.5 0.5 0.5 0.25\n1 0.2 0.2 0.1 0.1\n2 0.5 0.5 0.5 0.25\n")
    (record,) = DetectionDataset.from_yolo(traffic.images, class_names=["owl", "dog"], strict=True)
    assert record.classes.tolist() == [1, 0]
    assert caplog.messages == [f"{traffic.labels}: 2 objects of 1 classes that were not asked for left out: cat 2"]
    traffic.refused("data.yaml has no class 'owls'; did you mean 'owl'", class_names=["owls"])
    # A file of names numbers them.
    (traffic.root / "other.txt").write_text("bus\ncar\nvan\n")
    (record,) = DetectionDataset.from_yolo(traffic.images, class_names=traffic.root / "other.txt")
    assert record.classes.tolist() == [0, 1, 1, 2]


def test_a_missing_file_of_names_is_no_class(traffic):
    traffic.add("a", "0 0.5 0.5 0.5 0.25\n1 0.5 0.5 0.5 0.25\n")
    traffic.refused("config.yaml cannot be read", class_names=["config.yaml"])
    (traffic.root / "data.yaml").unlink()
    traffic.refused("1 of 2 objects cannot be read.*names the class 1, but the classes are 0 to 0", class_names=["dog"])


def test_names_are_the_same_in_every_form_of_unicode(traffic):
    composed, apart = "chó", unicodedata.normalize("NFD", "chó")
    (traffic.root / "data.yaml").write_text(f"names: [{apart}]\n", encoding="utf-8")
    traffic.add(apart, "0 0.5 0.5 0.5 0.25")
    (traffic.labels / f"{apart}.txt").rename(traffic.labels / f"{composed}.txt")
    (record,) = DetectionDataset.from_yolo(traffic.images, class_names=[composed], strict=True)
    assert (record.image_id, len(record.boxes)) == (f"{composed}.png", 1)
