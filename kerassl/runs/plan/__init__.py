"""A run as stages, resolved from its configuration once."""
