"""Pseudo-boxes from frozen features, and pre-training of a neck on them."""
