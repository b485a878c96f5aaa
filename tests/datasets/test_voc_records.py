import logging
import shutil
import unicodedata
import xml.etree.ElementTree

import numpy as np
import pytest

from kerassl import UserError
from kerassl.datasets import VOC_CLASSES, DetectionDataset, Record, image_folder

pytestmark = pytest.mark.current_stack  # files alone: both stacks would find out the same


def _refused(pattern, *args, **kwargs):
    with pytest.raises(UserError, match=pattern) as error:
        DetectionDataset.from_voc(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_reads_boxes_in_continuous_pixels_when_all_is_well(devkit, thing):
    hard = thing("person", (1, 1, 60, 40), "<difficult>1</difficult>")
    devkit.add("000007", thing("dog", (11, 6, 30, 25)) + hard)
    (record,) = DetectionDataset.from_voc(devkit.root)
    assert record.image_id == "000007"
    assert record.path == str(devkit.folder / "JPEGImages" / "000007.jpg")
    assert (record.height, record.width) == (40, 60)
    np.testing.assert_array_equal(record.boxes, [[10, 5, 30, 25], [0, 0, 60, 40]])
    assert [VOC_CLASSES[label] for label in record.classes] == ["dog", "person"]
    np.testing.assert_array_equal(record.difficult, [False, True])
    assert record.mask_path is None
    assert (record.boxes.dtype, record.classes.dtype, record.difficult.dtype) == (np.float32, np.int32, np.bool_)


def test_has_the_official_names_in_the_official_order():
    assert len(set(VOC_CLASSES)) == 20
    assert list(VOC_CLASSES) == sorted(VOC_CLASSES)


def test_ignores_parts_and_takes_fractions_when_an_annotation_has_them(devkit, thing):
    part = "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
    devkit.add("a", thing("person", (10.5, 5.25, 30.75, 20), part + "<actions><jumping>1</jumping></actions>"))
    (record,) = DetectionDataset.from_voc(devkit.root)
    np.testing.assert_allclose(record.boxes, [[9.5, 4.25, 30.75, 20]])


def test_has_no_boxes_when_an_image_is_empty(devkit):
    devkit.add("a", "")
    (record,) = DetectionDataset.from_voc(devkit.root)
    assert record.boxes.shape == (0, 4)
    assert record.classes.shape == (0,)
    assert record.largest() is None


def test_largest_leaves_out_difficult_boxes_and_takes_the_first_of_equals():
    boxes = np.array([[0, 0, 9, 9], [0, 0, 4, 4], [4, 4, 8, 8]], np.float32)
    difficult = np.array([True, False, False])
    assert Record("a", "a.jpg", 9, 9, boxes, np.zeros(3, np.int32), difficult).largest() == 1
    assert Record("a", "a.jpg", 9, 9, boxes, np.zeros(3, np.int32), np.ones(3, bool)).largest() is None


def test_reads_masks_and_lists_of_one_class_when_they_are_there(devkit, save_image):
    for image_id in "abc":
        devkit.add(image_id)
    mask = save_image(devkit.folder / "SegmentationObject" / "b.png")
    (devkit.folder / "ImageSets" / "Main" / "dog_train.txt").write_text("a  1\nb  0\nc -1\n")
    records = DetectionDataset.from_voc(devkit.root, split="dog_train")
    assert [record.image_id for record in records] == ["a", "b"]
    assert [record.mask_path for record in records] == [None, str(mask)]


def test_reads_a_plain_folder_when_year_and_split_are_none(devkit, save_image):
    devkit.add("a")
    devkit.add("b")
    shutil.rmtree(devkit.folder / "ImageSets")
    (devkit.folder / "JPEGImages" / "b.jpg").unlink()
    save_image(devkit.folder / "JPEGImages" / "b.PNG")
    records = DetectionDataset.from_voc(devkit.folder, None, None)
    assert [record.image_id for record in records] == ["a", "b"]
    assert records[1].path.endswith("b.PNG")


def test_trusts_the_image_when_its_annotation_has_another_size(devkit, thing, caplog):
    devkit.add("a", thing(box=(1, 1, 60, 40)), stated_size=(40, 60))
    (record,) = DetectionDataset.from_voc(devkit.root)
    assert (record.height, record.width) == (40, 60)
    np.testing.assert_array_equal(record.boxes, [[0, 0, 60, 40]])
    assert "a.xml says 40x60, the image 60x40" in caplog.text


@pytest.mark.parametrize(
    ("box", "kept", "words"),
    [
        ((20, 5, 20, 25), None, "without an area"),
        ((30, 5, 20, 25), None, "inverted boxes"),
        ((70, 5, 90, 25), None, "outside the image"),
        ((0, -3, 70, 25), (0, 0, 60, 25), "clipped"),
    ],
)
def test_fixes_and_counts_when_boxes_are_wrong(devkit, thing, caplog, box, kept, words):
    for number in range(5):
        devkit.add(f"image{number}", thing(box=box) + thing("cat", (2, 2, 9, 9)))
    with caplog.at_level(logging.WARNING, "kerassl"):
        records = DetectionDataset.from_voc(devkit.root, allow_broken=True)
    expected = [[1, 1, 9, 9]] if kept is None else [kept, [1, 1, 9, 9]]
    for record in records:
        np.testing.assert_array_equal(record.boxes, expected)
        assert len(record.classes) == len(record.difficult) == len(expected)
    (line,) = caplog.messages  # one for all five
    assert line.startswith("5 ")
    assert words in line
    assert "image0.xml" in line
    assert "image4.xml" not in line
    assert "and 2 more" in line
    _refused("image0.xml.*strict", devkit.root, strict=True)
    if "inverted" in words:
        _refused("5 of 10 objects cannot be read, more than a tenth; .*image0.xml", devkit.root)


def test_labels_are_refused_when_no_box_has_an_area(devkit, thing, caplog):
    for number in range(5):
        devkit.add(f"image{number}", thing(box=(20, 5, 20, 25)))
    _refused("none of 5 boxes has an area; the first: .*image0.xml", devkit.root)
    assert not caplog.messages
    assert sum(len(record.boxes) for record in DetectionDataset.from_voc(devkit.root, allow_broken=True)) == 0
    devkit.add("image5")
    assert sum(len(record.boxes) for record in DetectionDataset.from_voc(devkit.root)) == 1


def test_leaves_out_images_that_cannot_be_opened(devkit, caplog):
    devkit.add("a")
    devkit.add("b")
    (devkit.folder / "JPEGImages" / "a.jpg").write_bytes(b"nothing")
    assert [record.image_id for record in DetectionDataset.from_voc(devkit.root, allow_broken=True)] == ["b"]
    assert "a.jpg is no image" in caplog.text
    _refused("1 of 2 images cannot be read, more than a tenth; .*a.jpg is no image", devkit.root)
    _refused("a.jpg is no image", devkit.root, strict=True)
    (devkit.folder / "JPEGImages" / "b.jpg").write_bytes(b"")
    _refused("none of the 2 images", devkit.root)


def test_refuses_a_missing_folder_year_or_split_and_names_those_there_are(devkit, tmp_path):
    devkit.add("a", split="train")
    devkit.add("b", split="val")
    (devkit.folder / "ImageSets" / "Main" / "dog_val.txt").write_text("a 1\n")
    _refused("no folder .*nowhere", tmp_path / "nowhere")
    assert "2007" in _refused("no VOC2012", devkit.root, 2012)
    _refused("no VOC2012, but images itself; leave the year out", devkit.folder, 2012)
    (tmp_path / "empty").mkdir()
    _refused("nor any other year", tmp_path / "empty")
    message = _refused("no split 'test'", devkit.root, split="test")
    assert "train, val" in message
    assert "dog" not in message
    shutil.rmtree(devkit.folder / "Annotations")
    _refused("no folder Annotations", devkit.root)


def test_refuses_a_split_without_a_line(devkit):
    devkit.add("a")
    (devkit.folder / "ImageSets" / "Main" / "train.txt").write_text("\n")
    _refused("split 'train' is empty", devkit.root)


def test_class_names_choose_among_those_of_the_annotations(devkit, thing, caplog):
    devkit.add("a", thing("helicopter") + thing("dog"))
    _refused("VOC2007 has no class 'cat'; it has 2: dog, helicopter", devkit.root, class_names=["cat"])
    (record,) = DetectionDataset.from_voc(devkit.root, class_names=["dog", "helicopter"])
    assert record.classes.tolist() == [1, 0]
    caplog.clear()
    (record,) = DetectionDataset.from_voc(devkit.root, class_names=["cat", "helicopter"])
    assert record.classes.tolist() == [1]
    unseen, left_out = caplog.messages
    assert unseen.endswith("no object has the class cat; there are also dog")
    assert left_out.endswith("1 objects of 1 classes that were not asked for left out: dog 1")
    _refused("more than once", devkit.root, class_names=["dog", "dog"])


@pytest.mark.parametrize(
    ("folder", "suffix", "what"), [("JPEGImages", ".jpg", "image"), ("Annotations", ".xml", "annotation")]
)
def test_refuses_an_image_or_annotation_without_the_other(devkit, folder, suffix, what):
    for image_id in "abc":
        devkit.add(image_id)
    for image_id in "bc":
        (devkit.folder / folder / f"{image_id}{suffix}").unlink()
    _refused(rf"{folder} has no {what} for 2 of 3 .* b{suffix}", devkit.root)


def test_all_images_that_are_labeled_are_read_when_no_split_is_chosen(devkit, caplog):
    for image_id in "abc":
        devkit.add(image_id)
    (devkit.folder / "Annotations" / "b.xml").unlink()
    assert [record.image_id for record in DetectionDataset.from_voc(devkit.root, split=None)] == ["a", "c"]
    assert "1 images without an annotation left out, first " in caplog.text
    (devkit.folder / "JPEGImages" / "c.jpg").unlink()
    _refused("1 of 2 annotation files cannot be read.*c.xml has no image of its name in", devkit.root, split=None)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("<annotation><object>", "no whole XML"),
        ("", "no whole XML"),
        ("<html></html>", "holds <html>"),
        ("<annotation><object><name>dog</name></object></annotation>", "without a <bndbox> .'dog'"),
        (
            "<annotation><object><name>dog</name><bndbox><xmin>nan</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax>"
            "</bndbox></object></annotation>",
            "whose box is",
        ),
        ('<!DOCTYPE a [<!ENTITY b "dog">]><annotation><object><name>&b;</name></object></annotation>', "entities"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><annotation>&b;</annotation>', "entities"),
    ],
)
def test_refuses_what_is_no_annotation(devkit, text, pattern):
    devkit.add("a")
    devkit.annotate("a", text)
    assert "a.xml" in _refused(pattern, devkit.root)


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE annotation SYSTEM 'voc.dtd'><annotation/>", "<annotation>\xff</annotation>"]
)
def test_refuses_document_types_and_what_is_no_utf8(devkit, text):
    devkit.add("a")
    (devkit.folder / "Annotations" / "a.xml").write_bytes(text.encode("latin-1"))
    assert "a.xml" in _refused("document type|is no UTF-8", devkit.root)


def test_reads_deep_and_long_xml_and_refuses_what_is_too_long(devkit, thing):
    devkit.add("a", "<x>" * 100_000 + "</x>" * 100_000 + thing())
    devkit.add("b", thing() * 2000)
    devkit.add("c")
    devkit.annotate("c", "<annotation>" + " " * 10_000_000 + "</annotation>")
    assert [len(record.classes) for record in DetectionDataset.from_voc(devkit.root, allow_broken=True)] == [1, 2000]
    _refused("c.xml has 10 MB", devkit.root, strict=True)


def test_leaves_out_and_names_each_annotation_that_cannot_be_read(devkit, caplog):
    for number in range(6):
        devkit.add(f"image{number}")
        if number:
            devkit.annotate(f"image{number}", "<annotation><object>")
    _refused("5 of 6 annotation files cannot be read.*image1.xml is no whole XML.*allow_broken=True", devkit.root)
    caplog.clear()
    assert [record.image_id for record in DetectionDataset.from_voc(devkit.root, allow_broken=True)] == ["image0"]
    logged = [message for message in caplog.messages if "is no whole XML file" in message]
    assert len(logged) == 5
    for number, message in enumerate(logged, start=1):
        assert f"broken file {number}: " in message
        assert f"image{number}.xml" in message
    _refused("image1.xml is no whole XML", devkit.root, strict=True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_boxes_along_when_the_xml_has_the_stored_size(devkit, save_turned, white_box, thing, orientation):
    stored = (16, 8, 40, 24)  # 40 high and 60 wide, and on whole blocks of the JPEG
    path = devkit.folder / "JPEGImages" / "a.jpg"
    devkit.add("a", thing(box=(stored[0] + 1, stored[1] + 1, *stored[2:])), stated_size=(60, 40))
    save_turned(path, orientation, stored)
    (record,) = DetectionDataset.from_voc(devkit.root, strict=True)
    seen = white_box(path)
    assert (record.height, record.width) == ((40, 60) if orientation < 5 else (60, 40))
    # Mirrored and turned upside down, both sizes are alike: boxes are those that people see.
    np.testing.assert_array_equal(record.boxes, [stored if orientation < 5 else seen])


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("has_size", [True, False])
def test_leaves_boxes_as_they_are_when_the_xml_has_the_displayed_size(
    devkit, save_turned, white_box, thing, orientation, has_size
):
    path = devkit.folder / "JPEGImages" / "a.jpg"
    save_turned(path, orientation, (16, 8, 40, 24))
    seen = white_box(path)
    size = "<size><width>40</width><height>60</height></size>" if orientation >= 5 else ""
    box = thing(box=(seen[0] + 1, seen[1] + 1, *seen[2:]))
    devkit.add("a", split="val")
    save_turned(path, orientation, (16, 8, 40, 24))
    devkit.annotate("a", f"<annotation>{size if has_size else ''}{box}</annotation>")
    (record,) = DetectionDataset.from_voc(devkit.root, split="val", strict=True)
    np.testing.assert_array_equal(record.boxes, [seen])


def test_has_no_mask_when_the_image_is_turned(devkit, save_turned, save_image):
    devkit.add("a")
    save_image(devkit.folder / "SegmentationObject" / "a.png")
    assert DetectionDataset.from_voc(devkit.root)[0].mask_path is not None
    save_turned(devkit.folder / "JPEGImages" / "a.jpg", 6, (16, 8, 40, 24))
    assert DetectionDataset.from_voc(devkit.root)[0].mask_path is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("1", "1.0", "true", "Yes", " 1 "), True),
        (("0", "0.0", "false", "No", "Unspecified", "", "none"), False),
    ],
)
def test_difficult_is_read_for_what_its_word_means(devkit, thing, words, expected):
    devkit.add("a", "".join(thing(extra=f"<difficult>{word}</difficult><truncated>?</truncated>") for word in words))
    assert DetectionDataset.from_voc(devkit.root, strict=True)[0].difficult.tolist() == [expected] * len(words)


@pytest.mark.parametrize("word", ["maybe", "nan", "2", "-"])
def test_difficult_is_named_and_taken_for_no_when_it_means_nothing(devkit, thing, caplog, word):
    devkit.add("a", thing(extra=f"<difficult>{word}</difficult>"))
    assert DetectionDataset.from_voc(devkit.root)[0].difficult.tolist() == [False]
    (line,) = caplog.messages
    assert line.startswith("1 objects taken as not difficult")
    assert f"a.xml, dog (11, 6, 30, 25): '{word}'" in line
    _refused(f"a.xml.*'{word}'.*strict", devkit.root, strict=True)


@pytest.mark.parametrize("there", ["robndbox", "polygon"])
def test_an_object_without_a_bndbox_is_named_with_what_it_has(devkit, there):
    devkit.add("a", f"<object><name>dog</name><{there}><cx>2</cx></{there}></object>")
    _refused(rf"a.xml has an object with a <{there}>, which is not read, without a <bndbox> \('dog'\)", devkit.root)


def test_names_are_the_same_in_every_form_of_unicode(devkit, thing):
    composed, apart = "chó", unicodedata.normalize("NFD", "chó")
    devkit.add(apart, thing(apart))
    (devkit.folder / "Annotations" / f"{apart}.xml").rename(devkit.folder / "Annotations" / f"{composed}.xml")
    for listed in (composed, apart):
        (devkit.folder / "ImageSets" / "Main" / "train.txt").write_text(f"{listed}\n", encoding="utf-8")
        for classes in ([composed], [apart]):
            for split in ("train", None):
                (record,) = DetectionDataset.from_voc(devkit.root, split=split, class_names=classes, strict=True)
                assert (record.image_id, record.classes.tolist()) == (composed, [0])


def test_files_stay_apart_when_only_their_form_in_unicode_differs(devkit):
    for name in (unicodedata.normalize("NFD", "é"), "é"):
        devkit.add(name)
    assert len({record.path for record in DetectionDataset.from_voc(devkit.root)}) == 2
    assert len({record.path for record in DetectionDataset.from_voc(devkit.root, split=None)}) == 2


def test_what_programs_leave_in_folders_is_skipped(devkit, caplog):
    devkit.add("a")
    for name in ("JPEGImages/._a.jpg", "Annotations/._a.xml", "Annotations/._b.xml", "JPEGImages/Thumbs.db"):
        (devkit.folder / name).write_bytes(b"\0\5\x16\7")
    (devkit.folder / "ImageSets" / "Main" / "._train.txt").write_bytes(b"\0\5\x16\7")
    (devkit.root / "__MACOSX" / "VOC2007" / "Annotations").mkdir(parents=True)
    assert [record.image_id for record in DetectionDataset.from_voc(devkit.root, split=None, strict=True)] == ["a"]
    assert not caplog.messages
    _refused("no split 'test'; it has train$", devkit.root, split="test")


def test_a_list_is_read_when_its_names_hold_spaces_or_are_those_of_files(devkit):
    for name in ("my photo 1", "b", "c.d", "e"):
        devkit.add(name)
    assert [record.image_id for record in DetectionDataset.from_voc(devkit.root)] == ["b", "c.d", "e", "my photo 1"]
    (devkit.folder / "ImageSets" / "Main" / "train.txt").write_text(
        "b.jpg\nJPEGImages/c.d.JPG\nC:\\x\\my photo 1.png\n"
    )
    assert [record.image_id for record in DetectionDataset.from_voc(devkit.root)] == ["b", "c.d", "my photo 1"]


def test_a_year_is_needed_only_when_there_are_several(devkit, tmp_path):
    devkit.add("a")
    for root, year in ((devkit.root, None), (devkit.folder, None), (devkit.folder, 2007), (devkit.root, 2007)):
        assert [record.image_id for record in DetectionDataset.from_voc(root, year)] == ["a"]
    shutil.copytree(devkit.folder, tmp_path / "mine")
    assert len(DetectionDataset.from_voc(tmp_path / "mine")) == 1
    _refused("mine holds no VOC2012, but images itself; leave the year out", tmp_path / "mine", 2012)
    shutil.copytree(devkit.folder, devkit.root / "VOC2012")
    _refused("VOCdevkit holds the years 2007, 2012; give one of them", devkit.root)


def test_a_tenth_of_broken_annotations_is_left_out_and_more_is_refused(devkit):
    for number in range(20):
        devkit.add(f"{number:02d}")
    for broken, name in enumerate(("00", "01", "02"), start=1):
        devkit.annotate(name, "<annotation>")
        if broken <= 2:
            assert len(DetectionDataset.from_voc(devkit.root)) == 20 - broken
    message = _refused("3 of 20 annotation files cannot be read, more than a tenth; the first: .*00.xml", devkit.root)
    assert message.endswith("fix them, or leave them out with allow_broken=True")
    assert len(DetectionDataset.from_voc(devkit.root, allow_broken=True)) == 17


@pytest.mark.realdata
def test_reads_real_voc_as_another_parser_does(real_data):
    root = real_data / "VOCdevkit"
    records = {
        record.image_id: record for split in ("train", "val") for record in DetectionDataset.from_voc(root, 2007, split)
    }
    assert len(records) == 2000
    assert sum(len(record.classes) for record in records.values()) == 6320
    assert sum(record.difficult.sum() for record in records.values()) == 1238
    for path in sorted((root / "VOC2007" / "Annotations").glob("*.xml"))[::40]:
        tree = xml.etree.ElementTree.parse(path).getroot()
        corners = [
            [int(thing.find("bndbox/" + tag).text) for tag in ("xmin", "ymin", "xmax", "ymax")]
            for thing in tree.iter("object")
        ]
        np.testing.assert_array_equal(records[path.stem].boxes + [1, 1, 0, 0], corners)


@pytest.mark.realdata
def test_names_the_truncated_jpeg_among_other_peoples_images(real_data, caplog):
    folders = [real_data / "foreign_voc" / name for name in ("bccd", "kangaroo", "raccoon")]
    read = sum(len(images) for images in image_folder(folders, 32, 4, shuffle=False))
    logged = [message for message in caplog.messages if message.startswith("broken image")]
    assert read == 36
    assert len(logged) == 1
    assert "truncated" in logged[0]
