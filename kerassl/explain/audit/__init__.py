"""Audits: correct predictions with off-object evidence, and recurring regions."""
