"""KerasCV's YOLOV8 over a kerassl backbone."""

import math

import keras
import tensorflow as tf

from kerassl import _compat, backbones, optimizers
from kerassl._compat import keras_cv
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.datasets.class_names import check_class_names
from kerassl.detectors.detector import Detector, over_replicas
from kerassl.detectors.yolov8 import distances, task_aligned
from kerassl.detectors.yolov8 import layers as yolo_layers
from kerassl.losses.replicas import OverReplicas
from kerassl.resizing import check_image_size

# What each part of the loss counts, as YOLOV8 has it.
_OVERLAP, _DISTRIBUTION, _CLASS = 7.5, 1.5, 0.5


@keras.saving.register_keras_serializable(package="kerassl")
class YOLOV8(Detector, keras_cv.models.YOLOV8Detector):
    """KerasCV's YOLOV8 as one flat functional model, with its own targets, loss, decoding and configuration.

    It differs from `keras_cv.models.YOLOV8Detector` in what was needed to train, save, explain and serve it:

    - The backbone's layers are the model's own layers (so that Grad-CAM sees them), and `.keras` files reload exactly.
    - P3 to P5 are brought to `width` channels and multiples of it first, whatever the backbone gives.
    - Replicas share the neck's batch normalisation, and the loss is divided by the target scores of the global batch,
      so that the replicas' losses add up to that of one replica with the whole batch.
    - Distances are learned by distribution focal loss too, which KerasCV leaves out; class losses are summed over the
      classes, not averaged; and the aspect ratios' term of the CIoU is the paper's (KerasCV squares its factor).
    - A box beside its object is no match (KerasCV raises negative overlaps to an even power), and an object smaller
      than a cell has a cell to answer for it.
    - Heads begin with few and small objects, and `predict` keeps detections from a score of 0.01, not 0.2.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255]. Trained in place.
        classes: sequence of str, the names of the classes.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32.
        width: int, the neck's channels at P3; P4 has twice and P5 four times as many.
        depth: int, pairs of convolutions in each block of the neck.
        **kwargs: those of `keras.Model`.

    Call arguments:
        images: `[B, S, S, 3]` float32 in [0, 255].

    Returns:
        Dict `{"box": logits [B, A, 64] of 16 bins for each side, "classification": logits [B, A, C]}`.

    Reference:
        Feng et al., "TOOD: Task-aligned One-stage Object Detection", 2021; Zheng et al., "Distance-IoU Loss", 2020; Li
        et al., "Generalized Focal Loss", 2020. YOLOV8 itself has no paper.
    """

    def __init__(self, backbone, classes, image_size, width, depth, learning_rates=None, **kwargs):
        levels = backbones.pyramid(backbone, image_size)
        features = [
            yolo_layers.convolution(backbone.get_layer(name).output, width * 2**number, f"neck_{level.lower()}")
            for number, (level, name) in enumerate(levels.items())
        ]
        # At the start an image is to seem to hold about five objects, or the background would drown the first steps.
        scores = [min(0.01, 5 / len(classes) * (stride / image_size) ** 2) for stride in distances.STRIDES]
        starts = {"box": [distances.START] * 3, "classification": [math.log(s / (1 - s)) for s in scores]}
        sizes = {"box": len(distances.START), "classification": len(classes)}
        outputs = yolo_layers.heads(yolo_layers.neck(features, depth), sizes, starts)
        # Past KerasCV's own constructor, which nests the backbone as one layer.
        super(keras_cv.models.YOLOV8Detector, self).__init__(inputs=backbone.input, outputs=outputs, **kwargs)
        self._describe(backbone, classes, image_size, learning_rates)
        self.width = width
        self.depth = depth
        self._prediction_decoder = keras_cv.layers.NonMaxSuppression(
            bounding_box_format="xyxy", from_logits=False, confidence_threshold=0.01
        )

    def cells(self):
        """The cells in the order of the outputs: centres `[A, 2]` (x, y) and strides `[A, 1]`, in pixels."""
        return distances.cells(self.image_size)

    def boxes_and_scores(self, outputs):
        bins, logits = (tf.cast(outputs[name], self.variable_dtype) for name in ("box", "classification"))
        return distances.to_boxes(distances.expected(bins), *self.cells()), tf.sigmoid(logits)

    def compile(self, optimizer="rmsprop", **kwargs):
        """As `keras.Model.compile`, but that the losses are the detector's own, and metrics are refused."""
        if kwargs.get("loss") is not None or kwargs.get("metrics") is not None:
            raise UserError("YOLOV8 has losses of its own and no metrics in fit; leave both out, and score by predict")
        losses = {"box": _Summed(_box_loss, "box"), "classification": _Summed(_class_loss, "classification")}
        super(keras_cv.models.YOLOV8Detector, self).compile(optimizer=optimizer, loss=losses, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        centres, strides = self.cells()
        boxes, scores = task_aligned.targets(centres, *self._labels(x, y), *self.boxes_and_scores(y_pred))
        weight = tf.reduce_sum(scores, -1)  # [B, A]
        # A batch without objects still teaches what background looks like.
        total = tf.maximum(over_replicas(tf.reduce_sum(weight)), 1.0)
        return super(keras_cv.models.YOLOV8Detector, self).compute_loss(
            x=x,
            y={"box": distances.to_distances(boxes, centres, strides), "classification": scores},
            y_pred=y_pred,
            sample_weight={"box": weight / total, "classification": tf.ones_like(weight) / total},
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        # Those of the losses alone: labels and outputs are of other forms, which Keras 2.15 would compare.
        return super().compute_metrics(x, {}, {}, sample_weight={})

    def _compile_for(self, optimizer):
        # Never compiled as a whole: XLA on a CPU is ten times slower here.
        self.compile(optimizer, jit_compile=False)
        _compat.build_addons_optimizer(self)

    def get_config(self):
        return {**super().get_config(), "width": self.width, "depth": self.depth}


class _Summed(OverReplicas, keras.losses.Loss):
    """A function of the truth and the outputs of each cell, added up by the weights of the cells."""

    def __init__(self, function, name):
        super().__init__(reduction="sum", name=name)
        self.call = function


def _box_loss(wanted, bins):
    overlap = distances.ciou(wanted, distances.expected(bins))
    return _OVERLAP * (1 - overlap) + _DISTRIBUTION * distances.distribution_loss(wanted, bins)


def _class_loss(wanted, logits):
    return _CLASS * tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits), -1)


def yolov8(
    backbone,
    classes,
    *,
    image_size=512,
    width=128,
    depth=1,
    learning_rate=1e-3,
    optimizer="adamw",
    freeze=False,
    learning_rates=None,
    weight_decay=None,
    clip_norm=10.0,
):
    """Builds a compiled YOLOV8 over a backbone.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255], as `backbones.build` or `backbones.load` gives
            it. It becomes a part of the detector and is trained in place.
        classes: sequence of str, the names of the classes, as `datasets.VOC_CLASSES`.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32. A box reaches at most 480
            pixels from the centre of its cell.
        width: int, a multiple of 2: the neck's channels at P3; P4 has twice and P5 four times as many. 64 and 128 are
            those of YOLOV8's sizes n and s.
        depth: int, pairs of convolutions in each block of the neck; YOLOV8's sizes n and s have 1.
        learning_rate: float or schedule.
        optimizer: a name that `optimizers.get` knows, or an optimiser, which brings its own decay and clipping.
        freeze: bool. Train neck and heads alone; the backbone's batch normalisation then stays as it is.
        learning_rates, weight_decay, clip_norm: see `retinanet`.

    Returns:
        `YOLOV8`, compiled. `fit` it on `DetectionDataset.batches`.

    Raises:
        UserError: if the image size is no multiple of 32, the backbone lacks a pyramid level, the width is odd or the
            class names are none, not strings or doubled.

    Example:
        >>> backbone = kerassl.backbones.load("backbone.keras")
        >>> detector = kerassl.detectors.yolov8(backbone, kerassl.datasets.VOC_CLASSES, image_size=256)
        >>> detector.fit(train.batches(256, 8), epochs=20)
    """
    check_image_size(image_size)
    classes = check_class_names(classes)
    if not COUNT.fits(width) or width % 2 or not COUNT.fits(depth):
        raise UserError(f"width is {width} and depth {depth}; give an even width, as 64 or 128, and a depth of 1 to 3")
    if freeze:
        backbone.trainable = False
    model = YOLOV8(backbone, classes, image_size, width, depth, learning_rates, name="yolov8")
    variables = model.trainable_variables
    model._compile_for(optimizers.for_labels(optimizer, learning_rate, variables, weight_decay, clip_norm))
    return model
