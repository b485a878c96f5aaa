"""Benchmarks that a user would rerun; `docs/benchmarks.md` explains how to read them."""
