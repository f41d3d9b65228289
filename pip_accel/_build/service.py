"""Answers for the build backends of a pip that plans: the metadata of source trees, prepared by the run that started it.

pip runs with the directory ``shim`` on its ``PYTHONPATH``. In the processes in which it calls a build backend, a backend
of ours asks here, over a socket in the run's own directory, and gives pip what it hears. One line of JSON each way.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable

from pip_accel.exceptions import PipAcceleratorError

__all__ = ["MetadataService"]

_MOMENT = 0.1  # seconds


class MetadataService:
    """Listens until it is closed; each question is answered in a thread of its own.

    :param path: of the socket; at most 107 bytes.
    :param answer: gives the name of the ``.dist-info`` for: the number of a pass, the source tree, the directory to write
        into, and ``editable`` or nothing.
    """

    def __init__(self, path: str, answer: Callable[[str, str, str, str], str]) -> None:
        self.path = path
        self._answer = answer
        self._closing = False
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        os.chmod(path, 0o600)
        self._socket.listen()
        self._threads: list[threading.Thread] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # too many files are open, perhaps
                time.sleep(_MOMENT)
                continue
            if self._closing:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads: whoever asks sees that nobody answers
                connection.close()
            else:
                self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rw", encoding="utf-8") as stream:
                said = self._reply(stream.readline())
                if said is not None:
                    stream.write(json.dumps(said) + "\n")
        except (OSError, UnicodeDecodeError):  # whoever asked is gone, or is not who should ask
            pass

    def _reply(self, line: str) -> dict[str, str] | None:
        try:
            question = json.loads(line)
            words = question["pass"], question["source"], question["directory"], question["kind"]
        except (ValueError, KeyError, TypeError):
            return None
        try:
            return {"name": self._answer(*words)}
        except PipAcceleratorError as error:
            return {"error": str(error)}
        except Exception as error:
            return {"error": f"pip-accel itself failed ({type(error).__name__}: {error})"}

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
        self._closing = True
        try:
            with socket.socket(socket.AF_UNIX) as last:  # wakes the listener
                last.settimeout(_MOMENT)
                last.connect(self.path)
        except OSError:  # the socket's name is gone: the listener goes with the process
            pass
        else:
            self._listener.join()
        self._socket.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        for thread in self._threads:
            thread.join()
