"""`kerassl geometry`: the feature spaces of several arms beside each other, on one page with its figures in a json."""

import json
import pathlib
import time

from kerassl import backbones, datasets, features
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._lazy import keras
from kerassl.backbones.families import canonical
from kerassl.datasets.subset import subset
from kerassl.report import features_page as geometry_page
from kerassl.runs import outputs, running
from kerassl.runs.explain import load_arm, named, one_size
from kerassl.runs.model_files import describe
from kerassl.runs.results import machine
from kerassl.runs.sources import labelled_split


def write_geometry(options, config):
    """Writes the page, and the figures beside it under the same name with `.json`.

    Args:
        options: those of the command.
        config: the resolved configuration, for `data.voc` and `data.images`.
    """
    begun = time.time()
    page = pathlib.Path(options.out)
    outputs.check_file(page, (".html", ".htm"), "a page")
    outputs.check_file(page.with_suffix(".json"))
    seed, paths = config.seed, named(options.arms)
    images, source = _images(options, config, seed)
    size = one_size({name: describe(path) for name, path in paths.items() if not _is_network(path)}, options.image_size)
    arms, seen = {}, {}
    for name, path in paths.items():
        arms[name], seen[name] = _arm(path, seed)
    figures = features.geometry(
        arms,
        images,
        image_size=size,
        homology=options.homology,
        seed=seed,
        verbose=int(running.verbosity() != 2),
    )
    figures |= {
        "source": source,
        "seen": seen,
        "minutes": (time.time() - begun) / 60,
        "machine": machine(),
    }
    with _files.whole(page.with_suffix(".json")) as part:
        part.write_text(json.dumps(figures, indent=1, default=float) + "\n", encoding="utf-8")
    with _files.whole(page) as part:
        part.write_text(geometry_page.page(figures), encoding="utf-8")
    print(geometry_page.table_text(figures))
    print(f"{figures['images']} images, {len(arms)} arms, {figures['minutes']:.1f} minutes: {page}")


def _images(options, config, seed):
    """Records or paths, and where they are from in words."""
    if options.images and options.voc:
        raise UserError(f"both --images {options.images[0]} and --voc {options.voc} are named; give one of them")
    voc, count = config.data.voc, options.count
    if voc is not None and not options.images:
        classes = tuple(voc.classes or datasets.VOC_CLASSES)
        records = labelled_split(config, voc.test, classes)
        labels = {record.image_id: set(record.classes[~record.crowd].tolist()) for record in records}
        chosen = set(subset(list(labels), count=min(count, len(records)), seed=seed, labels=labels))
        records = [record for record in records if record.image_id in chosen]
        return records, f"{pathlib.Path(voc.root).name}, {voc.title(voc.test)}"
    named_images = options.images or config.data.images
    if not named_images:
        raise UserError("no images are named; give --voc a VOCdevkit, or --images a folder of them")
    paths = datasets.image_files(named_images)
    names = ", ".join(pathlib.Path(path).name for path in named_images[:3])
    return subset(paths, count=min(count, len(paths)), seed=seed), names


def _is_network(path):
    return canonical(path) is not None and not pathlib.Path(path).exists()


def _arm(path, seed):
    """An arm's network, and what it was made from in words."""
    if _is_network(path):
        keras.utils.set_random_seed(seed)
        return backbones.build(path), f"{canonical(path)} with random weights (seed {seed})"
    return load_arm(path), f"{pathlib.Path(path).name}"
