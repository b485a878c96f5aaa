"""Classification by a variant's pooled features, before any label of an object."""

from __future__ import annotations

import time

from kerassl import callbacks
from kerassl._io.state import write_json
from kerassl._lazy import tf
from kerassl.runs import running
from kerassl.runs.plan.stages import Probing
from kerassl.runs.start import start


def run(stage: Probing, earlier: dict[str, dict], limit: running.TimeLimit) -> dict:
    """Score the pooled features of a variant by nearest neighbors and by a linear classifier.

    Args:
        stage: `plan.Probing`.
        earlier: Dict from the names of earlier stages to their figures.
        limit: `TimeLimit`.

    Returns:
        Dict of figures, as in `trials/<variant>/probe.json`.

    Raises:
        UserError: if the labeled images cannot be read.
        OutOfTimeError: if the limit is over and it is to be done.
    """
    found = stage.kept()
    if found is not None:
        return found["figures"]
    begun = time.perf_counter()
    if stage.same is None:
        limit.check()
        backbone, probes = start(stage.network, stage.weights, stage.seed), make_probes(stage)

        def embed(images):
            return tf.cast(tf.reduce_mean(backbone(images, training=False), [1, 2]), tf.float32)

        figures = {key: value for probe in probes for key, value in probe.measure(embed).items()}
    else:
        figures = earlier[stage.same]
    content = {"variant": stage.variant, "image_size": stage.image_size, "figures": figures}
    write_json(stage.outputs[0], {**content, "minutes": (time.perf_counter() - begun) / 60})
    return figures


def make_probes(stage: Probing) -> list:
    """Return the probes of a stage; folders that are missing or unfit are refused."""
    made = (callbacks.LinearProbe, callbacks.KNNProbe)
    return [make(stage.settings.train, stage.settings.test, image_size=stage.image_size) for make in made]
