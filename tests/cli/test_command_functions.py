"""Each command has a Python function of the same arguments."""

import argparse
import inspect
import pathlib

import pytest

import kerassl
from kerassl import tasks
from kerassl.cli.main import COMMANDS, main, parser
from kerassl.tasks.streamed import WrittenPredictions

pytestmark = pytest.mark.current_stack

NAMES = {"explain": "explain_models", "features": "describe_features", "compare": "run_comparison"}
WITHOUT = ("check", "config")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in WITHOUT])
def test_function_takes_the_arguments_of_its_command(command):
    commands = next(each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    flags = {action.dest: action for action in commands.choices[command]._actions if action.dest != "help"}
    name = NAMES.get(command, command.replace("-", "_"))
    function = getattr(kerassl if name in kerassl.__all__ and name not in kerassl._PACKAGES else tasks, name)
    arguments = inspect.signature(function).parameters
    # Settings have no flag.
    assert set(flags) == set(arguments) - {"settings"}
    for name, flag in flags.items():
        default = arguments[name].default
        assert flag.required >= (default is inspect.Parameter.empty) or not flag.option_strings, name
        if not flag.required and flag.option_strings:
            assert flag.default == default, name


@pytest.mark.parametrize("objects", [0, 1])
def test_lower_score_is_advised_when_no_object_reaches_it(objects, monkeypatch, capsys):
    monkeypatch.setattr(tasks, "predict", lambda **_: WrittenPredictions(pathlib.Path("new"), 1, objects, 0))
    assert main(["predict", "--model", "a.keras", "--images", "photos", "--out", "new"]) == 0
    assert ("--score" in capsys.readouterr().out) == (not objects)
