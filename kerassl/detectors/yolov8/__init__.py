"""YOLOV8."""
