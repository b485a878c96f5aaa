"""From a detector's outputs to boxes: decoding, clipping, non-maximum suppression, all in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerassl._compat import tf

if TYPE_CHECKING:
    from kerassl.detectors.detector import Detector

    Padded = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]

CANDIDATES = 1000  # anchors of an image before suppression, as many as the paper takes of each level


def select(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    areas: tf.Tensor,
    *,
    score_threshold: float = 0.01,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
) -> Padded:
    """Select the best boxes of each image by non-maximum suppression, class by class.

    Args:
        boxes: `[B, A, 4]` float, xyxy in pixels.
        scores: `[B, A, C]` float in [0, 1].
        areas: `[B, 2]` float32, height and width of each image in pixels; boxes are clipped to it, and empty ones
            are dropped.
        score_threshold: float. Lower scores are dropped. Average precision needs them from about 0.01 up.
        iou_threshold: float. Of two boxes of a class that overlap more than that, the better one is kept.
        max_detections: int, for an image.

    Returns:
        Boxes `[B, max_detections, 4]`, scores `[B, max_detections]`, classes int32 `[B, max_detections]` and counts
        int32 `[B]`, by descending score. Rows from the count on are 0.
    """
    boxes, scores = tf.cast(boxes, tf.float32), tf.cast(scores, tf.float32)  # the only type that suppression takes
    best = tf.reduce_max(scores, -1)  # [B, A]
    kept = tf.math.top_k(best, tf.minimum(CANDIDATES, tf.shape(best)[1])).indices
    boxes, scores = tf.gather(boxes, kept, batch_dims=1), tf.gather(scores, kept, batch_dims=1)
    limits = tf.concat([areas[:, ::-1], areas[:, ::-1]], -1)[:, None]  # [B, 1, 4]: width, height, width, height
    boxes, scores = clipped(boxes, scores, limits)
    boxes, scores, classes, counts = tf.image.combined_non_max_suppression(
        boxes[:, :, None],  # one box for all classes
        scores,
        max_output_size_per_class=max_detections,
        max_total_size=max_detections,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        clip_boxes=False,
    )
    return boxes, scores, tf.cast(classes, tf.int32), counts


def clipped(boxes: tf.Tensor, scores: tf.Tensor, limits: tf.Tensor | float) -> tuple[tf.Tensor, tf.Tensor]:
    """Clip boxes to their images; the scores of empty ones become 0, which no threshold keeps.

    Args:
        boxes: `[..., A, 4]` float32, xyxy in pixels.
        scores: `[..., A, C]` float32.
        limits: the largest coordinates, a number or of a shape that broadcasts with the boxes.

    Returns:
        Boxes and scores.
    """
    boxes = tf.clip_by_value(boxes, 0.0, limits)
    shown = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1, keepdims=True)
    return boxes, tf.where(shown, scores, 0.0)


def decode(
    model: Detector,
    images: tf.Tensor,
    *,
    areas: tf.Tensor | None = None,
    score_threshold: float = 0.01,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    outputs: dict[str, tf.Tensor] | None = None,
) -> Padded:
    """Detect objects in letterboxed images, in the graph; the batch may be of any size.

    Args:
        model: `Detector`, as `detectors.RetinaNet` or `detectors.YOLOV8`.
        images: `[B, S, S, 3]` float32 in [0, 255], letterboxed to the model's `image_size`.
        areas: `[B, 2]` float32, height and width of the image in the letterbox, or None for all of it.
        score_threshold, iou_threshold, max_detections: those of `predict`.
        outputs: what the model returned for the images, where that is known already.

    Returns:
        Boxes `[B, max_detections, 4]` xyxy in pixels of the letterboxed image, scores `[B, max_detections]`, classes
        int32 `[B, max_detections]` and counts int32 `[B]`, by descending score. Rows from the count on are 0.

    Raises:
        UserError: if the images are of another size.

    Example:
        >>> boxes, scores, classes, counts = kerassl.detectors.decode(detector, images)
    """
    model.check_images(images.shape)
    if areas is None:
        areas = tf.fill([tf.shape(images)[0], 2], float(model.image_size))
    return select(
        *model.boxes_and_scores(model(images, training=False) if outputs is None else outputs),
        areas,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
    )


def detect(
    model: Detector,
    images: tf.Tensor,
    scales: tf.Tensor,
    sizes: tf.Tensor,
    *settings: Any,
    outputs: dict[str, tf.Tensor] | None = None,
) -> Padded:
    """Detect objects as `decode`, in pixels of the images before letterboxing.

    Args:
        model, images: those of `decode`.
        scales: `[B]` float32, letterboxed over original pixels.
        sizes: `[B, 2]` float32, height and width of the originals in pixels.
        *settings: score_threshold, iou_threshold and max_detections of `decode`.
        outputs: see `decode`.
    """
    named: dict[str, Any] = dict(zip(("score_threshold", "iou_threshold", "max_detections"), settings))
    boxes, scores, classes, counts = decode(model, images, areas=sizes * scales[:, None], outputs=outputs, **named)
    limits = tf.concat([sizes[:, ::-1], sizes[:, ::-1]], -1)[:, None]  # width, height, width, height
    # Clipped again: the division may round up beyond the border.
    return tf.minimum(boxes / scales[:, None, None], limits), scores, classes, counts
