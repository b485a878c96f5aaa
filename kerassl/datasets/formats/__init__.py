"""Formats of annotations: PASCAL VOC, COCO, YOLO and tensorflow-datasets."""
