"""What TensorFlow reads from the environment at its import: set before, whoever imports it."""

import os
from pathlib import Path


def onednn_helps(processor: Path = Path("/proc/cpuinfo")) -> bool:
    """Returns whether oneDNN, 1.3 to 2.9 times as fast, has to be asked for: AVX2, no AVX-512."""
    flags = set(processor.read_text(encoding="utf-8").split()) if processor.exists() else set()
    return "avx2" in flags and not any(flag.startswith("avx512") for flag in flags)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only, unless the user asks for more
if onednn_helps():  # TF_ENABLE_ONEDNN_OPTS=0 turns it off
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
