"""Whole runs from a configuration: pre-train, fine-tune arms, score, explain, export, report."""

from kerassl.experiment.config import Config, read_config

__all__ = ["Config", "read_config"]
