"""Benchmarks that a user would rerun; `docs/results/benchmarks.md` explains how to read them."""
