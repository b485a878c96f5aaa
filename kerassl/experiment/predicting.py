"""What a trained model says of images, and the figures of that."""

import numpy as np

from kerassl import detectors, metrics, models
from kerassl.experiment.running import verbosity


def score(model, records, classes):
    """Figures of a localiser or a detector on records, and its predictions."""
    if not isinstance(model, models.Localizer):
        predictions = detections(model, records)
        return metrics.evaluate_detections(predictions, records, classes), predictions
    records = [record for record in records if record.largest() is not None]
    predictions, logits = models.localizer_predictions(model, records)
    return scored(predictions, logits, records, classes), predictions


def scored(predictions, logits, records, classes):
    """Figures of what `models.localizer_predictions` returned for records, each of which has an object."""
    labels = np.array([record.classes[record.largest()] for record in records])
    figures = metrics.evaluate_detections(predictions, records, classes)
    figures = {key: figures[key] for key in ("mean_iou", "loc_acc_50", "loc_acc_70")}
    return {**figures, **metrics.topk(logits, labels, (1, min(3, len(classes))))}


def detections(model, images, score_threshold=0.01):
    """What a detector or a localiser finds in records or files, by image id."""
    if isinstance(model, models.Localizer):
        return models.localizer_predictions(model, images)[0]
    return detectors.predict(model, images, score_threshold=score_threshold, verbose=verbosity() == 1)
