"""AWS on this machine, without an account: nothing is billed, nothing leaves the loopback.

world        starts and stops the rehearsal from the notebook's side
server       moto for S3 and the control plane, with what it does not do put in (control)
control      jobs and endpoints whose status is the truth
jobs         runs a created training job: channels, hyperparameters, hosts, outputs
endpoints    serves an archive, and answers invoke_endpoint
container    the inside of AWS's inference container: calls code/inference.py
model_server TensorFlow Serving's REST interface over the real SavedModel
"""
