"""Who gets into the rehearsal and its containers: who started them, and nobody else.

Every page in a browser, and every user of this machine, reaches a port of the loopback, and a job
is a command. So each path begins with a token, which stands in a private folder only; and what
comes from a page says so in `Origin`, or in `Host` where a name was bent to here.
"""

import io
import logging
from collections.abc import Callable, Iterable
from hmac import compare_digest
from pathlib import Path
from secrets import token_hex

from werkzeug import Request
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from helpers.common import write_text

ADDRESS = "address"  # file in the folder of what serves
LARGEST = 5 * 2**30  # bytes of a body: S3 takes no more at once
SECONDS = 10  # to wait for more of a request


class Door:
    """Stands before a WSGI application; lets in bodies of at most `most` bytes."""

    def __init__(self, application: Callable, token: str, most: int = LARGEST):
        self._application, self._token, self._most = application, token, most

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """Passes a request on without its token, or refuses it."""
        request = Request(environ)
        request.max_content_length = self._most
        token, _, path = environ["RAW_URI"].removeprefix("/").partition("/")
        host = f"127.0.0.1:{environ['SERVER_PORT']}"
        try:
            if not compare_digest(token.encode(), self._token.encode()):
                raise Forbidden
            if "Origin" in request.headers or request.headers.get("Host") != host:
                raise Forbidden
            environ["wsgi.input"] = io.BytesIO(request.get_data())
        except HTTPException as refusal:
            return refusal(environ, start_response)
        environ["RAW_URI"] = environ["REQUEST_URI"] = f"/{path}"
        environ["PATH_INFO"] = environ["PATH_INFO"][len(token) + 1 :] or "/"
        return self._application(environ, start_response)


def open_door(
    application: Callable, folder: Path, handler: type[WSGIRequestHandler], most: int = LARGEST
) -> BaseWSGIServer:
    """Returns a server of an application, and writes its address into FOLDER/address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it has a line for every request
    handler.timeout = SECONDS
    token = token_hex(16)
    door = Door(application, token, most)
    server = make_server("127.0.0.1", 0, door, threaded=True, request_handler=handler)
    write_text(folder / ADDRESS, f"http://127.0.0.1:{server.server_port}/{token}")
    return server
