import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.callbacks import MetricsFile, Resume
from kerassl.callbacks.metrics_lines import read_metrics
from kerassl.optimizers import LARS


def small_model(units=3):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, name="dense")])
    model.compile(LARS(0.1), loss="mse")
    return model


def batches(units=3):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 4)), random.normal(size=(12, units))
    return tf.data.Dataset.from_tensor_slices((x.astype("float32"), y.astype("float32"))).batch(4)


def test_metrics_file_holds_a_line_an_epoch_and_every_given_number_of_steps(tmp_path):
    path = tmp_path / "deep" / "metrics.jsonl"
    small_model().fit(batches(), epochs=2, verbose=0, callbacks=[MetricsFile(path, "probe", 4, every=2)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["kind"], line["epoch"], line["step"]) for line in lines] == [
        ("step", 1, 2),
        ("epoch", 1, 3),
        ("step", 2, 4),
        ("step", 2, 6),
        ("epoch", 2, 6),
    ]
    assert all(line["stage"] == "probe" and line["loss"] > 0 and line["images_per_second"] > 0 for line in lines)


@pytest.mark.current_stack
def test_metrics_file_is_continued_when_a_process_was_killed(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    other = {"kind": "epoch", "stage": "other", "epoch": 9, "step": 99}
    own = [{"kind": kind, "stage": "probe", "epoch": 1, "step": step} for kind, step in (("step", 2), ("epoch", 3))]
    lines = "".join(json.dumps(line) + "\n" for line in (other, *own))

    def continued(text, **settings):
        path.write_text(text)
        caplog.clear()
        small_model().fit(batches(), verbose=0, callbacks=[MetricsFile(path, "probe", **settings)])
        return [json.loads(line) for line in path.read_text().splitlines()]

    for half in ('{"kind": "epo', "{"):
        found = continued(lines + half)
        assert found[:3] == [other, *own]
        assert [line["step"] for line in found[3:]] == [3]
        assert f"the last line of {path} is half written; it is dropped" in caplog.text
    assert continued(lines[:-1])[:3] == [other, *own]  # all of the last line, without its end
    assert not [record for record in caplog.records if record.name == "kerassl"]
    # Steps that are trained again are in the file once.
    found = continued(lines + '{"ki', rewind=True, every=2)
    assert found[0] == other
    assert [(line["kind"], line["step"]) for line in found[1:]] == [("step", 2), ("epoch", 3)]
    path.write_text(f"{lines}half\n[1]\n")
    assert [line["step"] for line in read_metrics(path)] == [99, 2, 3]
    assert f"2 of 5 lines of {path} are damaged" in caplog.text


def test_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(tmp_path):
    lines = MetricsFile(tmp_path / "metrics.jsonl", every=2)
    whole = small_model()
    start = whole.get_weights()
    whole.fit(batches(), epochs=3, verbose=0, callbacks=[lines])
    expected = [(line["kind"], line["step"]) for line in read_metrics(lines.path)]

    first = small_model()
    first.set_weights(start)
    first.fit(batches(), epochs=2, verbose=0, callbacks=[Resume(tmp_path)])
    second, resume = small_model(), Resume(tmp_path)
    assert resume.epoch == 2
    resume.restore(second)
    second.fit(batches(), epochs=3, initial_epoch=resume.epoch, verbose=0, callbacks=[lines, resume])
    # The third epoch was in the file already, and is there once.
    assert [(line["kind"], line["step"]) for line in read_metrics(lines.path)] == expected
    for expected, value in zip(whole.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(value, expected)


def test_restore_starts_from_nothing_when_there_is_no_checkpoint(tmp_path):
    model, resume = small_model(), Resume(tmp_path / "new")
    before = model.get_weights()
    resume.restore(model)
    assert resume.epoch == 0
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_restore_is_refused_and_changes_nothing_when_network_differs(tmp_path):
    small_model().fit(batches(), verbose=0, callbacks=[Resume(tmp_path)])
    other = small_model(units=5)
    before = other.get_weights()
    with pytest.raises(UserError, match="another network"):
        Resume(tmp_path).restore(other)
    np.testing.assert_array_equal(other.get_weights()[0], before[0])
