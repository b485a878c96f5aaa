"""Writing annotations: PASCAL VOC, COCO, YOLO and CSV."""
