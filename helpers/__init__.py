"""The helpers of the workshop, in the order in which the data passes through them.

pictures + labels
sources     what people have (public datasets, folders, a CSV)   -> manifest
labels      the tasks and the order of their classes (labels.json)
manifest    the one contract: read, split by group, check        -> manifest with a split
problems, pictures, splits    what `manifest` uses to check and to split
pipeline    manifest -> batches; `decode_picture` serves training and serving alike
augmentation  random changes of training batches
model       backbone, pooling, a tower and a head for each task
losses      a loss for each task, and how they become one
recipe, schedules   what a run does, as data
training    recipe + manifest -> a run: a model for every epoch
runs        the folder of a run
metrics     predictions + manifest -> scores (no TensorFlow)
explain     where a head looks
plots       every figure
serving     run -> export: files in, probabilities out
litert      predicts with the export, without TensorFlow
timing      how fast each way to predict is
bench       each part beside its peer or its limit (measures, processes)
detection   street scenes: records, a detector, and a description of everybody it finds
ablation    ideas beside the default recipe, over several seeds

Commands:
python -m helpers.{sources,manifest,train,evaluate,predict,bench,ablation,workshop,environment}
Everywhere: errors (a mistake that the user can mend), files (written whole or not at all),
settings (where things are, what is small in a fast run), backend (TensorFlow and Keras, without
their notices), quiet, exercises.
"""
