"""The rehearsal's own process: moto with what it lacks, and the address of invoke_endpoint.

    python -m helpers.cloud.rehearsal.server --folder FOLDER --region REGION

Prints one line of JSON with its two ports, and serves until it is ended.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from helpers.cloud.rehearsal.control import ControlPlane
from helpers.cloud.rehearsal.endpoints import serve
from helpers.common import ROOT

SERVICES = ("s3", "sagemaker", "logs")
KEYS = {"aws_access_key_id": "rehearsal", "aws_secret_access_key": "rehearsal"}


def make_clients(address: str, region: str) -> dict:
    """Returns clients of the rehearsal for its own use, by service name."""
    import boto3

    session = boto3.Session(**KEYS, region_name=region)
    return {name: session.client(name, endpoint_url=address) for name in SERVICES}


def speak_to_a_file(path: Path) -> None:
    """Sends what this process prints to a file: its starter reads one line and no more."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it has a line for every request
    with path.open("wb") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--region", required=True)
    arguments = parser.parse_args()
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    clients: dict = {"environment": dict(os.environ), "root": ROOT}
    moto = DomainDispatcherApplication(create_backend_app)
    control = ControlPlane(moto, clients, arguments.folder)
    server = make_server("127.0.0.1", 0, control, threaded=True, request_handler=MotoRequestHandler)
    clients |= make_clients(f"http://127.0.0.1:{server.port}", arguments.region)
    ports = {"control": server.port, "runtime": serve(control.endpoints, clients)}
    print(json.dumps(ports), flush=True)

    def end(*_) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    speak_to_a_file(arguments.folder / "server.log")
    server.serve_forever()
    control.close()
    shutil.rmtree(arguments.folder, ignore_errors=True)  # the notebook may have been killed


if __name__ == "__main__":
    main()
