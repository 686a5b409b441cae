"""A server on 127.0.0.1 that answers each request as a script says."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = Callable[[BaseHTTPRequestHandler], None]


class FileServer:
    """`script`: one reply a request; the last one goes for all that follow. `ranges`: the Range of each request."""

    def __init__(self, address: str):
        self.url = f"{address}/weights.pth"
        self.script: list[Reply] = []
        self.ranges: list[str | None] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.ranges.append(handler.headers.get("Range"))
        self.script[min(len(self.ranges), len(self.script)) - 1](handler)


@contextlib.contextmanager
def file_server() -> Iterator[FileServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = FileServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: object) -> None:
    """`content_length=5` becomes the header Content-Length; None leaves it out."""
    headers = {"content_length": len(body)} | headers
    handler.send_response(status)
    for name, value in headers.items():
        if value is not None:
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def status(code: int) -> Reply:
    return lambda handler: send(handler, code, b"no")


def whole(content: bytes) -> Reply:
    """A server that knows no ranges."""
    return lambda handler: send(handler, 200, content)


def cut(content: bytes, length: int) -> Reply:
    """The connection ends after `length` bytes of what was announced."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        start = start_of(handler)
        body = content[start : start + length]
        if start:
            send(handler, 206, body, content_length=len(content) - start, content_range=stretch(content, start))
        else:
            send(handler, 200, body, content_length=len(content))

    return reply


def rest(content: bytes) -> Reply:
    """A server that knows ranges."""
    return cut(content, len(content))


def start_of(handler: BaseHTTPRequestHandler) -> int:
    return int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def stretch(content: bytes, start: int) -> str:
    return f"bytes {start}-{len(content) - 1}/{len(content)}"
