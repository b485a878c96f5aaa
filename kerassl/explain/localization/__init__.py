"""How well class activation maps localize objects."""
