import keras
import pytest

from kerassl import datasets, detectors, metrics, optimizers


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "epochs"), [("RetinaNet", 80), ("YOLOV8", 80)])
def test_detector_learns_a_few_scenes_by_heart(kind, epochs, tiny_backbone, tmp_path):
    root = datasets.write_scenes(tmp_path / "scenes", train=6, val=0, image_size=(64, 80), single_object=True)
    records = datasets.DetectionDataset.from_voc(root, 2007, "train", class_names=datasets.SCENE_CLASSES)
    keras.utils.set_random_seed(0)
    model = getattr(detectors, kind)(tiny_backbone(32), datasets.SCENE_CLASSES, image_size=64)
    model.compile("adamw", optimizers.WarmupCosine(2e-3, epochs, 4))
    model.fit(datasets.detection_batches(records, 64, 6, shuffle=True).repeat(epochs), verbose=0)
    found = detectors.predict(model, records, verbose=0)
    assert metrics.voc_ap(found, records, datasets.SCENE_CLASSES, protocol="voc10").ap >= 0.9
