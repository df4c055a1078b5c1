"""What keeps the rehearsal and this machine's own settings apart."""

import os
from typing import Any

import boto3
import botocore.session

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")  # no secrets, no switches


def inherited() -> dict[str, str]:
    """Returns what a process of the rehearsal gets of the learner's environment."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = given if given == "*" else ",".join(filter(None, [given, "127.0.0.1", "localhost"]))
    found = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return found | {"no_proxy": names, "NO_PROXY": names}  # what stays here meets no proxy


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
