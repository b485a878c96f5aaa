"""One trial of a comparison: a training on labels, its scoring, and the file that says that it is done."""

import json
import logging
import math
import time

from kerassl import callbacks, detectors, metrics
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.comparison import grid, variants
from kerassl.comparison.feature_weights import feature_weights
from kerassl.runs import config as configuration
from kerassl.runs import finetune as finetuning
from kerassl.runs import pretrain_neck as neck
from kerassl.runs import running
from kerassl.runs.kept import read_kept
from kerassl.runs.predict import each_image, scored
from kerassl.runs.sources import some_labels
from kerassl.runs.start import start
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS

log = logging.getLogger("kerassl")

FIGURES = (*LOCALIZATION_METRICS, *AP_METRICS, "coco_ar100")
"""What a trial's file tells, where the way of measuring has it; all in [0, 1]."""


_CONTENT = ("variant", "protocol", "labels", "seed", "images", "figures", "per_image", "minutes", "steps")


class Trials:
    """Does the trials of a comparison and knows which are done.

    Args:
        config: `Config`.
        data: `Sources`.
        folder: `pathlib.Path` of the run.
        limit: `TimeLimit`.
    """

    def __init__(self, config, data, folder, limit):
        self.config, self.data, self.folder, self.limit = config, data, folder, limit
        self._subsets = {}

    def path(self, trial):
        """The file that a trial leaves when it is done."""
        return self.folder / "trials" / configuration.slug(trial.variant) / f"{trial.name}.json"

    def kept(self, variant):
        """The folder of a variant's models that are kept."""
        return self.folder / "variants" / configuration.slug(variant)

    def records(self, trial):
        """The labeled images that a trial learns from."""
        key = (trial.labels, trial.seed)
        if key not in self._subsets:
            self._subsets[key] = some_labels(self.config, self.folder, self.data, *key)
        return self._subsets[key]

    def check(self):
        """Refuses more labels than there are, before anything is trained."""
        for protocol in configuration.protocols(self.config):
            _, labels, seeds = configuration.axes(self.config, protocol)
            most = max((count for count in labels if count is not None), default=None)
            if most is not None:
                self.records(grid.Trial("", protocol, most, seeds[0]))

    def run(self):
        """Does what is missing.

        Returns:
            List of dicts, what stands in the files of all trials.

        Raises:
            OutOfTimeError: if the limit is over and something is left to do.
        """
        todo = [trial for trial in grid.trials(self.config) if self._done(trial) is None]
        for protocol in configuration.protocols(self.config):
            own = [trial for trial in todo if trial.protocol == protocol]
            if protocol == "frozen":
                self._all_frozen(list(dict.fromkeys(trial.variant for trial in own)))
            else:
                for trial in own:
                    self.limit.check()
                    with grid.of_variant(trial.variant):
                        self._finetuned(trial)
        _files.clear(self.folder / "features")  # what a run that was killed may have left
        return [self._done(trial) for trial in grid.trials(self.config)]

    def _done(self, trial):
        """What a trial's file holds, or None where the trial is to be done."""
        return read_kept(self.path(trial), *_CONTENT)

    def _finetuned(self, trial):
        """A localiser or a detector that is trained on the images."""
        kept, own = grid.is_kept(self.config, trial), self.path(trial).with_suffix("")
        out = self.kept(trial.variant) if kept else own
        records, plan = self.records(trial), grid.section(self.config, trial.protocol, trial.variant)
        config = self.config.model_copy(update={"seed": trial.seed, trial.protocol: plan})
        data = self.data.with_labels(records)
        stage = f"{trial.protocol}:{trial.variant}"
        weights, logs = variants.weights(config, trial.variant, self.folder), self.folder
        if not kept:  # the page draws the curves of those that are kept
            stage, logs = f"{trial.protocol}:{trial.variant}:{trial.name}", self.folder / "trials"
        figures = finetuning.finetune(config, trial.protocol, weights, data, logs, out, stage, self.limit)
        if trial.protocol == "localizer":
            records = [record for record in records if record.largest() is not None]
        images = len(records)
        steps = math.ceil(images / plan.batch_size) * plan.epochs
        each = json.loads((out / f"{trial.protocol}_images.json").read_text(encoding="utf-8"))
        self._write(trial, figures, each, images, steps)
        if not kept:
            _files.clear(own)

    def _all_frozen(self, names):
        """What is missing of these variants; of those with the same weights the features are computed once."""
        # Of all variants, done or not, as in `_frozen`: a run that goes on names the folder as before.
        starts = {
            name: variants.weights(self.config, name, self.folder)
            for name in configuration.axes(self.config, "frozen")[0]
        }
        for place, name in enumerate(names):
            first = next(other for other in starts if starts[other] == starts[name])
            cache = self.folder / "features" / configuration.slug(first)
            with grid.of_variant(name):
                self._frozen(name, cache)
            if starts[name] not in [starts[other] for other in names[place + 1 :]]:
                _files.clear(cache)

    def _frozen(self, variant, cache):
        """What is missing of a variant's trials."""
        self.limit.check()
        # Of all trials, done or not: so a run that goes on finds the features that it has kept.
        trials = [trial for trial in grid.trials(self.config) if (trial.protocol, trial.variant) == ("frozen", variant)]
        plan = grid.section(self.config, "frozen", variant)
        # One random start for all of them: the features are those of one network.
        backbone = start(self.config, feature_weights(self.config, variant, self.folder, self.data))
        wanted = {record.image_id: record for trial in trials for record in self.records(trial)}
        log.info("features of %s: %d images to learn from, %d to score on", variant, len(wanted), len(self.data.test))
        settings = {"image_size": plan.image_size, "levels": plan.levels, "cache": cache}
        settings["verbose"] = int(running.verbosity() == 1)
        train = detectors.FrozenFeatures(backbone, [wanted[name] for name in sorted(wanted)], **settings)
        test = detectors.FrozenFeatures(backbone, self.data.test, flip=False, **settings)
        rows = {record.image_id: row for row, record in enumerate(train.records)}
        begin = self._frozen_neck(variant, plan, backbone, cache) if plan.neck else None
        for trial in trials:
            if self._done(trial) is None:
                self.limit.check()
                own = [rows[record.image_id] for record in self.records(trial) if record.image_id in rows]
                self._on_features(trial, train, own, test, begin)

    def _frozen_neck(self, variant, plan, backbone, cache):
        """Pre-train the neck that all heads of a variant on frozen features start from."""
        self.limit.check()
        config = self.config.model_copy(update={"frozen": plan})
        settings = {"width": plan.width, "levels": plan.levels, "freeze": True}
        model = detectors.Localizer(backbone, self.data.classes, plan.image_size, **settings)
        neck.pretrain_neck(config, "frozen", model, self.data, self.kept(variant), cache)
        return model

    def _on_features(self, trial, train, rows, test, begin):
        """One head."""
        plan, begun = self.config.frozen, time.perf_counter()
        if not rows:
            raise UserError(f"none of {trial.labels} labeled images has an object that is not difficult; label more")
        kept, logs = grid.is_kept(self.config, trial), []
        if kept:
            logs = [
                callbacks.MetricsFile(
                    self.folder / "metrics.jsonl", f"frozen:{trial.variant}", plan.batch_size, rewind=True
                )
            ]
        log.info("a head on %s, %s labels, seed %d", trial.variant, trial.labels or "all", trial.seed)
        model = detectors.fit_frozen(
            train.take(rows),
            self.data.classes,
            epochs=plan.epochs,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
            width=plan.width,
            start=begin,
            seed=trial.seed,
            callbacks=logs,
        )
        running.check_finite(model.history.history, f"the head on {trial.variant}")
        predictions, logits = detectors.localizer_predictions(model, test)
        found = (predictions, logits, test.records, self.data.classes)
        figures, each = scored(*found), each_image(*found)
        figures["minutes"] = (time.perf_counter() - begun) / 60
        if kept:
            out = self.kept(trial.variant)
            with _files.whole(out / "frozen.keras") as part:
                model.save(part)
            metrics.save_predictions(out / "frozen_predictions.json", predictions)
            running.write_json(out / "frozen.json", figures)
        self._write(trial, figures, each, len(rows), math.ceil(len(rows) / plan.batch_size) * plan.epochs)

    def _write(self, trial, figures, each, images, steps):
        content = {
            "variant": trial.variant,
            "protocol": trial.protocol,
            "labels": trial.labels,
            "seed": trial.seed,
            "images": images,
            "figures": {name: figures[name] for name in FIGURES if name in figures},
            "per_image": each,
            "minutes": figures["minutes"],
            "steps": steps,
        }
        running.write_json(self.path(trial), content)


def table_figures(config, found):
    """For each variant its figures by way of measuring: the mean over seeds with the most labels, for one table.

    Args:
        config: `Config`.
        found: list of what `Trials.run` gave.

    Returns:
        Dict from variant to dict from protocol to figures; `labels` and `seeds` tell of what they are the mean.
    """
    table = {name: {} for name in config.variants}
    for protocol in configuration.protocols(config):
        names, labels, _ = configuration.axes(config, protocol)
        for variant in names:
            own = [
                trial for trial in found
                if (trial["variant"], trial["protocol"], trial["labels"]) == (variant, protocol, grid.most(labels))
            ]  # fmt: skip
            row = {name: sum(trial["figures"][name] for trial in own) / len(own) for name in own[0]["figures"]}
            row["minutes"] = sum(trial["minutes"] for trial in own) / len(own)
            table[variant][protocol] = {**row, "labels": grid.most(labels), "seeds": len(own)}
            if protocol == "detector":
                table[variant][protocol]["kind"] = config.detector.kind
    return table
