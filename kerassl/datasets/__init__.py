"""Data sets: folders of images, PASCAL VOC, COCO, YOLO, tensorflow-datasets, shards and generated scenes."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "formats.coco": ["coco"],
        "formats.coco_records": ["coco_categories", "coco_classes", "coco_records"],
        "formats.tfds": ["tfds"],
        "formats.voc": ["voc"],
        "formats.voc_classes": ["VOC_CLASSES"],
        "formats.voc_records": ["voc_records"],
        "formats.yolo": ["yolo"],
        "formats.yolo_classes": ["yolo_classes"],
        "formats.yolo_records": ["yolo_records"],
        "image_folder": ["image_files", "image_folder"],
        "images.reading": ["read_image"],
        "labeled_folder": ["labelled_folder"],
        "pipeline.detection": ["detection_batches", "single_object_batches"],
        "pipeline.labeled_images": ["labelled_photographs", "named_classes"],
        "pipeline.stream": ["user_error"],
        "record": ["Record"],
        "scenes.scenes": ["SCENE_CLASSES", "scenes"],
        "shards.images": ["shards"],
        "shards.labeled": ["labelled_shards"],
        "shards.records": ["shard_classes", "shard_records"],
        "shards.writer": ["WrittenShards", "write_shards"],
    },
    light=True,
)
