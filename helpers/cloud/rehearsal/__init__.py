"""AWS on this machine, without an account: nothing is billed, nothing leaves the loopback.

answers    moto for S3 and the control plane, with what it does not do put in
jobs       runs a created training job: its hosts, its state, its log, its outputs
endpoints  unpacks an archive and starts its container
container  the inside of AWS's inference container: code/inference.py and TensorFlow Serving
"""
