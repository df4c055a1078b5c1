"""The helpers of the workshop, in the order in which the data passes through them.

pictures + labels
signs       the 43 traffic signs of GTSRB: names and how many pictures each has
sources     what people have (public datasets, folders, a CSV)   -> manifest
labels      the tasks and the order of their classes (labels.json)
manifest    the one contract: read, split by group, check        -> manifest with a split
problems, pictures, splits    what `manifest` uses to check and to split
pipeline    manifest -> batches; `decode_picture` serves training and serving alike
augmentation  random changes of training batches
model       backbone, pooling, a tower and a head for each task
losses      a loss for each task, and how they become one
recipe, schedules   what a run does, as data; `recipes` has some by name, and as tables
training    recipe + manifest -> a run: a model for every epoch
runs        the folder of a run
shards      manifest and pictures in a few tar files, for a job's machines
job         what a SageMaker job tells the command `train`, and what that tells the job
distributed training on several machines
metrics     predictions + manifest -> scores (no TensorFlow)
explain     where a head looks
plots       every figure
serving     run -> export: files in, probabilities out
litert      predicts with the export, without TensorFlow
cloud       the same as a job and behind an endpoint: on AWS, or rehearsed on this machine
timing      how fast each way to predict is
bench       each part beside its peer or its limit (measures, processes)
signs_bench our recipe for signs and the published one, by track and by picture
detection   street scenes: records, a detector, and a description of everybody it finds
ablation    ideas beside the default recipe, over several seeds
rate_range  a learning rate, by a test
lessons     what real pictures with persons and cameras teach

Commands:
python -m helpers.{sources,sources.download,manifest,recipes,rate_range,train,evaluate,predict}
python -m helpers.{bench,signs_bench,ablation,lessons,workshop,environment}
python -m helpers.cloud.{bench,cleanup}
python -m helpers.detection.{records,train,bench,describe}
Everywhere: errors (a mistake that the user can mend), files (written whole or not at all),
settings (where things are, what is small in a fast run), backend (TensorFlow and Keras, without
their notices), quiet, exercises.
"""
