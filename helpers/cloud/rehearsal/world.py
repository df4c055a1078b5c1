"""Starts the rehearsal: moto in this process, with jobs that run and endpoints that answer."""

import atexit
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import boto3
import botocore.session

from helpers.cloud.guard import Guarded, inherited
from helpers.common import ROOT, expected


class Rehearsal:
    """AWS in this process, which `boto` talks to, and nothing else; a process has but one."""

    def __init__(self, region: str):
        if importlib.util.find_spec("moto") is None:
            fix = "Install it: make install-all"
            raise expected("the package moto for the rehearsal", "none", fix)
        from helpers.cloud.rehearsal.answers import Answers

        self.folder = Path(tempfile.mkdtemp(prefix="workshop-rehearsal-"))
        # of the folder: removes it when this process is killed
        sleeping = ["sleep", str(2**30)]
        self._guard = Guarded(sleeping, inherited(), ROOT, subprocess.DEVNULL, own=self.folder)
        self.boto = lonely_session(region)
        self._answers = Answers(self.boto, self.folder)
        atexit.register(self.close)

    def close(self) -> None:
        """Ends all its jobs and endpoints; may be called twice."""
        atexit.unregister(self.close)
        self._answers.stop()
        self._guard.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def lonely_session(region: str) -> boto3.Session:
    """Returns a boto3 session that no profile, file or variable of this machine changes."""
    usual = botocore.session.Session.SESSION_VARIABLES.items()
    settings: dict[str, Any] = {
        name: (None, None, default, kind) for name, (_, _, default, kind) in usual
    }
    settings |= dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    alone = botocore.session.Session(settings)
    alone.set_config_variable("ignore_configured_endpoint_urls", True)
    return boto3.Session("rehearsal", "-", region_name=region, botocore_session=alone)
