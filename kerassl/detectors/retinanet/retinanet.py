"""KerasCV's RetinaNet over a kerassl backbone."""

import keras
import numpy as np
import tensorflow as tf

from kerassl import _compat, backbones, optimizers
from kerassl._compat import keras_cv
from kerassl._errors import UserError
from kerassl.datasets.class_names import check_class_names
from kerassl.detectors.detector import Detector, over_replicas
from kerassl.detectors.retinanet import anchors as _boxes
from kerassl.detectors.retinanet.head import RetinaNetHead
from kerassl.losses.replicas import OverReplicas
from kerassl.resizing import check_image_size
from kerassl.types import LEVELS

_STRIDES = (*LEVELS.values(), 64, 128)


@keras.saving.register_keras_serializable(package="kerassl")
class RetinaNet(Detector, keras_cv.models.RetinaNet):
    """KerasCV's RetinaNet as one flat functional model, with its own targets, decoding and configuration.

    It differs from `keras_cv.models.RetinaNet` in what was needed to save, explain and serve it, and to learn from
    random weights: the backbone's layers are the model's own layers (so that Grad-CAM sees them), `.keras` files
    reload exactly, the heads have group normalisation, every object has an anchor to answer for it, the loss is
    divided by the matched anchors of the global batch (so that the replicas' losses add up to that of one replica
    with the whole batch), and `predict` keeps detections from a score of 0.01, not 0.5.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255]. Trained in place.
        classes: sequence of str, the names of the classes.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32.
        anchor_sizes: five floats, the side of the smallest square anchor of P3 to P7 in pixels.
        width: int, channels of the heads' convolutions.
        learning_rates: see `retinanet`.
        **kwargs: those of `keras.Model`.

    Call arguments:
        images: `[B, S, S, 3]` float32 in [0, 255].

    Returns:
        Dict `{"box": offsets [B, A, 4], "classification": logits [B, A, C]}`.

    Reference:
        Lin et al., "Focal Loss for Dense Object Detection", 2017.
    """

    def __init__(self, backbone, classes, image_size, anchor_sizes, width=256, learning_rates=None, **kwargs):
        levels = backbones.pyramid(backbone, image_size)
        feature_pyramid = keras_cv.models.retinanet.FeaturePyramid(name="feature_pyramid")
        # At the start every anchor says 0.01, or the background would drown the first steps (Lin et al., 4.1).
        prior = -np.log((1 - 0.01) / 0.01)
        classification_head = RetinaNetHead(9 * len(classes), prior, width, name="classification_head")
        box_head = RetinaNetHead(9 * 4, 0.0, width, name="box_head")
        features = feature_pyramid({level: backbone.get_layer(name).output for level, name in levels.items()})
        box = [keras.layers.Reshape((-1, 4))(box_head(feature)) for feature in features]
        logits = [keras.layers.Reshape((-1, len(classes)))(classification_head(feature)) for feature in features]
        wide = keras.mixed_precision.global_policy().variable_dtype
        outputs = {  # not in half precision: the losses sum over thousands of anchors
            "box": keras.layers.Concatenate(axis=1, name="box", dtype=wide)(box),
            "classification": keras.layers.Concatenate(axis=1, name="classification", dtype=wide)(logits),
        }
        # Past KerasCV's own constructor, which nests the backbone as one layer.
        super(keras_cv.models.RetinaNet, self).__init__(inputs=backbone.input, outputs=outputs, **kwargs)
        self._describe(backbone, classes, image_size, learning_rates)
        self.anchor_sizes = [float(size) for size in anchor_sizes]
        self.width = int(width)
        self.feature_pyramid = feature_pyramid
        self.classification_head = classification_head
        self.box_head = box_head
        self.anchor_generator = keras_cv.layers.AnchorGenerator(
            bounding_box_format="xyxy",
            sizes=self.anchor_sizes,
            aspect_ratios=[0.5, 1.0, 2.0],
            scales=[2**power for power in (0, 1 / 3, 2 / 3)],
            strides=list(_STRIDES),
            clip_boxes=True,
        )
        self._prediction_decoder = keras_cv.layers.NonMaxSuppression(
            bounding_box_format="xyxy", from_logits=True, confidence_threshold=0.01
        )

    def anchors(self):
        """The anchors in the order of the outputs: `[A, 4]` float32, xyxy in pixels of the letterboxed image."""
        by_level = self.anchor_generator(image_shape=(self.image_size, self.image_size, 3))
        return tf.cast(tf.concat(list(by_level.values()), 0), self.variable_dtype)

    def boxes_and_scores(self, outputs):
        offsets, logits = (tf.cast(outputs[name], self.variable_dtype) for name in ("box", "classification"))
        return _boxes.decode_offsets(offsets, self.anchors()), tf.sigmoid(logits)

    def compile(self, box_loss="smoothl1", classification_loss="focal", **kwargs):
        """As `keras_cv.models.RetinaNet.compile`; losses by name are computed of the global batch by all replicas."""
        own = {
            "smoothl1": _SmoothL1(l1_cutoff=1.0, reduction="sum"),
            "focal": _Focal(from_logits=True, reduction="sum"),
        }
        losses = [own.get(str(loss).lower(), loss) for loss in (box_loss, classification_loss)]
        super().compile(*losses, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        offsets, labels = _boxes.targets(self.anchors(), *self._labels(x, y))
        found = tf.cast(labels >= 0, labels.dtype)  # [B, A]
        asked = tf.cast(labels != _boxes.IGNORED, labels.dtype)
        # A batch without objects still teaches what background looks like.
        count = tf.maximum(over_replicas(tf.reduce_sum(found)), 1.0)
        one_hot = tf.one_hot(tf.cast(labels, tf.int32), self.num_classes, dtype=labels.dtype)
        return super(keras_cv.models.RetinaNet, self).compute_loss(
            x=x,
            y={"box": offsets, "classification": one_hot},
            y_pred=y_pred,
            sample_weight={"box": found / count, "classification": asked / count},
        )

    def _compile_for(self, optimizer):
        # Never compiled as a whole: XLA on a CPU is ten times slower here.
        self.compile(box_loss="smoothl1", classification_loss="focal", optimizer=optimizer, jit_compile=False)
        _compat.build_addons_optimizer(self)

    def get_config(self):
        return {**super().get_config(), "anchor_sizes": list(self.anchor_sizes), "width": self.width}


class _SmoothL1(OverReplicas, keras_cv.losses.SmoothL1Loss):
    pass


class _Focal(OverReplicas, keras_cv.losses.FocalLoss):
    def call(self, y_true, y_pred):
        # KerasCV's own is in float32 whatever it is given, and without a gradient where a logit is far wrong.
        chance = tf.sigmoid(y_pred)
        wrong = y_true * (1 - chance) + (1 - y_true) * chance
        weight = y_true * self.alpha + (1 - y_true) * (1 - self.alpha)
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(y_true, y_pred)
        return tf.reduce_sum(weight * wrong**self.gamma * entropy, -1)


def retinanet(
    backbone,
    classes,
    *,
    image_size=512,
    anchor_sizes=None,
    width=256,
    learning_rate=1e-3,
    optimizer="adamw",
    freeze=False,
    learning_rates=None,
    weight_decay=None,
    clip_norm=10.0,
):
    """Builds a compiled RetinaNet over a backbone.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255], as `backbones.build` or `backbones.load` gives
            it. It becomes a part of the detector and is trained in place.
        classes: sequence of str, the names of the classes, as `datasets.VOC_CLASSES`.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32.
        anchor_sizes: five floats in pixels, the side of the smallest square anchor at strides 8, 16, 32, 64 and 128;
            each level also has it times 1.26 and 1.59, at aspect 1:2, 1:1 and 2:1. None takes twice the stride. The
            paper's four times are made for images of 800 pixels: of VOC's objects, an anchor fits 63 % with an IoU of
            0.5 in images of 128 pixels (80 % at twice the stride), 81 % (92 %) at 224 and 95 % (98 %) at 512.
        width: int, a multiple of 32: channels of the heads' convolutions. With the paper's 256 three quarters of all
            multiplications over an EfficientNetB1 are theirs; 64 to 128 make quicker steps.
        learning_rate: float or schedule.
        optimizer: a name that `optimizers.get` knows, or an optimiser, which brings its own decay and clipping.
        freeze: bool. Train neck and heads alone; the backbone's batch normalisation then stays as it is.
        learning_rates: dict from a part to a factor of the learning rate, as `{"backbone": 0.1}`, or None. The parts
            are `"backbone"`, or its stages `"stem"`, `"P3"`, `"P4"` and `"P5"`, `"neck"` (the feature pyramid) and
            `"head"`; see `optimizers.layer_decay`. A part's weight decay falls with its rate.
        weight_decay: float >= 0, or None for 1e-4.
        clip_norm: float > 0, or None. The global norm that gradients are clipped to.

    Returns:
        `RetinaNet`, compiled. `fit` it on `DetectionDataset.batches`.

    Raises:
        UserError: if the image size is no multiple of 32, or under 96 in `mixed_bfloat16`, the backbone lacks a pyramid
            level, the width is no multiple of 32, or the class names are none, not strings or doubled.

    Example:
        >>> backbone = kerassl.backbones.load("backbone.keras")
        >>> detector = kerassl.detectors.retinanet(backbone, kerassl.datasets.VOC_CLASSES, image_size=256)
        >>> detector.fit(train.batches(256, 8), epochs=20)

    Reference:
        Lin et al., "Focal Loss for Dense Object Detection", 2017.
    """
    check_image_size(image_size)
    if image_size < 96 and keras.mixed_precision.global_policy().compute_dtype == "bfloat16":
        # The map before P7 is then a single pixel, of which TensorFlow's filter gradient for strides of 2 in bfloat16
        # (oneDNN, on a CPU, 2.15 to 2.21) is whatever stood in memory.
        raise UserError(
            f"image size {image_size} does not train in mixed_bfloat16: TensorFlow computes a wrong gradient there; "
            "use 96 or more, or float32"
        )
    classes = check_class_names(classes)
    if anchor_sizes is None:
        anchor_sizes = [2 * stride for stride in _STRIDES]
    if len(anchor_sizes) != len(_STRIDES) or min(anchor_sizes) <= 0:
        raise UserError(f"anchor_sizes is {anchor_sizes}; give five sizes in pixels above 0, one for each of P3 to P7")
    if width < 32 or width % 32:
        raise UserError(f"width is {width}; give a multiple of 32, as 64, 128 or 256")
    if freeze:
        backbone.trainable = False
    model = RetinaNet(backbone, classes, image_size, anchor_sizes, width, learning_rates, name="retinanet")
    variables = model.trainable_variables
    model._compile_for(optimizers.for_labels(optimizer, learning_rate, variables, weight_decay, clip_norm))
    return model
