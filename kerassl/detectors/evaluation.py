"""Metrics of a detector or localizer while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kerassl import detectors, metrics
from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.callbacks import EMA
from kerassl.datasets.class_names import check_numbering
from kerassl.datasets.record import Record
from kerassl.metrics.checks import FARTHEST, class_places
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS, Detections


class Evaluation(keras.callbacks.Callback):
    """Add the metrics of a detector on labeled images to the logs of `fit`, as `val_voc07_ap50` and `val_coco_ap`.

    Metrics are computed after the first epoch of a `fit`, then after every `every` epochs, and after the last. In
    between, the logs keep the last metrics, so that every line of a `CSVLogger` has the same columns and
    `ModelCheckpoint` sees no new best. Put it before the callbacks that read logs; `ModelCheckpoint` and
    `EarlyStopping` need `mode="max"` with these names. Metrics on images that the best epoch was chosen by are biased:
    publish those on other images.

    Of a detector the metrics of `metrics.evaluate_detections` are logged: `val_voc07_ap50`, `val_voc10_ap50`,
    `val_coco_ap`, `val_coco_ap50`, `val_coco_ap75`, `val_coco_ar100`, `val_mean_iou`, `val_loc_acc_50`,
    `val_loc_acc_70`, `val_top1` and `val_top3`; of a `Localizer`, which gives one box an image, those from
    `val_mean_iou` on, on the images that have an object. Images that cannot be read are named in the log and left out.
    The metrics of a model that has diverged are nan.

    Args:
        records: list of `datasets.Record`, the labeled images.
        classes: sequence of str, the class names of the records; the model's own in any order.
        every: int > 0. Evaluate after every so many epochs.
        score_threshold: float in [0, 1). Lower scores are dropped; see `detectors.predict`.
        predict: function of model and records that returns a dict from image id to `Detections`, for models that are
            neither a detector of `detectors` nor a `Localizer`; or None.
        ema: `EMA` of the same `fit`, or None. Its averages are evaluated, not the last step's weights.

    Raises:
        UserError: if no record has an object to be found, or a number is out of range; when training begins, if the
            model is no detector and there is no `predict`, or its classes have other names.

    Example:
        >>> records = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "val")
        >>> best = keras.callbacks.ModelCheckpoint("best.keras", "val_coco_ap", save_best_only=True, mode="max")
        >>> scores = kerassl.detectors.Evaluation(records, kerassl.datasets.VOC_CLASSES, every=5)
        >>> detector.fit(images, epochs=50, callbacks=[scores, best])
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

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._single = isinstance(self.model, detectors.Localizer)
        if self.predict is None and not self._single and not isinstance(self.model, detectors.Detector):
            raise UserError(
                f"Evaluation cannot predict with {type(self.model).__name__}; give predict, a function of model and "
                "records, or use it with a detector of kerassl or a Localizer"
            )
        own = getattr(self.model, "class_names", None)
        if own is not None:
            class_places(own, self.classes, "the model", "the records of Evaluation")
        self._begun: int | None = None
        self._metrics: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        begun = self._begun = epoch if self._begun is None else self._begun
        last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if last or (epoch - begun) % self.every == 0:
            self._metrics = {f"val_{name}": value for name, value in self._evaluate().items()}
        if logs is not None:
            logs.update(self._metrics)

    def _evaluate(self):
        if self.ema is None:
            return self._scalars()
        with self.ema.held():
            return self._scalars()

    def _scalars(self):
        records = self._shown if self._single else self.records
        if self.predict is not None:
            predictions = self.predict(self.model, records)
        else:
            predictions = detectors.predict(self.model, records, score_threshold=self.score_threshold, verbose=0)
        parts = [part for found in predictions.values() for part in (found.boxes, found.scores)]
        if not all((np.abs(part) <= FARTHEST).all() for part in parts):  # NaN is not
            # Stopping is up to another callback.
            names = LOCALIZATION_METRICS if self._single else (*AP_METRICS, "coco_ar100", *LOCALIZATION_METRICS)
            return dict.fromkeys(names, float("nan"))
        records = [record for record in records if record.image_id in predictions]
        # A detector that has learned nothing may give but a few boxes in a corner.
        known_pixels = self.predict is None
        if self._single:
            found, _ = metrics.evaluate_localization(predictions, records, self.classes, known_pixels=known_pixels)
        else:
            found = metrics.evaluate_detections(predictions, records, self.classes, known_pixels=known_pixels)
        return found.scalars()
