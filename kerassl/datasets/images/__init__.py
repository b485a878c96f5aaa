"""Image files: decoding, EXIF orientation, letterboxing and broken files."""
