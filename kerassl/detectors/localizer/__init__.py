"""The single-object localizer: one class and one box an image."""
