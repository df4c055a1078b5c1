"""Who gets into the rehearsal: who started it, and nobody else.

Every page in a browser, and every user of this machine, reaches a port of the loopback, and a job
is a command. Requests must be signed with the key of this start, as AWS itself asks for; a page
cannot, and what comes from one says so in `Origin`, or in `Host` where a name was bent to here.
"""

import io
import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from hmac import compare_digest

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug import Request, Response

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/\d{8}/([^/,\s]+)/([^/,\s]+)/aws4_request, "
    r"SignedHeaders=([^,\s]+), Signature=([0-9a-f]{64})"
)
REFUSAL = """<ErrorResponse><Error><Code>AccessDenied</Code>
<Message>The request was not signed by the notebook that started this.</Message>
</Error></ErrorResponse>"""
HASH = "x-amz-content-sha256"
LARGEST = 5 * 2**30  # bytes of a body: S3 takes no more at once


def is_from_here(headers, port: int) -> bool:
    """Whether a request comes from no web page, and means this port."""
    return "Origin" not in headers and headers.get("Host") == f"127.0.0.1:{port}"


def refuse_length(text: str | None, most: int) -> int:
    """Returns the status that a Content-Length deserves: 400, 413 over `most`, or 0."""
    if text is not None and not re.fullmatch(r"[0-9]+", text):
        return 400
    return 413 if text and (len(text) > 20 or int(text) > most) else 0


class Door:
    """Stands before a WSGI application; lets in what is signed with `credentials`."""

    def __init__(self, application: Callable, credentials: Credentials):
        self._application, self._credentials = application, credentials

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """Passes a request on, or refuses it."""
        request = Request(environ)
        if status := self._refuse(request):
            return Response(REFUSAL, status, content_type="text/xml")(environ, start_response)
        environ["wsgi.input"] = io.BytesIO(request.get_data())
        return self._application(environ, start_response)

    def _refuse(self, request: Request) -> int:
        found = AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        known = found and compare_digest(found[1].encode(), self._credentials.access_key.encode())
        if not known or not is_from_here(request.headers, request.environ["SERVER_PORT"]):
            return 403
        if status := refuse_length(request.headers.get("Content-Length"), LARGEST):
            return status
        return 0 if compare_digest(self._sign(request, *found.groups()[1:4]), found[5]) else 403

    def _sign(self, request: Request, region: str, service: str, names: str) -> str:
        """Returns the signature that the request has if it was signed with the same secret."""
        headers = {name: request.headers.get(name, "") for name in names.split(";")}
        if HASH in headers:  # of the body, as S3 wants it
            headers[HASH] = sha256(request.get_data()).hexdigest()
        url = f"http://{request.headers['Host']}{request.environ['RAW_URI']}"
        copy = AWSRequest(request.method, url, headers, request.get_data())
        copy.context["timestamp"] = headers.get("x-amz-date", "")
        signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(self._credentials, service, region)
        text = signer.string_to_sign(copy, signer.canonical_request(copy))
        return signer.signature(text, copy)
