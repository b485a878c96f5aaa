"""Train a RetinaNet with VOC labels on a pre-trained backbone, and evaluate it.

    python examples/finetune_detector.py VOCdevkit --backbone backbone.keras --fraction 0.1 --out detector.keras

Without a devkit it uses toy scenes, without a backbone random weights.
"""

import argparse
import os
import tempfile

import kerassl


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("voc", nargs="?", help="folder that contains VOC2007 (default: toy scenes)")
    parser.add_argument("--backbone", help="a backbone.keras (default: random weights)")
    parser.add_argument("--network", default="EfficientNetB1", help="network to initialize at random")
    parser.add_argument("--classes", nargs="+", default=kerassl.datasets.VOC_CLASSES, help="default: the 20 of VOC")
    parser.add_argument("--fraction", type=float, help="share of the training labels, such as 0.1")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", default="detector.keras")
    options = parser.parse_args()
    if os.path.lexists(options.out):
        parser.error(f"{options.out} already exists; choose another --out")

    root, classes = options.voc, options.classes  # names, or a file of them
    if root is None:
        root, classes = f"{tempfile.mkdtemp()}/scenes", kerassl.datasets.SCENE_CLASSES
        kerassl.datasets.write_scenes(root, train=128, val=32)

    read = kerassl.datasets.DetectionDataset.from_voc
    train = read(root, split="train", class_names=classes).subset(fraction=options.fraction)
    test = read(root, split="val", class_names=classes)

    build, load = kerassl.backbones.build, kerassl.backbones.load
    backbone = load(options.backbone) if options.backbone else build(options.network)
    detector = kerassl.detectors.RetinaNet(backbone, train.class_names, image_size=options.image_size)
    detector.compile("adamw", learning_rate=1e-3)
    batches = train.batches(options.image_size, batch_size=8, flip=True)
    detector.fit(batches, epochs=options.epochs)
    detector.save(options.out)

    found = kerassl.detectors.predict(detector, test)
    report = kerassl.metrics.evaluate_detections(found, test, test.class_names)
    print(f"AP50 by the rules of VOC 2010 on {len(test)} images: {report.voc10_ap50:.3f}")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
