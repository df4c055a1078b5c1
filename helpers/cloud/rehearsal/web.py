"""What the rehearsal's small HTTP servers share."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any


class JsonHandler(BaseHTTPRequestHandler):
    """Reads bodies, answers JSON, and keeps connections open."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer goes out in one piece; in two, each hop waits 40 ms
    disable_nagle_algorithm = True
    timeout = 120  # seconds that an idle connection is kept

    def log_message(self, *_: Any) -> None:
        """Logs nothing: what counts is told in answers."""

    def body(self) -> bytes:
        """Returns the request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(
        self, status: int, content: Any, kind: str = "application/json", **headers: str
    ) -> None:
        """Answers with `content`: bytes and text as they are, anything else as JSON."""
        if not isinstance(content, bytes | str):
            content = json.dumps(content)
        data = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
