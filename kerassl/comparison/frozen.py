"""Trials on frozen features, which are computed once for a variant, and once for variants with the same weights."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from kerassl import backbones, callbacks, detectors, metrics
from kerassl._display import verbosity
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.state import write_json
from kerassl.backbones.batch_norm import batch_norms
from kerassl.comparison.trials import write_record
from kerassl.config.sources import Sources, without_labels
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.runs import pretrain_neck as neck
from kerassl.runs import running
from kerassl.runs.plan.stages import Plan, Reestimation, Stage, Training
from kerassl.runs.pretrain import is_whole
from kerassl.runs.start import start

log = logging.getLogger("kerassl")

_IMAGES, _BATCH = 2000, 32


def reestimate(stage: Reestimation, data: Sources) -> None:
    """Re-estimate the batch normalization of a backbone on images without labels, whole and at the features' size.

    Pre-training leaves the moving statistics of small, cropped and recolored views. A variance never falls below the
    one that training left: whole images alone vary less in some channels, by up to ten times; the few that do not
    would come out a hundred times as large as others, and ruin what learns from them.
    """
    if is_whole(stage.file):
        return
    size, paths = stage.settings.image_size, without_labels(data, _IMAGES, stage.seed)
    backbone = start(stage.network, stage.weights, stage.seed)
    log.info("re-estimating the batch norm of %s on %d images at %d px", stage.variant, len(paths), size)
    layers = batch_norms(backbone)
    before = [layer.moving_variance.numpy() for layer in layers]
    backbones.reestimate_batch_norm(backbone, (images for _, images, _, _ in letterboxed_batches(paths, size, _BATCH)))
    for layer, least in zip(layers, before):
        layer.moving_variance.assign(np.maximum(layer.moving_variance.numpy(), least))
    backbones.save(backbone, stage.file)


class FrozenTrials:
    """Runs the trials on frozen features, and keeps the features of the variant in work.

    Args:
        plan: `Plan`.
        left: The stages of it that are to be done.
        data: `Sources`.
        records: Function from number of labels and seed to the records to train on.
        limit: `TimeLimit`.
    """

    def __init__(
        self, plan: Plan, left: Sequence[Stage], data: Sources, records: Callable, limit: running.TimeLimit
    ) -> None:
        self.data, self.records, self.limit = data, records, limit
        self._trials = [stage for stage in plan.trials if stage.protocol == "frozen"]
        self._left = [stage for stage in self._trials if stage in left]
        self._variant: str | None = None
        self._features: tuple = ()

    def run(self, stage: Training) -> None:
        """Train and score the head of a trial.

        Raises:
            OutOfTimeError: if the limit is over.
        """
        if self._variant != stage.variant:
            self.limit.check()
            self._variant, self._features = stage.variant, self._computed(stage)
        self.limit.check()
        self._train(stage, *self._features)
        self._left.remove(stage)
        if not any(other.features == stage.features for other in self._left):
            self._variant, self._features = None, ()
            _files.clear(stage.features)  # type: ignore[arg-type]  # a frozen trial has features

    def _computed(self, stage):
        """Return the features to train and to score on, the rows of the records, and the neck to start from."""
        # Of all trials, done or not, so that a run that is resumed finds the features that it kept.
        same = [other for other in self._trials if other.variant == stage.variant]
        # One random start for all of them: the features are those of one network.
        backbone = start(stage.network, stage.weights, stage.network_seed)
        backbone.trainable = False
        wanted = {record.image_id: record for other in same for record in self.records(other.labels, other.seed)}
        log.info(
            "features of %s: %d images to learn from, %d to score on", stage.variant, len(wanted), len(self.data.test)
        )
        plan = stage.settings
        settings = {"image_size": plan.image_size, "levels": plan.levels, "cache": stage.features}
        settings["verbose"] = int(verbosity() == 1)
        train = detectors.FrozenFeatures(backbone, [wanted[name] for name in sorted(wanted)], **settings)
        test = detectors.FrozenFeatures(backbone, self.data.test, flip=False, **settings)
        rows = {record.image_id: row for row, record in enumerate(train.records)}
        return train, test, rows, self._neck(stage, backbone) if plan.neck else None

    def _neck(self, stage, backbone):
        """Return the localizer with a pre-trained neck that all heads of a variant start from."""
        self.limit.check()
        plan = stage.settings
        model = detectors.Localizer(backbone, self.data.classes, plan.image_size, plan.num_filters, plan.levels)
        neck.pretrain_neck(plan, "frozen", model, self.data, stage.folder, stage.network_seed, stage.features)
        return model

    def _train(self, stage, train, test, rows, begin):
        """Train and score one head."""
        plan, begun = stage.settings, time.perf_counter()
        records = self.records(stage.labels, stage.seed)
        own = [rows[record.image_id] for record in records if record.image_id in rows]
        if not own:
            raise UserError(f"none of {stage.labels} labeled images has an object that is not difficult; label more")
        logs = []
        if stage.keeps:
            logs = [callbacks.MetricsFile(stage.logs / "metrics.jsonl", stage.stage, plan.batch_size, rewind=True)]
        log.info("a head on %s, %s labels, seed %d", stage.variant, stage.labels or "all", stage.seed)
        model = detectors.fit_frozen(
            train.take(own),
            self.data.classes,
            epochs=plan.epochs,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
            num_filters=plan.num_filters,
            start=begin,
            seed=stage.seed,
            callbacks=logs,
        )
        running.check_finite(model.history.history, f"the head on {stage.variant}")
        predictions = detectors.predict(model, test, verbose=0)
        found, each = metrics.evaluate_localization(predictions, test.records, self.data.classes)
        figures = found.to_dict()
        figures["minutes"] = (time.perf_counter() - begun) / 60
        if stage.keeps:
            with _files.whole(stage.folder / "frozen.keras") as part:
                model.save(part)
            metrics.save_predictions(stage.folder / "frozen_predictions.json", predictions)
            write_json(stage.folder / "frozen.json", figures)
        write_record(stage, figures, each.to_dict(), len(own), math.ceil(len(own) / plan.batch_size) * plan.epochs)
