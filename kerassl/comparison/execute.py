"""Several variants down the whole road, into one report."""

import dataclasses
import logging
import time

from kerassl import serving
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl.comparison import trials, variants
from kerassl.comparison import variant_probe as variant_probe
from kerassl.comparison.summary import summarize
from kerassl.comparison.variant_images import variant_pictures
from kerassl.detectors.localizer.levels import NECK_LEVELS
from kerassl.report.comparison import comparison_text
from kerassl.resizing import check_image_size
from kerassl.runs import config as configuration
from kerassl.runs import running
from kerassl.runs.model_files import load
from kerassl.runs.results import write_results
from kerassl.runs.run_card import run_card
from kerassl.runs.sources import check_decoded, kept_aside, sources
from kerassl.runs.time_limit import TimeLimit
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS, PROTOCOLS

log = logging.getLogger("kerassl")


def compare(config, folder, limit=None):
    """Pre-trains where a variant asks for it, trains and scores every trial of the grid, draws, exports and reports.

    Each stage leaves whole files; a comparison that is started again does what is missing.

    Args:
        config: `Config`.
        folder: `pathlib.Path` of the run, claimed by `run_folder`.
        limit: `TimeLimit`, or None.

    Returns:
        `pathlib.Path` of `report.html`.

    Raises:
        UserError: if the configuration names no way of measuring, or what it names cannot be used.
        OutOfTimeError: if the limit is over and something is left to do.
    """
    protocols, limit, begun = configuration.protocols(config), limit or TimeLimit(), time.time()
    if not protocols:
        raise UserError(
            "there is nothing to compare; add a section 'frozen:', 'localizer:' or 'detector:' to the configuration"
        )
    for protocol in protocols:
        check_image_size(getattr(config, protocol).image_size)
    variants.check_starts(config)
    variants.check_necks(config, folder)
    data, aside = _split(config, folder)
    work = trials.Trials(config, data, folder, limit)
    # What is wrong there is told before anything is trained.
    variants.check_images(config, data.images)
    work.check()
    check_decoded(data)
    running.prepare(config)
    variant_probe.make_probes(config)
    pretrained = variants.pretrain_variants(config, data.images, folder, limit)
    probed = variant_probe.probe_variants(config, data, folder, limit)
    found = work.run()
    table = trials.table_figures(config, found)
    told = {}
    for name, variant in config.variants.items():
        told[name] = {"start": variant.start, "seen": variants.seen_by(config, name, pretrained[name], data.generated)}
        if pretrained[name] is not None:
            told[name]["pretrain"] = pretrained[name]
        if probed:
            told[name]["probe"] = probed[name]
        told[name] |= table[name]
    judged = _significance(config, found, probed)
    pictures = variant_pictures(config, data, folder)
    servable = _servable(config, folder)
    places = variants.places(config, folder)
    plain = next((pretrained[name] for name in config.variants if places[name] == folder), None)
    page = write_results(
        folder,
        "kerassl: variants compared",
        f"{len(data.train)} labeled images to fine-tune on, {len(data.test)} to score on, which no variant has "
        f"seen{aside}. Network: {config.backbone}{_cut(config)}{_levels(config)}. {_grid(found)}Servable: "
        f"{servable.relative_to(folder)}.",
        begun,
        generated=data.generated,
        pretrain=plain,
        variants=told,
        significance=judged,
        pictures=pictures,
    )
    print(_table(table, protocols) if judged is None else comparison_text(judged))
    print(f"report: {page}")
    return page


def _split(config, folder):
    """The images and labels, and in words which images to score on were kept aside."""
    data, common = sources(config, folder), config.compare
    if not common.tuning_images:
        return data, ""
    chosen = kept_aside(config, folder, data, common.tuning_images)
    test = [record for record in data.test if (record.image_id in chosen) == (common.split == "tuning")]
    if not test:
        raise UserError(
            f"compare.tuning_images is {common.tuning_images}, which leaves no image to report on; keep fewer aside"
        )
    which = "those" if common.split == "tuning" else "without those"
    return dataclasses.replace(data, test=test), f" ({which} {common.tuning_images} that settings are chosen on)"


def _significance(config, found, probed):
    """What the trials show of the variants against each other; None of a single one."""
    if len(config.variants) == 1:
        return None
    common = config.compare
    baseline, sanity_check = (
        common.baseline or list(config.variants)[-1],
        common.sanity_check and common.sanity_check.model_dump(),
    )
    return {**summarize(found, baseline=baseline, sanity_check=sanity_check, seed=config.seed), "probe": probed}


def _cut(config):
    return "" if config.cut_at is None else f", cut after {config.cut_at}"


def _levels(config):
    """What necks take of the network, where it is not what they always do."""
    told = ""
    for protocol in ("frozen", "localizer"):
        section = getattr(config, protocol)
        if section is not None and tuple(section.levels) != NECK_LEVELS:
            told += f", {' and '.join(section.levels)} alone for {PROTOCOLS[protocol]}"
    return told


def _grid(found):
    """How a grid is to be read; nothing where there is one trial a variant."""
    if len({(trial["labels"], trial["seed"]) for trial in found}) == 1:
        return ""
    return (
        f"{len(found)} trainings on labels. A seed chooses which images are labeled, for all variants alike, and "
        "sets the "
        "start of what is new and the order; the fewer labels of a seed are among the more. Each variant is "
        "pre-trained once, and on frozen features a random start is one network for all seeds. "
    )


def _servable(config, folder):
    """The first variant's model of the last way of measuring, exported."""
    task = configuration.protocols(config)[-1]
    name = configuration.axes(config, task)[0][0]
    out = folder / "servables" / task / "1"
    if not out.exists():
        model = folder / "variants" / configuration.slug(name) / f"{task}.keras"
        serving.export(load(model), out, about=run_card(model))
    return out


def _table(table, protocols):
    lines = []
    for protocol in protocols:
        rows = {name: row[protocol] for name, row in table.items() if protocol in row}
        keys = [key for key in (*LOCALIZATION_METRICS, *AP_METRICS) if all(key in row for row in rows.values())]
        lines.append(f"{protocol:24}" + "".join(f"{key:>12}" for key in keys))
        for name, row in rows.items():
            lines.append(f"{printable(name):24}" + "".join(f"{100 * row[key]:12.1f}" for key in keys))
    return "\n".join(lines)
