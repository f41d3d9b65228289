"""Take all wheels of a directory into pip-accel's local index: ``fill_index.py DIRECTORY pip-accel's words``.

Runs in the interpreter that has pip-accel, and reads the same environment. The wheels come into the views in which an
installation with these words looks, as if it had fetched them. They are moved.
"""

from __future__ import annotations

import os
import sys
import time
import zipfile

from pip_accel._accelerator import target_of
from pip_accel._index import Known, name_and_version
from pip_accel._plan.arguments import parse
from pip_accel._plan.question import view_settings
from pip_accel._resources import open_resources
from pip_accel.config import Config


def read_metadata(wheel: str) -> bytes:
    """The core metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(name)


def main(directory: str, words: list[str]) -> None:
    """Fill the index."""
    request = parse(words, os.environ)
    target = target_of(request)
    with open_resources(Config(), target, request.manner.python, os.environ) as resources:
        index = resources.index
        settings = view_settings(request, target, index.tag)
        for filename in sorted(os.listdir(directory)):
            split = name_and_version(filename)
            if split is None:
                sys.exit(f"{filename} is not the name of an archive.")
            project, version = split
            path = os.path.join(directory, filename)
            metadata = read_metadata(path)
            archive = index.add(path)
            index.set_metadata(archive, metadata)
            known = Known(frozenset({f"=={version}"}), version, time.time(), "")
            index.learn(settings.key(project), project, archive, known)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
