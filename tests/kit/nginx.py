"""A real nginx over one folder, on loopback, with all it writes in a folder of its own: what Rim is measured against.

Not here: any Rim.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.nodes import free_port, listens, until
from tests.kit.programs import needed

_CONFIG = """
daemon off; master_process off; pid {work}/pid; error_log {work}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  types {{ text/html html; text/javascript js; text/css css; image/svg+xml svg; }}
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}; {server} location / {{ {location} }} }}
}}
"""


@contextmanager
def nginx(work: Path, folder: Path, location: str = "", server: str = "") -> Iterator[str]:
    """Serve the folder, with these directives of its one location and its one server; the URL."""
    port = free_port()
    config = _CONFIG.format(work=work, port=port, folder=folder, location=location, server=server)
    with running(work, config, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(work: Path, text: str, port: int) -> Iterator[None]:
    """An nginx of this configuration, from when it listens there to its end."""
    work.mkdir()
    config = work / "nginx.conf"
    config.write_text(text)
    command = [needed("nginx"), "-e", str(work / "error.log"), "-p", str(work), "-c", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        until("nginx listens", lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, (work / "error.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(10)
