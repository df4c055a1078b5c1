"""Detection: annotations -> records -> a trained Faster R-CNN -> an export -> described people.

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
