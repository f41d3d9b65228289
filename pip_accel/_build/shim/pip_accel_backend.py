"""A build backend (PEP 517) that only prepares metadata, and has pip-accel do that. Runs in the target's interpreter."""

from __future__ import annotations

import json
import os
import socket
import sys


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: object = None) -> str:
    """Give the ``.dist-info`` directory of the source tree that is the current directory."""
    return _ask(metadata_directory, "")


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: object = None) -> str:
    """Give the same for an installation that points to the source tree."""
    return _ask(metadata_directory, "editable")


def _ask(metadata_directory: str, kind: str) -> str:
    order = json.loads(os.environ["PIP_ACCEL_PREPARE"])
    directory = os.path.abspath(metadata_directory)
    question = {"pass": order["pass"], "source": os.getcwd(), "directory": directory, "kind": kind}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(order["socket"])
        with connection.makefile("rw", encoding="utf-8") as stream:
            stream.write(json.dumps(question) + "\n")
            stream.flush()
            said = json.loads(stream.readline() or "{}")
    if "name" not in said:
        sys.exit(said.get("error", "pip-accel has ended"))
    return str(said["name"])


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None) -> str:
    """Never asked for while pip plans."""
    raise NotImplementedError("pip-accel builds by itself")


build_editable = build_wheel
