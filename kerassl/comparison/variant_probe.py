"""Top-1 and Top-3 of a variant's features on photographs of another kind, before any label of an object."""

import time

from kerassl import callbacks
from kerassl._lazy import tf
from kerassl.comparison import variants
from kerassl.comparison.feature_weights import feature_weights
from kerassl.runs import config as configuration
from kerassl.runs import running
from kerassl.runs.kept import read_kept
from kerassl.runs.start import start


def probe_variants(config, data, folder, limit):
    """Judges the pooled features of every variant by the nearest neighbours and by a linear classifier.

    Args:
        config: `Config`, of which `compare.probe` names the photographs. They are seen at the side of the first way of
            measuring.
        data: `Sources`.
        folder: `pathlib.Path` of the run.
        limit: `TimeLimit`.

    Returns:
        Dict from variant to figures, as they stand in `trials/<variant>/probe.json`; empty where no photographs are
        named.

    Raises:
        UserError: if the photographs cannot be read.
        OutOfTimeError: if the limit is over and a variant is left.
    """
    if config.compare.probe is None:
        return {}
    return {name: _probe(config, name, data, folder, limit) for name in config.variants}


def _probe(config, name, data, folder, limit):
    done = _file(folder, name)
    found = read_kept(done, "figures")
    if found is not None:
        return found["figures"]
    network = _network(config, name, folder)
    first = next(variant for variant in config.variants if _network(config, variant, folder) == network)
    same = None if first == name else read_kept(_file(folder, first), "figures")
    if same is None:
        limit.check()
        begun = time.perf_counter()
        weights = network[0] if config.frozen is None else feature_weights(config, name, folder, data)
        found = {"variant": name, **_measured(config, start(config, weights))}
        found["minutes"] = (time.perf_counter() - begun) / 60
    else:  # the same network has been judged
        found = {**same, "variant": name}
    running.write_json(done, found)
    return found["figures"]


def _network(config, name, folder):
    """What tells one network from another."""
    return variants.weights(config, name, folder), config.frozen is not None and variants.measured_anew(config, name)


def _file(folder, name):
    return folder / "trials" / configuration.slug(name) / "probe.json"


def _measured(config, backbone):
    probes = make_probes(config)

    def embed(images):
        return tf.cast(tf.reduce_mean(backbone(images, training=False), [1, 2]), tf.float32)

    figures = {key: value for probe in probes for key, value in probe.measure(embed).items()}
    return {"image_size": probes[0].image_size, "figures": figures}


def make_probes(config):
    """The probes that `compare.probe` asks for; refuses folders that are missing or unfit."""
    named = config.compare.probe
    if named is None:
        return []
    size = getattr(config, configuration.protocols(config)[0]).image_size
    made = (callbacks.LinearProbe, callbacks.KNNProbe)
    return [make(named.train, named.test, image_size=size) for make in made]
