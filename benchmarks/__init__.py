"""Measurements that anybody can repeat; `docs/benchmarks.md` says how to read them."""
