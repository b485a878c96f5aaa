"""Readers of images on disk: photographs, PASCAL VOC, COCO, YOLO, tensorflow-datasets and shards; generated scenes."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "coco": ["coco"],
        "coco_records": ["coco_categories", "coco_classes", "coco_records"],
        "detection": ["detection_batches", "single_object_batches"],
        "image_folder": ["image_files", "image_folder"],
        "images": ["check_image_size", "letterbox", "read_image"],
        "labelled_folder": ["labelled_folder"],
        "labelled_photographs": ["labelled_photographs", "named_classes"],
        "labelled_shards": ["labelled_shards"],
        "records": ["Record"],
        "scenes": ["SCENE_CLASSES", "scenes"],
        "shard_records": ["shard_classes", "shard_records"],
        "shards": ["shards"],
        "stream": ["user_error"],
        "tfds": ["tfds"],
        "voc": ["voc"],
        "voc_classes": ["VOC_CLASSES"],
        "voc_records": ["voc_records"],
        "write_shards": ["WrittenShards", "write_shards"],
        "yolo": ["yolo"],
        "yolo_classes": ["yolo_classes"],
        "yolo_records": ["yolo_records"],
    },
    light=True,
)
