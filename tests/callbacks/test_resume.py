"""Runs that are stopped and go on."""

import os
import pathlib
import random
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from kerassl import SimCLR, UserError, _compat, datasets
from kerassl._io.manifest import Manifest
from kerassl.augment import SimCLRViews
from kerassl.callbacks import Resume
from kerassl.callbacks.state import weights
from kerassl.optimizers import LARS, WarmupCosine

SCRIPT = pathlib.Path(__file__).with_name("killed_run.py")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """22 photos, two of them broken: 5 steps of 4 an epoch."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(22):
        coarse = Image.fromarray(rng.integers(0, 255, (4, 5, 3), "uint8"))
        coarse.resize((50, 40), Image.BICUBIC).save(folder / f"{number:02d}.jpg")
    for number in (3, 11):
        (folder / f"{number:02d}.jpg").write_bytes((folder / f"{number:02d}.jpg").read_bytes()[:300])
    return folder


class StopAt(keras.callbacks.Callback):
    """Ends a run at a step, as a kill would: what comes after is not saved."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            raise InterruptedError


@pytest.fixture(scope="module")
def fit(tiny_backbone):
    """`fit(images, …)`: trains the same model from the same start each time; its state, and the logs."""
    model = SimCLR(
        tiny_backbone(), 32, hidden_dim=16, projection_dim=8, augmentation=SimCLRViews.mild(32), temperature=0.2
    )
    model.compile(LARS(WarmupCosine(0.3, 15, warmup_steps=2)))
    _compat.build_optimizer(model.optimizer, model.trainable_variables)
    variables = [*weights(model), *_compat.optimizer_variables(model.optimizer)]
    start = [np.array(variable.numpy()) for variable in variables]

    def fit(images, *callbacks, **settings):
        keras.utils.set_random_seed(0)
        for variable, value in zip(variables, start):
            variable.assign(value)
        history = model.fit(images, verbose=0, callbacks=callbacks, **settings).history
        return [np.array(variable.numpy()) for variable in variables], history

    return fit


@pytest.fixture(scope="module")
def run(fit, photos):
    """`run(folder, …)`: the state and the logs of a run of three epochs with its checkpoints in a folder."""

    def run(folder, *others):
        images = datasets.image_folder(photos, 32, 4, seed=2)
        return fit(images, Resume(folder, data=images, every=3), *others, epochs=3)

    return run


@pytest.fixture(scope="module")
def uninterrupted(run, tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


# Before the first checkpoint and in the last epoch; in an epoch that another follows.
@pytest.mark.parametrize(
    "stops",
    [pytest.param((2, 13), marks=pytest.mark.current_stack), pytest.param((7,), marks=pytest.mark.addons_stack)],
)
def test_run_that_was_stopped_ends_with_the_bits_and_the_logs_of_one_that_was_not(stops, run, uninterrupted, tmp_path):
    whole, expected = uninterrupted
    for step in stops:
        with pytest.raises(InterruptedError):
            run(tmp_path / "stopped", StopAt(step))
    state, history = run(tmp_path / "stopped")
    assert 15 in [value for value in state if value.ndim == 0]  # the optimizer's count of steps
    for value, before in zip(state, whole):
        np.testing.assert_array_equal(value, before)
    for name, values in history.items():  # of the epochs that were ended
        np.testing.assert_array_equal(values, expected[name][-len(values) :], err_msg=name)
    assert len(list((tmp_path / "stopped").glob("checkpoint-*"))) == 3


def test_last_epoch_is_kept_when_checkpoints_fall_due_sooner_than_seconds_allow(fit, uninterrupted, photos, tmp_path):
    def run(*others):
        images = datasets.image_folder(photos, 32, 4, seed=2)
        return fit(images, Resume(tmp_path, data=images, every=3, seconds=3600), *others, epochs=3)[0]

    with pytest.raises(InterruptedError):
        run(StopAt(13))
    assert not list(tmp_path.glob("checkpoint-*"))
    for value, before in zip(run(), uninterrupted[0]):
        np.testing.assert_array_equal(value, before)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-000003-00000000.npz"]


class Steps(keras.callbacks.Callback):
    """A clock that advances by 10 s a step, and that ends the training after an epoch."""

    def __init__(self, monkeypatch, last_epoch=None):
        super().__init__()
        self.seconds, self.last_epoch = 0, last_epoch
        monkeypatch.setattr("kerassl.callbacks.resume.time.monotonic", lambda: self.seconds)

    def on_train_batch_end(self, batch, logs=None):
        self.seconds += 10

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == self.last_epoch


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("seconds", "last_epoch", "expected"),
    [(25, None, ["1-3", "2-3", "3-0"]), (40, None, ["1-0", "2-0", "3-0"]), (1000, 0, ["1-0"])],
)
def test_checkpoints_are_written_when_seconds_have_passed(
    seconds, last_epoch, expected, fit, photos, tmp_path, monkeypatch
):
    images = datasets.image_folder(photos, 32, 4, seed=2)
    clock = Steps(monkeypatch, last_epoch)
    fit(images, clock, Resume(tmp_path, data=images, every=3, seconds=seconds), epochs=3)
    found = sorted(path.stem.split("-")[1:] for path in tmp_path.glob("checkpoint-*.npz"))
    assert [f"{int(epoch)}-{int(step)}" for epoch, step in found] == expected


def test_epochs_are_those_without_checkpoints_when_one_iterator_gives_them_all(fit, uninterrupted, photos):
    images = datasets.image_folder(photos, 32, 4, seed=2)
    state, history = fit(images, epochs=3)
    for value, before in zip(state, uninterrupted[0]):
        np.testing.assert_array_equal(value, before)
    assert history.keys() == uninterrupted[1].keys()


@pytest.mark.current_stack
def test_flipped_byte_anywhere_yields_the_checkpoint_before_or_the_same_bits(tmp_path, caplog):
    def write(path, epoch):
        own = {"weight_0": np.float32([epoch, 2]), "metric_0": np.float32(3), "broken": np.array(["a.jpg"])}
        np.savez(path, epoch=epoch, step=0, count=5, **own)
        return {**own, "epoch": epoch, "step": 0, "count": 5}

    before = write(tmp_path / "checkpoint-000001-00000000.npz", 1)
    path = tmp_path / "checkpoint-000002-00000000.npz"
    newest = write(path, 2)
    whole = path.read_bytes()
    passed_over = 0
    for place in range(len(whole)):
        flipped = whole[place] ^ (0xFF if place % 2 else 0x01)
        path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        caplog.clear()
        found = Resume(tmp_path)._saved
        messages = [record.message for record in caplog.records]
        expected = before if messages else newest
        assert set(found) == set(expected), place
        assert all(np.array_equal(found[name], expected[name]) for name in expected), place
        passed_over += len(messages)
        assert len(messages) <= 1
        assert all("checkpoint-000002-00000000.npz is damaged (" in each for each in messages)
        assert all(each.endswith("); checkpoint-000001-00000000.npz is taken") for each in messages)
    assert passed_over > len(whole) / 2


@pytest.mark.current_stack
def test_files_of_other_names_are_no_checkpoints(tmp_path):
    for name in ("checkpoint-best.npz", "checkpoint-000009.npz", "checkpoint-000009-00000000-copy.npz"):
        np.savez(tmp_path / name, epoch=9, step=0, broken=[])
    assert Resume(tmp_path).epoch == 0


def weights_of(path):
    with np.load(path) as file:
        return [file[name] for name in file.files]


@pytest.mark.slow
@pytest.mark.current_stack
def test_run_that_is_killed_at_random_moments_ends_with_the_bits_of_one_that_was_not(photos, tmp_path):
    kills = int(os.environ.get("KERASSL_KILLS", "1"))

    def begin(folder):
        command = [
            sys.executable,
            str(SCRIPT),
            str(photos),
            str(tmp_path / folder),
            str(tmp_path / f"{folder}.npz"),
        ]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    assert "ended" in begin("whole").communicate(timeout=200)[0]
    whole = weights_of(tmp_path / "whole.npz")
    chance, killed, runs = random.Random(4), 0, 0
    while killed < kills:  # a run that comes to its end is followed by another
        process = begin(f"run{runs}")
        assert re.match(r"begun at \d+ \d", process.stdout.readline())
        try:  # through tracing, steps and writing
            process.wait(timeout=chance.uniform(2, 7))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
            if process.wait() and killed < kills:
                continue
            process = begin(f"run{runs}")
        assert process.wait(timeout=200) == 0
        np.testing.assert_equal(weights_of(tmp_path / f"run{runs}.npz"), whole)
        runs += 1


def test_damaged_checkpoint_is_passed_over_for_the_one_before(fit, photos, tmp_path, caplog):
    images = datasets.image_folder(photos, 32, 4, seed=2)
    fit(images, Resume(tmp_path, data=images), epochs=2)
    newest = max(tmp_path.glob("checkpoint-*"))
    newest.write_bytes(newest.read_bytes()[:2000])
    half = tmp_path / ".kerassl-0123abcd.part.npz"
    half.write_bytes(b"half")
    Manifest.at(tmp_path).temporary(half)
    assert Resume(tmp_path).epoch == 1
    assert f"{newest} is damaged" in caplog.text
    assert not half.exists()


def test_full_disk_is_logged_and_leaves_the_last_checkpoint(fit, photos, tmp_path, monkeypatch):
    images = datasets.image_folder(photos, 32, 4, seed=2)
    fit(images, Resume(tmp_path, data=images))
    before = list(tmp_path.iterdir())

    def full(path, **arrays):
        pathlib.Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    resume = Resume(tmp_path, data=images)
    with pytest.raises(
        UserError, match=r"could not be written \(No space left on device\).*checkpoint-000001-00000000"
    ):
        fit(images, resume, epochs=2)
    assert list(tmp_path.iterdir()) == before


def test_checkpoint_without_data_is_refused_when_it_is_within_an_epoch(fit, photos, tmp_path):
    images = datasets.image_folder(photos, 32, 4, seed=2)
    with pytest.raises(InterruptedError):
        fit(images, Resume(tmp_path, data=images, every=2), StopAt(3))
    with pytest.raises(UserError, match="within an epoch; give Resume data"):
        fit(images, Resume(tmp_path))


def test_data_without_a_place_is_refused():
    with pytest.raises(UserError, match="image_folder"):
        Resume("folder", data=[1, 2])
    with pytest.raises(UserError, match="data="):
        Resume("folder", every=3)
