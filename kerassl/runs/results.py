"""The files that every run leaves: `results.json` and `report.html`."""

from __future__ import annotations

import dataclasses
import pathlib
import time
import typing

from kerassl._environment import machine
from kerassl._io import files as _files
from kerassl._io.state import write_json
from kerassl.callbacks.metrics_lines import read_metrics
from kerassl.report.plots import Plot
from kerassl.report.run import run_page


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        folder: `pathlib.Path` of the run.
        report: `pathlib.Path` of its page.
        results: Dict, as in `results.json`.
        model: `pathlib.Path` of the backbone, detector or localizer that it trained, or None of a comparison.
    """

    folder: pathlib.Path
    report: pathlib.Path
    results: dict
    model: pathlib.Path | None = None


def write_results(
    folder: pathlib.Path,
    title: str,
    summary: str,
    begun: float,
    model: pathlib.Path | None = None,
    **results: typing.Any,
) -> RunResult:
    """Write `results.json` and `report.html` of a run.

    Args:
        folder: folder of the run, with `config.yaml` and `metrics.jsonl` if it has them.
        title: heading of the page.
        summary: first sentence of the page.
        begun: time at which the run began, in seconds.
        model: `pathlib.Path` of the model that it trained, or None.
        **results: `generated` (bool), and of `pretrain`, `variants`, `significance`, `choice`, `labels` and `images`
            those of the run.
    """
    minutes = (time.time() - begun) / 60
    results = {"title": title, "summary": summary, "machine": machine(), "minutes": minutes, **results}
    write_json(folder / "results.json", results)
    metrics, config = folder / "metrics.jsonl", folder / "config.yaml"
    lines = read_metrics(metrics) if metrics.exists() else []
    settings = config.read_text(encoding="utf-8", errors="replace") if config.exists() else ""
    images = [
        Plot(each["title"], each["text"], (folder / each["file"]).read_bytes()) for each in results.get("images", [])
    ]
    page = folder / "report.html"
    with _files.whole(page) as part:
        part.write_text(run_page(results, lines, settings, images), encoding="utf-8")
    return RunResult(folder, page, results, model)
