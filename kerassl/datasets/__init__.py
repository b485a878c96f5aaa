"""Readers of images on disk: photographs, PASCAL VOC, COCO, YOLO, tensorflow-datasets and shards; generated scenes."""

from kerassl.datasets.coco import coco
from kerassl.datasets.coco_records import coco_categories, coco_classes, coco_records
from kerassl.datasets.detection import detection_batches, single_object_batches
from kerassl.datasets.image_folder import image_files, image_folder
from kerassl.datasets.images import check_image_size, letterbox, read_image
from kerassl.datasets.labelled_folder import labelled_folder
from kerassl.datasets.labelled_photographs import labelled_photographs, named_classes
from kerassl.datasets.labelled_shards import labelled_shards
from kerassl.datasets.records import Record
from kerassl.datasets.scenes import SCENE_CLASSES, scenes
from kerassl.datasets.shard_records import shard_classes, shard_records
from kerassl.datasets.shards import shards
from kerassl.datasets.stream import user_error
from kerassl.datasets.tfds import tfds
from kerassl.datasets.voc import voc
from kerassl.datasets.voc_classes import VOC_CLASSES
from kerassl.datasets.voc_records import voc_records
from kerassl.datasets.write_shards import WrittenShards, write_shards
from kerassl.datasets.yolo import yolo
from kerassl.datasets.yolo_classes import yolo_classes
from kerassl.datasets.yolo_records import yolo_records

__all__ = [
    "SCENE_CLASSES",
    "VOC_CLASSES",
    "Record",
    "WrittenShards",
    "check_image_size",
    "coco",
    "coco_categories",
    "coco_classes",
    "coco_records",
    "detection_batches",
    "image_files",
    "image_folder",
    "labelled_folder",
    "labelled_photographs",
    "labelled_shards",
    "letterbox",
    "named_classes",
    "read_image",
    "scenes",
    "shard_classes",
    "shard_records",
    "shards",
    "single_object_batches",
    "tfds",
    "user_error",
    "voc",
    "voc_records",
    "write_shards",
    "yolo",
    "yolo_classes",
    "yolo_records",
]
