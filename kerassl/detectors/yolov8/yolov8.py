"""YOLOV8 over a kerassl backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.datasets.class_names import check_class_names
from kerassl.detectors.detector import Detector, SummedLoss, over_replicas
from kerassl.detectors.label_weights import counted, location_weights, mask_ignored
from kerassl.detectors.yolov8 import distances, task_aligned
from kerassl.detectors.yolov8 import layers as yolo_layers
from kerassl.resizing import check_image_size

# Weights of the parts of the loss, as YOLOV8 has them.
_OVERLAP, _DISTRIBUTION, _CLASS = 7.5, 1.5, 0.5


@keras.saving.register_keras_serializable(package="kerassl")
class YOLOV8(Detector):
    """YOLOV8 as one flat functional model, with the layers of KerasCV's.

    It differs from `keras_cv.models.YOLOV8Detector` in what was needed to train, save, explain and serve it:

    - The backbone's layers are the model's own layers (so that Grad-CAM sees them), and `.keras` files reload exactly.
    - P3 to P5 are brought to `num_filters` channels and multiples of it first, whatever the backbone has.
    - Replicas share the neck's batch normalization, and the loss is divided by the target scores of the global batch,
      so that the replicas' losses add up to that of one replica with the whole batch.
    - Distances are also learned by distribution focal loss, which KerasCV leaves out; class losses are summed over the
      classes, not averaged; and the aspect ratios' term of the CIoU is the paper's (KerasCV squares its factor).
    - A box beside its object is not a match (KerasCV raises negative overlaps to an even power), and an object smaller
      than a location of the feature map is assigned the nearest one.
    - Heads begin with few and small objects, and `predict` keeps detections from a score of 0.01, not 0.2.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255], as `backbones.build` or `backbones.load` returns
            it. It becomes a part of the detector and is trained in place; for the neck and the heads alone set
            `backbone.trainable = False` before.
        class_names: sequence of str, as `datasets.VOC_CLASSES`.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32. A box reaches at most 480
            pixels from the center of its location.
        num_filters: int, a multiple of 2: the neck's channels at P3; P4 has twice and P5 four times as many. 64 and 128
            are those of YOLOV8's sizes n and s.
        depth: int, pairs of convolutions in each block of the neck; YOLOV8's sizes n and s have 1.
        **kwargs: those of `keras.Model`.

    Call arguments:
        images: `[B, S, S, 3]` float32 in [0, 255].

    Returns:
        Dict `{"box": logits [B, A, 64] of 16 bins for each side, "classification": logits [B, A, C]}`.

    Raises:
        UserError: if the image size is not a multiple of 32, the backbone lacks a pyramid level, an argument is out of
            range, or the class names are empty, not strings or repeated.

    Example:
        >>> backbone = kerassl.backbones.load("backbone.keras")
        >>> train = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "trainval")
        >>> detector = kerassl.detectors.YOLOV8(backbone, train.class_names, image_size=256)
        >>> detector.compile("adamw", learning_rate=1e-3, lr_multipliers={"backbone": 0.1})
        >>> detector.fit(train.batches(256, 8), epochs=20)

    References:
        Feng et al., "TOOD: Task-aligned One-stage Object Detection", 2021; Zheng et al., "Distance-IoU Loss", 2020; Li
        et al., "Generalized Focal Loss", 2020. YOLOV8 itself has no paper.
    """

    def __init__(
        self,
        backbone: keras.Model,
        class_names: Sequence[str],
        image_size: int = 512,
        num_filters: int = 128,
        depth: int = 1,
        **kwargs,
    ) -> None:
        image_size, class_names = check_image_size(image_size), check_class_names(class_names)
        if not COUNT.fits(num_filters) or num_filters % 2 or not COUNT.fits(depth):
            raise UserError(
                f"num_filters is {num_filters} and depth {depth}; give an even num_filters, as 64 or 128, and a depth "
                "of 1 to 3"
            )
        levels = backbones.pyramid(backbone, image_size)
        features = [
            yolo_layers.convolution(backbone.get_layer(name).output, num_filters * 2**number, f"neck_{level.lower()}")
            for number, (level, name) in enumerate(levels.items())
        ]
        # At the start an image has about five objects by its scores, or the background would dominate the first steps.
        scores = [min(0.01, 5 / len(class_names) * (stride / image_size) ** 2) for stride in distances.STRIDES]
        starts: dict[str, list] = {
            "box": [distances.START] * 3,
            "classification": [math.log(s / (1 - s)) for s in scores],
        }
        sizes = {"box": len(distances.START), "classification": len(class_names)}
        outputs = yolo_layers.heads(yolo_layers.neck(features, depth), sizes, starts)
        super().__init__(inputs=backbone.input, outputs=outputs, **{"name": "yolov8", **kwargs})
        self._describe(backbone, class_names, image_size)
        self.num_filters = num_filters
        self.depth = depth

    def locations(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the locations in the order of the outputs: centers `[A, 2]` (x, y) and strides `[A, 1]`, in pixels."""
        return distances.locations(self.image_size)

    def boxes_and_scores(self, outputs: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        bins, logits = (tf.cast(outputs[name], self.variable_dtype) for name in ("box", "classification"))
        return distances.to_boxes(distances.expected(bins), *self.locations()), tf.sigmoid(logits)

    def _objectives(self):
        losses = {"box": SummedLoss(_box_loss, "box"), "classification": SummedLoss(_class_loss, "classification")}
        return {"loss": losses}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **kwargs
    ) -> tf.Tensor:
        centers, strides = self.locations()
        labels, predicted = self._labels(x, y), self.boxes_and_scores(y_pred)
        boxes, scores, owner = task_aligned.targets(centers, labels.boxes, labels.objects(), *predicted)
        weight, box_weight = location_weights(labels, owner, tf.cast(centers, labels.boxes.dtype))
        share = tf.reduce_sum(scores, -1)  # [B, A]
        # A batch without objects still trains the background.
        total = tf.maximum(over_replicas(tf.reduce_sum(share * weight)), 1.0)
        wanted = mask_ignored(scores, labels, lambda boxes: task_aligned.candidates(centers, boxes))
        return super().compute_loss(
            x=x,
            y={"box": distances.to_distances(boxes, centers, strides), "classification": wanted},
            y_pred=y_pred,
            sample_weight={"box": share * box_weight / total, "classification": weight / total},
        )

    def get_config(self) -> dict:
        return {**super().get_config(), "num_filters": self.num_filters, "depth": self.depth}


def _box_loss(wanted, bins):
    overlap = distances.ciou(wanted, distances.expected(bins))
    return _OVERLAP * (1 - overlap) + _DISTRIBUTION * distances.distribution_loss(wanted, bins)


def _class_loss(wanted, logits):
    return _CLASS * tf.reduce_sum(counted(tf.nn.sigmoid_cross_entropy_with_logits, wanted, logits), -1)
