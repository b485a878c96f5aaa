"""Progress of a training: a line an epoch where there is no terminal, a bar where there is one."""

import itertools

import pytest

from kerassl.runs import progress
from kerassl.runs.progress import Progress

pytestmark = pytest.mark.current_stack


def _fit(title="student", metric="val_coco_ap", epochs=3):
    callback = Progress(title, batch_size=8)
    callback.set_params({"steps": 5, "epochs": epochs})
    callback.on_train_begin()
    for epoch in range(1, epochs):  # the first was done before
        callback.on_epoch_begin(epoch)
        for step in range(5):
            callback.on_train_batch_end(step, {"loss": 2.0})
        callback.on_epoch_end(epoch, {"loss": 2.0 / (1 + epoch), metric: 0.123})
    callback.on_train_end()


@pytest.mark.parametrize("title", ["student", "x" * 500, "two\nlines"])
def test_line_of_an_epoch_is_short_when_there_is_no_terminal(title, capsys):
    _fit(title)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 100
    assert "epoch 2/3  loss 1  validation AP COCO 12.3 %" in lines[0]
    assert "AP COCO" not in lines[1]  # it was not scored again
    assert "0:00 left" in lines[-1]


def test_first_step_does_not_count_when_it_compiles(capsys, monkeypatch):
    clock = itertools.chain([0, 0, 9000, 9200, 9400, 9600, 9800, 20000], itertools.count(20000, 1000))
    monkeypatch.setattr(progress.time, "perf_counter", clock.__next__)
    _fit()
    assert capsys.readouterr().out.splitlines()[0].endswith("  0.04 images/s  16:40 left")


def test_bar_counts_the_images_of_all_epochs_when_there_is_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "verbosity", lambda: 1)
    _fit()
    shown = capsys.readouterr()
    assert not shown.out
    last = shown.err.split("\r")[-1]
    assert "120/120" in last
    assert "image/s" in last
