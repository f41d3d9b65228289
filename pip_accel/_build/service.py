"""Answers for the build backends of a pip that plans: the metadata of source trees, prepared by the run that started it.

pip runs with the directory ``shim`` on its ``PYTHONPATH``. In the processes in which it calls a build backend, a backend
of ours asks here, over a socket in the run's own directory, and gives pip what it hears. One line of JSON each way.
"""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Callable
from typing import Any

from pip_accel.exceptions import PipAcceleratorError

__all__ = ["MetadataService"]


class MetadataService:
    """Listens until it is closed; each question is answered in a thread of its own.

    :param path: of the socket; at most 107 bytes.
    :param answer: gives the name of the ``.dist-info`` for: the number of a pass, the source tree, the directory to write
        into.
    """

    def __init__(self, path: str, answer: Callable[[str, str, str], str]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    question = json.loads(self.rfile.readline())
                except ValueError:  # whoever asked is gone
                    return
                try:
                    said = {"name": answer(question["pass"], question["source"], question["directory"])}
                except PipAcceleratorError as error:
                    said = {"error": str(error)}
                except Exception as error:
                    said = {"error": f"pip-accel itself failed ({type(error).__name__}: {error})"}
                try:
                    self.wfile.write(json.dumps(said).encode() + b"\n")
                except OSError:
                    pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = False  # whoever closes waits for them
            block_on_close = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing: a run that is ended ends these threads, too."""

        self.path = path
        self._server = Server(path, Handler)
        os.chmod(path, 0o600)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def variables(self, number: str, environ: dict[str, str]) -> dict[str, str]:
        """Give the environment in which pip asks here, as a numbered pass."""
        shim = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shim")
        before = environ.get("PYTHONPATH")
        return {
            **environ,
            "PIP_ACCEL_PREPARE": json.dumps({"socket": self.path, "pass": number}),
            "PYTHONPATH": shim + (os.pathsep + before if before else ""),
        }

    def close(self) -> None:
        """Stop listening; gives back when no answer is worked on any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
