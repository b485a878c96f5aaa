"""Average precision while a detector is trained."""

import numpy as np

from kerassl import detectors, metrics
from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.datasets.class_names import check_numbering
from kerassl.metrics.checks import FARTHEST, class_places

_DETECTOR = ("voc07_ap50", "voc10_ap50", "coco_ap", "coco_ap50", "coco_ap75", "coco_ar100")
_LARGEST = ("mean_iou", "loc_acc_50", "loc_acc_70")


class Evaluation(keras.callbacks.Callback):
    """Adds what a detector is worth on labeled images to the logs of `fit`, as `val_voc07_ap50` and `val_coco_ap`.

    It measures after the first epoch of a `fit`, then after every `every` epochs, and after the last. Between, the logs
    keep the figures that were measured last, so that every line of a `CSVLogger` has the same columns and
    `ModelCheckpoint` sees no new best. Put it before the callbacks that read logs; `ModelCheckpoint` and
    `EarlyStopping` want `mode="max"` with these names. Who picks the best epoch by it picks by these images: they are
    not the ones to publish figures on.

    Logged are the floats of `metrics.evaluate_detections` with `val_` before them: `val_voc07_ap50`, `val_voc10_ap50`,
    `val_coco_ap`, `val_coco_ap50`, `val_coco_ap75`, `val_coco_ar100`, `val_mean_iou`, `val_loc_acc_50`,
    `val_loc_acc_70`, `val_top1` and `val_top3`; of a `Localizer`, which gives one box an image, those from
    `val_mean_iou` on, on the images that have an object, with the Top-3 of all its logits. Images that cannot be read
    are named in the log and left out. A model that has diverged gets nan.

    Args:
        records: list of `datasets.Record`, the labeled images.
        classes: sequence of str, the names by which the records were numbered; the model's own in any order.
        every: int > 0. Measure after every so many epochs.
        score_threshold: float in [0, 1). Lower scores are dropped; see `detectors.predict`.
        predict: function of model and records that gives predictions as `detectors.predict` does, for models that are
            neither a detector of `detectors` nor a `Localizer`; or None.
        ema: `EMA` of the same `fit`, or None. Its averages are evaluated, not the last step's weights.

    Raises:
        UserError: if no record has an object that is to be found, a number is out of range; when training begins, if
            the model is no detector and there is no `predict`, or its classes have other names.

    Example:
        >>> records = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "val")
        >>> best = keras.callbacks.ModelCheckpoint("best.keras", "val_coco_ap", save_best_only=True, mode="max")
        >>> scores = kerassl.detectors.Evaluation(records, kerassl.datasets.VOC_CLASSES, every=5)
        >>> detector.fit(images, epochs=50, callbacks=[scores, best])
    """

    def __init__(self, records, classes, every=1, *, score_threshold=0.01, predict=None, ema=None):
        super().__init__()
        if not COUNT.fits(every):
            raise UserError(f"Evaluation: every is {every}; give a whole number of epochs above 0, as 1")
        self.records, self.classes, self.every = list(records), tuple(classes), int(every)
        check_numbering(self.records, self.classes)
        if all(record.largest() is None for record in self.records):
            raise UserError(
                f"Evaluation: none of {len(self.records)} images holds an object that is to be found; give labeled "
                "images"
            )
        self.score_threshold, self.predict, self.ema = float(score_threshold), predict, ema

    def on_train_begin(self, logs=None):
        # Here: the rooms of the models come after this one.

        self._single = isinstance(self.model, detectors.Localizer)
        if self.predict is None and not self._single and not isinstance(self.model, detectors.Detector):
            raise UserError(
                f"Evaluation cannot tell what {type(self.model).__name__} detects; give predict, a function of model "
                "and records, or use it with a detector of kerassl or a Localizer"
            )
        own = getattr(self.model, "class_names", None)
        if own is not None:
            self._order = np.argsort(class_places(own, self.classes, "the model", "the records of Evaluation"))
        self._begun, self._figures = None, {}

    def on_epoch_end(self, epoch, logs=None):
        self._begun = epoch if self._begun is None else self._begun
        last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if last or (epoch - self._begun) % self.every == 0:
            self._figures = {f"val_{name}": value for name, value in self._measure().items()}
        logs.update(self._figures)

    def _measure(self):
        if self.ema is None:
            return self._measured()
        with self.ema.held():
            return self._measured()

    def _measured(self):
        if self._single:
            return self._measure_localizer()
        predictions = self._predictions()
        # A detector that has learned nothing may give but a few boxes in a corner.
        return self._figures_of(predictions, (*_DETECTOR, *_LARGEST, "top1", "top3"), self.predict is None)

    def _predictions(self):
        if self.predict is not None:
            found = self.predict(self.model, self.records)
            names = getattr(found, "classes", None) or getattr(self.model, "class_names", None)
            return metrics.Predictions(found, names)

        return detectors.predict(self.model, self.records, score_threshold=self.score_threshold, verbose=0)

    def _measure_localizer(self):

        records = {record.image_id: record for record in self.records if record.largest() is not None}
        predictions, logits = detectors.localizer_predictions(self.model, list(records.values()))
        ranks = (1, min(3, len(self.classes)))
        figures = self._figures_of(predictions, _LARGEST, True)
        if not np.isfinite(logits).all():
            return {**figures, **{f"top{rank}": float("nan") for rank in ranks}}
        logits = logits[:, self._order]
        labels = [records[image_id].classes[records[image_id].largest()] for image_id in predictions]
        return {**figures, **metrics.topk(logits, labels, ranks)}

    def _figures_of(self, predictions, names, known_pixels):
        parts = [one[key] for one in predictions.values() for key in ("boxes", "scores")]
        if not all((np.abs(part) <= FARTHEST).all() for part in parts):  # NaN is not
            # To stop it is another callback's business.
            return dict.fromkeys(names, float("nan"))
        records = [record for record in self.records if record.image_id in predictions]
        figures = metrics.evaluate_detections(predictions, records, self.classes, known_pixels=known_pixels)
        return {name: figures[name] for name in names}
