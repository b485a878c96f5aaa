"""Each command has a Python function of the same arguments."""

import argparse
import inspect

import pytest

from kerassl import runs
from kerassl.cli.main import COMMANDS, parser

pytestmark = pytest.mark.current_stack

NAMES = {"explain": "explain_models", "features": "describe_features"}
WITHOUT = ("pretrain", "finetune", "compare", "check", "config")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in WITHOUT])
def test_function_takes_the_arguments_of_its_command(command):
    commands = next(each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    flags = {action.dest: action for action in commands.choices[command]._actions if action.dest != "help"}
    arguments = inspect.signature(getattr(runs, NAMES.get(command, command))).parameters
    assert set(flags) == set(arguments) - {"data"}  # labels that Python has read already
    for name, flag in flags.items():
        default = arguments[name].default
        assert flag.required >= (default is inspect.Parameter.empty) or not flag.option_strings, name
        if not flag.required and flag.option_strings:
            assert flag.default == default, name
