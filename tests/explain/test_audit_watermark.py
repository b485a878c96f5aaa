"""A watermark that gives a class away is caught, not seen where there is none, and gone once it is painted over."""

import keras
import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from kerassl import backbones, datasets, explain
from kerassl.boxes import box_iou
from kerassl.datasets.scenes.drawing import draw_scene

pytestmark = [pytest.mark.current_stack, pytest.mark.slow]

CLASSES = ["car", "face", "tree"]
MARKED = "face"
SIZE = (64, 80)  # px
TRUTH = np.array([[2 / 80, 50 / 64, 34 / 80, 62 / 64]])  # of the mark, with its pixel of jitter to each side


def _mark(image, rng):
    """A caption at the lower left, a pixel to and fro."""
    image = PIL.Image.fromarray(image)
    x, y = 3 + rng.integers(-1, 2), 51 + rng.integers(-1, 2)
    pen = PIL.ImageDraw.Draw(image)
    pen.rectangle([x, y, x + 29, y + 9], fill=(20, 20, 20))
    pen.text((x + 2, y - 1), "(c)ABC", fill=(255, 240, 120), font=PIL.ImageFont.load_default(9))
    return np.asarray(image)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """`records["clean" or "marked"]`: 180 scenes of one object, 60 of each class, the last 20 of each for the audit."""
    folder = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(0)
    found = {"clean": [], "marked": []}
    left = dict.fromkeys(CLASSES, 60)
    while any(left.values()):
        scene = draw_scene(rng, SIZE, single_object=True)
        (name,) = scene.names
        if not left.get(name) or scene.difficult.any():
            continue
        left[name] -= 1
        for kind, some in found.items():
            image = _mark(scene.image, rng) if kind == "marked" and name == MARKED else scene.image
            path = folder / f"{kind}_{name}_{left[name]:02d}.png"
            PIL.Image.fromarray(image).save(path)
            box = scene.boxes.astype(np.float32) - [1, 1, 0, 0]
            label = np.array([CLASSES.index(name)], np.int32)
            some.append(datasets.Record(path.stem, str(path), *SIZE, box.astype(np.float32), label, np.zeros(1, bool)))
    return found


def _split(records):
    held = [record for record in records if int(record.image_id[-2:]) < 20]
    return [record for record in records if int(record.image_id[-2:]) >= 20], held


def _trained(backbone, records, erase=None):
    """A classifier on P4, of images of one size, whose evidence is the mean over its locations."""
    keras.utils.set_random_seed(0)
    locations = backbone.get_layer(backbones.pyramid(backbone)["P4"]).output
    logits = keras.layers.Dense(len(CLASSES))(keras.layers.GlobalAveragePooling2D()(locations))
    model = keras.Model(backbone.input, logits, name="classifier")
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = datasets.single_object_batches(records, 64, 20, shuffle=True, erase=erase)
    batches = batches.map(lambda images, labels: (images, labels["class"])).cache().repeat()
    model.fit(batches, steps_per_epoch=6, epochs=25, verbose=0)
    return model


def _audited(model, records):
    return explain.audit_model(model, records, classes=CLASSES, image_size=64)


def test_watermark_is_caught_when_a_classifier_learned_it_and_passes_once_it_was_painted_over(records, tiny_backbone):
    train, held = _split(records["marked"])
    found = _audited(_trained(tiny_backbone(16), train), held)
    (finding,) = found.findings
    assert finding["class"] == MARKED
    assert box_iou(np.array([finding["region"]]), TRUTH)[0, 0] >= 0.6
    assert finding["share"] >= 0.75
    assert {image.split("_")[1] for image in finding["images"]} == {MARKED}
    assert finding["p_value"] <= 0.01
    assert finding["fall"] > 0.5
    assert {row["image"] for row in found.rows if row["mark"]} == set(finding["images"])

    # The mark is still in the images of the audit, but means little to a model that never saw it.
    repaired = _audited(_trained(tiny_backbone(16), train, found.regions()), held)
    assert repaired.findings == []
    (unused,) = repaired.unused
    assert unused["class"] == MARKED
    assert unused["fall"] < finding["fall"] / 2


def test_audit_is_silent_when_there_is_no_watermark(records, tiny_backbone):
    train, held = _split(records["clean"])
    model = _trained(tiny_backbone(16), train)
    clean = _audited(model, held)
    assert clean.findings == []
    assert clean.unused == []
    # Not for want of learning: it knows its own images. Of others 120 images teach so small a network next to nothing.
    assert _audited(model, train).figures()["right"] >= 0.95
