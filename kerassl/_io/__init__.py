"""Reading and writing files: atomic writes, manifests, locks, text, JSON, YAML and arrays."""
