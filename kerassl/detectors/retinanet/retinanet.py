"""RetinaNet over a kerassl backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerassl import backbones
from kerassl._compat import keras, keras_cv, tf
from kerassl._errors import UserError
from kerassl.datasets.class_names import check_class_names
from kerassl.detectors.detector import Detector, SummedLoss, over_replicas
from kerassl.detectors.label_weights import counted, location_weights, mask_ignored
from kerassl.detectors.retinanet import anchors as _boxes
from kerassl.detectors.retinanet.head import RetinaNetHead
from kerassl.resizing import check_image_size
from kerassl.types import LEVELS

_STRIDES = (*LEVELS.values(), 64, 128)


@keras.saving.register_keras_serializable(package="kerassl")
class RetinaNet(Detector):
    """RetinaNet as one flat functional model, with KerasCV's feature pyramid and anchors.

    It differs from `keras_cv.models.RetinaNet` in what was needed to save, explain and serve it, and to learn from
    random weights: the backbone's layers are the model's own layers (so that Grad-CAM sees them), `.keras` files
    reload exactly, the heads have group normalization, every object has an anchor, the loss is divided by the matched
    anchors of the global batch (so that the replicas' losses add up to that of one replica with the whole batch), and
    `predict` keeps detections from a score of 0.01, not 0.5.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255], as `backbones.build` or `backbones.load` returns
            it. It becomes a part of the detector and is trained in place; for the neck and the heads alone set
            `backbone.trainable = False` before.
        class_names: sequence of str, as `datasets.VOC_CLASSES`.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32.
        num_filters: int, a multiple of 32: channels of the heads' convolutions. With the paper's 256 three quarters of
            all multiplications over an EfficientNetB1 are theirs; 64 to 128 make faster steps.
        anchor_sizes: five floats in pixels, the side of the smallest square anchor at strides 8, 16, 32, 64 and 128;
            each level also has it times 1.26 and 1.59, at aspect 1:2, 1:1 and 2:1. None takes twice the stride. The
            paper's four times are made for images of 800 pixels: of VOC's objects, an anchor fits 63 % with an IoU of
            0.5 in images of 128 pixels (80 % at twice the stride), 81 % (92 %) at 224 and 95 % (98 %) at 512.
        **kwargs: those of `keras.Model`.

    Call arguments:
        images: `[B, S, S, 3]` float32 in [0, 255].

    Returns:
        Dict `{"box": offsets [B, A, 4], "classification": logits [B, A, C]}`.

    Raises:
        UserError: if the image size is not a multiple of 32, or under 96 in `mixed_bfloat16`, the backbone lacks a
            pyramid level, an argument is out of range, or the class names are empty, not strings or repeated.

    Example:
        >>> backbone = kerassl.backbones.load("backbone.keras")
        >>> train = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "trainval")
        >>> detector = kerassl.detectors.RetinaNet(backbone, train.class_names, image_size=256)
        >>> detector.compile("adamw", learning_rate=1e-3, lr_multipliers={"backbone": 0.1})
        >>> detector.fit(train.batches(256, 8), epochs=20)

    References:
        Lin et al., "Focal Loss for Dense Object Detection", 2017.
    """

    def __init__(
        self,
        backbone: keras.Model,
        class_names: Sequence[str],
        image_size: int = 512,
        num_filters: int = 256,
        anchor_sizes: Sequence[float] | None = None,
        **kwargs,
    ) -> None:
        image_size, class_names = check_image_size(image_size), check_class_names(class_names)
        if image_size < 96 and keras.mixed_precision.global_policy().compute_dtype == "bfloat16":
            # The map before P7 is then a single pixel, of which TensorFlow's filter gradient for strides of 2 in
            # bfloat16 (oneDNN, on a CPU, 2.15 to 2.21) is uninitialized memory.
            raise UserError(
                f"image size {image_size} does not train in mixed_bfloat16: TensorFlow computes a wrong gradient "
                "there; use 96 or more, or float32"
            )
        if anchor_sizes is None:
            anchor_sizes = [2 * stride for stride in _STRIDES]
        if len(anchor_sizes) != len(_STRIDES) or min(anchor_sizes) <= 0:
            raise UserError(
                f"anchor_sizes is {anchor_sizes}; give five sizes in pixels above 0, one for each of P3 to P7"
            )
        if num_filters < 32 or num_filters % 32:
            raise UserError(f"num_filters is {num_filters}; give a multiple of 32, as 64, 128 or 256")
        levels = backbones.pyramid(backbone, image_size)
        pyramid = keras_cv.models.retinanet.FeaturePyramid(name="feature_pyramid")
        # At the start every score is 0.01, or the background would dominate the first steps (Lin et al., 4.1).
        prior = -np.log((1 - 0.01) / 0.01)
        classification_head = RetinaNetHead(9 * len(class_names), prior, num_filters, name="classification_head")
        box_head = RetinaNetHead(9 * 4, 0.0, num_filters, name="box_head")
        features = pyramid({level: backbone.get_layer(name).output for level, name in levels.items()})
        box = [keras.layers.Reshape((-1, 4))(box_head(feature)) for feature in features]
        logits = [keras.layers.Reshape((-1, len(class_names)))(classification_head(feature)) for feature in features]
        wide = keras.mixed_precision.global_policy().variable_dtype
        outputs = {  # not in half precision: the losses sum over thousands of anchors
            "box": keras.layers.Concatenate(axis=1, name="box", dtype=wide)(box),
            "classification": keras.layers.Concatenate(axis=1, name="classification", dtype=wide)(logits),
        }
        super().__init__(inputs=backbone.input, outputs=outputs, **{"name": "retinanet", **kwargs})
        self._describe(backbone, class_names, image_size)
        self.num_filters = int(num_filters)
        self.anchor_sizes = [float(size) for size in anchor_sizes]

    def anchors(self) -> tf.Tensor:
        """Return the anchors in the order of the outputs: `[A, 4]` float, xyxy in pixels of the letterboxed image."""
        generator = keras_cv.layers.AnchorGenerator(
            bounding_box_format="xyxy",
            sizes=list(self.anchor_sizes),
            aspect_ratios=[0.5, 1.0, 2.0],
            scales=[2**power for power in (0, 1 / 3, 2 / 3)],
            strides=list(_STRIDES),
            clip_boxes=True,
        )
        by_level = generator(image_shape=(self.image_size, self.image_size, 3))
        return tf.cast(tf.concat(list(by_level.values()), 0), self.variable_dtype)

    def boxes_and_scores(self, outputs: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        offsets, logits = (tf.cast(outputs[name], self.variable_dtype) for name in ("box", "classification"))
        return _boxes.decode_offsets(offsets, self.anchors()), tf.sigmoid(logits)

    def _objectives(self):
        return {"loss": {"box": SummedLoss(_smooth_l1, "box"), "classification": SummedLoss(_focal, "classification")}}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **kwargs
    ) -> tf.Tensor:
        labels, anchors = self._labels(x, y), self.anchors()
        offsets, classes, owner = _boxes.targets(anchors, labels.boxes, labels.objects())
        weight, box_weight = location_weights(labels, owner, (anchors[:, :2] + anchors[:, 2:]) / 2)
        found = tf.cast(classes >= 0, classes.dtype)  # [B, A]
        clear = tf.cast(classes != _boxes.IGNORED, classes.dtype)
        # A batch without objects still trains the background.
        count = tf.maximum(over_replicas(tf.reduce_sum(found * weight)), 1.0)
        one_hot = tf.one_hot(tf.cast(classes, tf.int32), len(self.class_names), dtype=classes.dtype)
        wanted = mask_ignored(one_hot, labels, lambda boxes: _boxes.near(anchors, boxes))
        return super().compute_loss(
            x=x,
            y={"box": offsets, "classification": wanted},
            y_pred=y_pred,
            sample_weight={"box": found * box_weight / count, "classification": clear * weight / count},
        )

    def get_config(self) -> dict:
        return {**super().get_config(), "num_filters": self.num_filters, "anchor_sizes": list(self.anchor_sizes)}


def _smooth_l1(wanted, offsets):
    difference = wanted - offsets
    size = tf.abs(difference)
    return tf.reduce_mean(tf.where(size < 1.0, 0.5 * difference**2, size - 0.5), -1)


def _focal(wanted, logits):
    return tf.reduce_sum(counted(_focal_of_logits, wanted, logits), -1)


def _focal_of_logits(wanted, logits, alpha=0.25, gamma=2.0):
    score = tf.sigmoid(logits)
    wrong = wanted * (1 - score) + (1 - wanted) * score
    weight = wanted * alpha + (1 - wanted) * (1 - alpha)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)
    return weight * wrong**gamma * entropy
