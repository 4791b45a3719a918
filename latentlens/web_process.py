"""The web process of the embedded default: uvicorn on a socket that the supervisor opened.

The socket belongs to the supervisor, so the port stays ours while a web process that ended is started again.
"""

from __future__ import annotations

import argparse
import socket

import uvicorn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="inherited listening socket")
    arguments = parser.parse_args()
    configuration = uvicorn.Config(
        "latentlens.asgi:application",
        log_config=None,  # Django's LOGGING has it
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        ws_max_size=2**20,
    )
    uvicorn.Server(configuration).run(sockets=[socket.socket(fileno=arguments.fd)])


if __name__ == "__main__":
    main()
