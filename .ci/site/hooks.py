"""Hooks of MkDocs: pages that are made of the source are added to the site, in memory alone."""

import pathlib
import sys

from mkdocs.structure.files import File

FOLDER = pathlib.Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1])]

import pages  # noqa: E402


def on_config(config):
    """Put the reference into the navigation, before the results."""
    titles = [next(iter(entry)) for entry in config["nav"]]
    config["nav"].insert(titles.index("Results"), pages.navigation())
    return config


def on_files(files, config):
    """Add the pages of the source."""
    for place, text in pages.pages().items():
        files.append(File.generated(config, place, content=text))
    return files
