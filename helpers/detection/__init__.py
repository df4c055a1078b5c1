"""Detection: from annotations to boxes to described people, in the order of the data.

VOC XML, Penn-Fudan's text, TFRecords of others
annotations   reads what people have; names every bad file
label_map     class names and their numbers (label_map.pbtxt)
records       the command: pictures and boxes into sharded TFRecords, and back
config        the YAML file that says what a run does
pictures      records -> batches: decoded, fitted into the network's size, augmented
network       Faster R-CNN: backbone, feature pyramid, proposals, RoIAlign, box head
targets       which anchor answers for which box; the four losses
training      config + records -> a run: checkpoints, log, TensorBoard; goes on after a kill
scores        mean average precision, by pycocotools
serving       run -> export: picture files in, boxes, names and scores out
inference     what the endpoint runs around the export
describe      the command: detect people, describe each, draw, table, JSON
drawing       boxes and a card for each person
bench         ours beside KerasHub's RetinaNet

Commands: python -m helpers.detection.{records,train,evaluate,export,describe,bench}
"""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "annotations": ["read_annotations", "read_groups"],
        "config": ["Config"],
        "describe": ["Describer", "compare", "describe_places"],
        "figures": ["sheet", "training_curves", "with_boxes"],
        "label_map": ["LABEL_MAP_FILE", "LabelMap"],
        "network": ["FasterRCNN", "roi_align"],
        "pictures": ["Example", "batches_in_order", "training_batches"],
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
    },
)
