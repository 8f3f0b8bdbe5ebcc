"""starlette's StaticFiles under uvicorn: FOLDER PORT."""

import sys

import uvicorn
from starlette.staticfiles import StaticFiles

uvicorn.run(
    StaticFiles(directory=sys.argv[1]),
    host="127.0.0.1",
    port=int(sys.argv[2]),
    loop="uvloop",
    http="httptools",
    access_log=False,
    log_level="warning",
)
