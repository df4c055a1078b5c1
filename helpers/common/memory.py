"""How much memory a process has had."""

import re
import resource
import sys
from pathlib import Path


def peak_memory() -> float:
    """Returns the most memory of this process, or of one that it started, in GB."""
    unit = 2**30 if sys.platform == "darwin" else 2**20  # macOS counts bytes, Linux kilobytes
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if (status := Path("/proc/self/status")).exists():  # the other one begins with the parent's
        own = int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text()).group(1)) / 2**20
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit)
