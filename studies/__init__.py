"""Measurements behind the published figures: scripts, configurations and results; see `README.md`."""
