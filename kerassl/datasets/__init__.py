"""Data sets: folders of images, PASCAL VOC, COCO, YOLO, tensorflow-datasets, shards and generated scenes."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.datasets.formats.coco import coco as coco
    from kerassl.datasets.formats.coco_records import coco_categories as coco_categories
    from kerassl.datasets.formats.coco_records import coco_classes as coco_classes
    from kerassl.datasets.formats.coco_records import coco_records as coco_records
    from kerassl.datasets.formats.tfds import tfds as tfds
    from kerassl.datasets.formats.voc import voc as voc
    from kerassl.datasets.formats.voc_classes import VOC_CLASSES as VOC_CLASSES
    from kerassl.datasets.formats.voc_records import voc_records as voc_records
    from kerassl.datasets.formats.yolo import yolo as yolo
    from kerassl.datasets.formats.yolo_classes import yolo_classes as yolo_classes
    from kerassl.datasets.formats.yolo_records import yolo_records as yolo_records
    from kerassl.datasets.image_folder import image_files as image_files
    from kerassl.datasets.image_folder import image_folder as image_folder
    from kerassl.datasets.images.reading import read_image as read_image
    from kerassl.datasets.labeled_folder import labeled_folder as labeled_folder
    from kerassl.datasets.pipeline.detection import detection_batches as detection_batches
    from kerassl.datasets.pipeline.detection import single_object_batches as single_object_batches
    from kerassl.datasets.pipeline.labeled_images import labeled_photographs as labeled_photographs
    from kerassl.datasets.pipeline.labeled_images import named_classes as named_classes
    from kerassl.datasets.pipeline.stream import user_error as user_error
    from kerassl.datasets.record import Record as Record
    from kerassl.datasets.scenes.scenes import SCENE_CLASSES as SCENE_CLASSES
    from kerassl.datasets.scenes.scenes import scenes as scenes
    from kerassl.datasets.shards.images import shards as shards
    from kerassl.datasets.shards.labeled import labeled_shards as labeled_shards
    from kerassl.datasets.shards.records import shard_classes as shard_classes
    from kerassl.datasets.shards.records import shard_records as shard_records
    from kerassl.datasets.shards.writer import WrittenShards as WrittenShards
    from kerassl.datasets.shards.writer import write_shards as write_shards

__all__ = lazy_package(__name__, light=True)
