"""Readers of images on disk: photographs without labels, PASCAL VOC, tensorflow-datasets, and generated scenes."""

from kerassl.datasets.detection import detection_batches, single_object_batches, voc
from kerassl.datasets.image_folder import image_files, image_folder
from kerassl.datasets.images import check_image_size, letterbox, read_image
from kerassl.datasets.records import Record
from kerassl.datasets.voc import VOC_CLASSES, voc_records

__all__ = [
    "VOC_CLASSES",
    "Record",
    "check_image_size",
    "detection_batches",
    "image_files",
    "image_folder",
    "letterbox",
    "read_image",
    "single_object_batches",
    "voc",
    "voc_records",
]
