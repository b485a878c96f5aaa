"""The notebooks in examples/, run as they are; what they print is checked, not only that they run."""

import ast
import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.current_stack, pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
_CELL = 480  # seconds; beside another test each has half the machine


def printed(notebook):
    """Return what the cells of a notebook printed, and the number of plots."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    return text, sum("image/png" in output.get("data", {}) for output in outputs)


def _committed_and_run(name, plots):
    """Return what a notebook printed when it was committed, and what it prints now."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    texts = []
    for run in (False, True):
        if run:
            NotebookClient(notebook, timeout=_CELL, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
        text, shown = printed(notebook)
        assert shown == plots, "as committed" if not run else "as run"
        texts.append(text)
    return texts


def test_quickstart_learns_and_serves_what_it_learned():
    for each in _committed_and_run("quickstart.ipynb", plots=5):
        loss = float(each.split("loss ")[1].split(",")[0])
        chance = float(each.split("chance ")[1].split()[0])
        assert 0 < loss < chance
        accuracy = float(each.split("LocAcc@0.5 ")[1].split()[0])
        assert accuracy > 0.3
        served, memory = each.split("served ")[1].split(" in memory ")
        assert served.strip("[] \n").split() == memory.strip("[] \n").split()


def test_pretraining_learns_and_what_goes_wrong_is_named():
    for each in _committed_and_run("pretrain.ipynb", plots=2):
        loss = float(each.split("loss ")[1].split(",")[0])
        chance = float(each.split("chance ")[1].split(",")[0])
        assert 0 < loss < 0.95 * chance
        assert "alarms []" in each
        assert 0 < float(each.split("kNN Top-1 ")[1].split(",")[0]) < 1
        found = ast.literal_eval(each.strip().splitlines()[-1])
        assert "at chance" in found["one image"]
        assert "flat" in found["temperature 100"]
        assert "above chance" in found["temperature 0.0001"]


def test_detector_learns_and_is_the_same_when_loaded():
    for each in _committed_and_run("detection.ipynb", plots=5):
        assert float(each.split("voc10_ap50 ")[1].split()[0]) > 0.4
        assert float(each.split("differ by ")[1].split()[0]) < 1e-5


def test_explanations_differ_between_models_and_find_the_stamp():
    for each in _committed_and_run("explain.ipynb", plots=3):
        energies = dict(re.findall(r"^(20 epochs|1 epoch) +(\d+) \(", each, re.MULTILINE))
        assert int(energies["20 epochs"]) > int(energies["1 epoch"])
        falls = [float(fall) for fall in re.findall(r"(\d\.\d+) down to", each)]
        assert len(falls) == 8
        assert max(falls[3], falls[7]) < 0.4  # with all weights shuffled
        as_trained, erased = each.split("trained with the place painted over")
        assert "boat: in " in as_trained.split("as trained")[1]
        assert "findings: 1" in as_trained
        assert "findings: 0" in erased
        assert -0.1 < float(each.split("P5: ")[1].split()[0]) < 1


def test_served_detections_are_those_of_the_model():
    for each in _committed_and_run("serving.ipynb", plots=1):
        assert "conform: True, 8 requests" in each
        assert "valid [True, True, True, True, False]" in each
        assert float(each.split("from the files by ")[1].split()[0]) <= 1e-4  # batches of 4 beside 5
        first, last = each.split("loss ")[1].split("\n")[0].split(" to ")
        assert float(last) < 0.7 * float(first)
        alone, together = each.split("best ")[1].strip().split(" in the batch ")
        assert alone == together


def test_comparison_does_each_trial_once_and_differs_as_by_hand():
    for each in _committed_and_run("compare.ipynb", plots=1):
        assert "exit status 0" in each
        assert "8 trials, done again: 0" in each
        pairs = re.findall(r"differs by (-?[0-9.]+) points, by hand (-?[0-9.]+)", each)
        assert len(pairs) == 2
        assert all(reported == by_hand for reported, by_hand in pairs)


def test_student_detects_better_than_its_teacher():
    # The control is better or worse with the number of threads, which is not the same on every machine.
    for each in _committed_and_run("self_training.ipynb", plots=2):
        values = {name: float(value) for name, value in re.findall(r"^(\w+) +AP (\d+\.\d) %", each, re.MULTILINE)}
        assert values["student"] > values["teacher"] > 0
        difference = float(each.split("student - control: ")[1].split()[0])
        assert difference == pytest.approx(values["student"] - values["control"], abs=0.11)
