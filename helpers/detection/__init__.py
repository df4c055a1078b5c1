"""Detection: from annotations to boxes to described people, in the order of the data.

annotations, label_map   VOC XML and others are read; every bad file is named
records                  images and boxes into sharded TFRecords, and back
images                 records -> batches: decoded, fitted, augmented
network, targets         Faster R-CNN, and the four losses that train it
config, training, runs   a YAML file + records -> a run: checkpoints, log, TensorBoard
scores                   mean average precision, by pycocotools
serving, inference       a run -> an export: image files in, boxes, names and scores out
describe, people         detects people, describes each; drawing draws them

Commands: python -m helpers.detection.{records,train,evaluate,export,describe}
"""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "annotations": ["read_annotations", "read_groups"],
        "config": ["Config"],
        "describe": ["Describer", "compare", "describe_places"],
        "drawing": ["sheet", "training_curves", "with_boxes"],
        "label_map": ["LABEL_MAP_FILE", "LabelMap"],
        "network": ["FasterRCNN", "roi_align"],
        "images": ["Example", "batches_in_order", "training_batches"],
        "records": [
            "describe_written",
            "read_records",
            "require_whole",
            "shard_files",
            "write_records",
        ],
        "runs": ["start_from"],
        "scores": ["average_precision", "score_network"],
        "serving": ["Detector", "export_run"],
        "training": ["train"],
    },
)
