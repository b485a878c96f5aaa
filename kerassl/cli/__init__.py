"""The `kerassl` command."""
