"""Data sets: folders of images, PASCAL VOC, COCO, YOLO, tensorflow-datasets, shards and generated scenes."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.datasets.class_names import read_class_names as read_class_names
    from kerassl.datasets.dataset import DetectionDataset as DetectionDataset
    from kerassl.datasets.duplicates import Duplicate as Duplicate
    from kerassl.datasets.duplicates import Duplicates as Duplicates
    from kerassl.datasets.duplicates import find_duplicates as find_duplicates
    from kerassl.datasets.formats.voc import VOC_CLASSES as VOC_CLASSES
    from kerassl.datasets.images.files import image_files as image_files
    from kerassl.datasets.images.reading import read_image as read_image
    from kerassl.datasets.pipeline.detection import detection_batches as detection_batches
    from kerassl.datasets.pipeline.detection import single_object_batches as single_object_batches
    from kerassl.datasets.pipeline.image_folder import image_folder as image_folder
    from kerassl.datasets.pipeline.labeled_folder import labeled_folder as labeled_folder
    from kerassl.datasets.pipeline.labeled_images import labeled_images as labeled_images
    from kerassl.datasets.pipeline.labeled_images import named_classes as named_classes
    from kerassl.datasets.pipeline.resumable import ResumableDataset as ResumableDataset
    from kerassl.datasets.pipeline.stream import user_error as user_error
    from kerassl.datasets.recognition import own_splits as own_splits
    from kerassl.datasets.record import LabelWeights as LabelWeights
    from kerassl.datasets.record import Record as Record
    from kerassl.datasets.scenes.drawing import SCENE_CLASSES as SCENE_CLASSES
    from kerassl.datasets.scenes.scenes import write_scenes as write_scenes
    from kerassl.datasets.shards.writer import WrittenShards as WrittenShards
    from kerassl.datasets.shards.writer import write_shards as write_shards
    from kerassl.datasets.writing.coco import write_coco as write_coco
    from kerassl.datasets.writing.csv import write_csv as write_csv
    from kerassl.datasets.writing.files import WrittenDataset as WrittenDataset
    from kerassl.datasets.writing.voc import write_voc as write_voc
    from kerassl.datasets.writing.yolo import write_yolo as write_yolo

__all__ = lazy_package(__name__)
