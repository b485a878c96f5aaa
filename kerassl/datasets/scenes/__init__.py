"""Generated scenes in PASCAL VOC's format."""
