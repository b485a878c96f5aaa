"""Metrics of how well class activation maps localize objects."""
