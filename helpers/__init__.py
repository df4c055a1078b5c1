"""The helpers of the workshop: twelve rooms, in the order in which the data passes through them.

common      errors, files, progress, settings, Keras without its notices
manifest    labels, one CSV, its checks, the split          CSV -> Manifest
pipeline    decode, cache, augment, batch                   Manifest -> batches
model       backbone, a head per task, losses, Grad-CAM     batches -> probabilities
scores      scores and intervals, calibration               probabilities -> numbers
plots       every figure
train       recipe, schedule, the loop                      Manifest -> a run
predict     export, and predictions without TensorFlow      a run -> answers
evaluate    a run's scores on a split
workshop    exercises, the check of the machine, the runner of the notebooks
cloud       a job, an endpoint, their clean-up; on AWS, or rehearsed on this machine
detection   boxes, records, a detector, and a description of everybody it finds

A room imports only rooms above it, and only from their front doors: `tests/test_house.py` holds
this. Each room's `__init__` says what comes in and what goes out; its `__main__` is its command.

Commands:
python -m helpers.{manifest,train,evaluate,predict,workshop}
python -m helpers.workshop.environment
python -m helpers.cloud.cleanup, helpers.detection.{records,train,evaluate,export,describe}
What makes or reads data sets is in `data/`, whatever measures in `benchmarks/`.
"""
