"""Comparisons of backbones: variants, trials and their summary."""
