"""Detection: annotations -> records -> a trained Faster R-CNN -> an export -> described people.

Commands: python -m helpers.detection.{records,train,evaluate,export,describe}
"""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.detection.annotations import read_annotations
    from helpers.detection.config import LABEL_MAP_FILE, Config, LabelMap
    from helpers.detection.describe import Describer, describe_places
    from helpers.detection.drawing import sheet, with_boxes
    from helpers.detection.images import Example, batches_in_order, training_batches
    from helpers.detection.network import FasterRCNN, roi_align
    from helpers.detection.records import read_records, require_whole, shard_files, write_records
    from helpers.detection.scores import average_precision, score_network
    from helpers.detection.serving import Detector, export_run
    from helpers.detection.training import train

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
