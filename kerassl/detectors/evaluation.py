"""Metrics of a detector or localizer while it is trained."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kerassl import detectors, metrics
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.callbacks import EMA
from kerassl.callbacks.shadow import Shadow
from kerassl.callbacks.state import has_more_steps, was_resumed
from kerassl.datasets.class_names import check_numbering
from kerassl.datasets.record import Record
from kerassl.metrics.checks import FARTHEST, class_places
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS, Detections

_MISSING = -1.0  # of top-3 accuracy, where there are two classes


@dataclasses.dataclass(frozen=True)
class BestEpoch:
    """The best epoch of a training.

    Attributes:
        epoch: int, from 0.
        monitor: str, the metric that it is the best of.
        metrics: dict from name to float, all metrics of that epoch.
    """

    epoch: int
    monitor: str
    metrics: dict[str, float]


class Evaluation(keras.callbacks.Callback):
    """Add the metrics of a detector on labeled images to the logs of `fit`, as `val_voc07_ap50` and `val_coco_ap`.

    Metrics are computed after the epochs 0, `every`, 2 * `every`, ..., and after the first and the last of a `fit`. In
    between, the logs keep the last metrics, so that every line of a `CSVLogger` has the same columns and
    `ModelCheckpoint` sees no new best. Put it before the callbacks that read logs; `ModelCheckpoint` and
    `EarlyStopping` need `mode="max"` with these names. Metrics on images that the best epoch was chosen by are biased:
    publish those on other images.

    With `keep_best` the weights of the epoch with the highest `val_coco_ap` (of a `Localizer` `val_mean_iou`; of equal
    ones the last) are in the model when `fit` returns. They are copied in memory, and saved by
    `Resume(beside=[evaluation])`: a run that is resumed evaluates the same epochs and keeps the same one.

    Of a detector the metrics of `metrics.evaluate_detections` are logged: `val_voc07_ap50`, `val_voc10_ap50`,
    `val_coco_ap`, `val_coco_ap50`, `val_coco_ap75`, `val_coco_ar100`, `val_mean_iou`, `val_loc_acc_50`,
    `val_loc_acc_70`, `val_top1` and `val_top3`; of a `Localizer`, which gives one box an image, those from
    `val_mean_iou` on, on the images that have an object. Images that cannot be read are named in the log and left out.
    The metrics of a model that has diverged are nan.

    Args:
        records: list of `datasets.Record`, the labeled images.
        classes: sequence of str, the class names of the records; the model's own in any order.
        every: int > 0. Epochs between evaluations.
        score_threshold: float in [0, 1). Lower scores are dropped; see `detectors.predict`.
        predict: function of model and records that returns a dict from image id to `Detections`, for models that are
            neither a detector of `detectors` nor a `Localizer`; or None.
        ema: `EMA` of the same `fit`, before this callback, or None. Its averages are evaluated and kept, not the last
            step's weights.
        keep_best: bool. Put the weights of the best epoch into the model at the end.

    Attributes:
        best: `BestEpoch`, or None before the first evaluation and without `keep_best`.
        variables: list of `tf.Variable`, for `Resume`.

    Raises:
        UserError: if no record has an object to be found, or a number is out of range; when training begins, if the
            model is no detector and there is no `predict`, or its classes have other names.

    Example:
        >>> records = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "val")
        >>> scores = kerassl.detectors.Evaluation(records, kerassl.datasets.VOC_CLASSES, every=5, keep_best=True)
        >>> detector.fit(images, epochs=50, callbacks=[scores])
        >>> scores.best.epoch, scores.best.metrics["coco_ap"]
    """

    def __init__(
        self,
        records: Sequence[Record],
        classes: Sequence[str],
        every: int = 1,
        *,
        score_threshold: float = 0.01,
        predict: Callable[[keras.Model, list[Record]], Mapping[str, Detections]] | None = None,
        ema: EMA | None = None,
        keep_best: bool = False,
    ):
        super().__init__()
        if not COUNT.fits(every):
            raise UserError(f"Evaluation: every is {every}; give a whole number of epochs above 0, as 1")
        self.records, self.classes, self.every = list(records), tuple(classes), int(every)
        check_numbering(self.records, self.classes)
        self._shown = [record for record in self.records if record.largest() is not None]
        if not self._shown:
            raise UserError(
                f"Evaluation: none of {len(self.records)} images has an object to be found; give labeled images"
            )
        self.score_threshold, self.predict, self.ema = float(score_threshold), predict, ema
        self.keep_best, self._of = keep_best, None

    def build(self, model: keras.Model) -> None:
        """Make the variables, once for a model."""
        if self._of is model:
            return
        self._of, self._single = model, isinstance(model, detectors.Localizer)
        self._names = LOCALIZATION_METRICS if self._single else (*AP_METRICS, "coco_ar100", *LOCALIZATION_METRICS)
        # The epochs of the last evaluation and of the best one, and the metrics of both.
        self._epochs = tf.Variable([-1, -1], dtype=tf.int64, trainable=False)
        self._values = tf.Variable(np.full([2, len(self._names)], np.nan), dtype=tf.float64, trainable=False)
        self.variables = [self._epochs, self._values]
        if self.keep_best:
            self._weights = Shadow(model)
            self.variables += self._weights.variables

    @property
    def best(self) -> BestEpoch | None:
        epoch = -1 if self._of is None else int(self._epochs[1])
        return None if epoch < 0 else BestEpoch(epoch, self.monitor, self._metrics(1))

    @property
    def monitor(self) -> str:
        """The metric by which the best epoch is chosen."""
        return "mean_iou" if self._single else "coco_ap"

    def _metrics(self, place):
        found = dict(zip(self._names, map(float, self._values[place])))
        return {name: value for name, value in found.items() if value != _MISSING}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.build(self.model)
        if self.predict is None and not self._single and not isinstance(self.model, detectors.Detector):
            raise UserError(
                f"Evaluation cannot predict with {type(self.model).__name__}; give predict, a function of model and "
                "records, or use it with a detector of kerassl or a Localizer"
            )
        own = getattr(self.model, "class_names", None)
        if own is not None:
            class_places(own, self.classes, "the model", "the records of Evaluation")
        if not was_resumed(self.model):
            self._epochs[0].assign(-1)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        # Where `fit` is the rest of an epoch, its last epoch is not that of the run.
        last = self.model.stop_training or (epoch + 1 == self.params["epochs"] and not has_more_steps(self.model))
        if last or epoch % self.every == 0 or int(self._epochs[0]) < 0:
            with contextlib.nullcontext() if self.ema is None else self.ema.held():
                self._evaluate(epoch)
        if logs is not None:
            logs.update({f"val_{name}": value for name, value in self._metrics(0).items()})

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.keep_best and self.best is not None and not has_more_steps(self.model):
            self._weights.restore()

    def _evaluate(self, epoch):
        found, place = self._scalars(), self._names.index(self.monitor)
        values = [found.get(name, _MISSING) for name in self._names]
        self._epochs[0].assign(epoch)
        self._values[0].assign(values)
        best = float(self._values[1, place])
        if self.keep_best and (values[place] >= best or (np.isnan(best) and not np.isnan(values[place]))):
            self._epochs[1].assign(epoch)
            self._values[1].assign(values)
            self._weights.copy()

    def _scalars(self):
        records = self._shown if self._single else self.records
        if self.predict is not None:
            predictions = self.predict(self.model, records)
        else:
            predictions = detectors.predict(self.model, records, score_threshold=self.score_threshold, verbose=0)
        parts = [part for found in predictions.values() for part in (found.boxes, found.scores)]
        if not all((np.abs(part) <= FARTHEST).all() for part in parts):  # NaN is not
            # Stopping is up to another callback.
            return dict.fromkeys(self._names, float("nan"))
        records = [record for record in records if record.image_id in predictions]
        # A detector that has learned nothing may give but a few boxes in a corner.
        known_pixels = self.predict is None
        if self._single:
            found, _ = metrics.evaluate_localization(predictions, records, self.classes, known_pixels=known_pixels)
        else:
            found = metrics.evaluate_detections(predictions, records, self.classes, known_pixels=known_pixels)
        return found.scalars()
