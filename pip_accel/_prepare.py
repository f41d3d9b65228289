"""Prepares the metadata of a source tree for pip, which plans meanwhile: started by :mod:`pip_accel._build.shim`.

Arguments: the order (JSON, see :mod:`pip_accel._engine`), the source tree, the directory for the ``.dist-info``, whose
name is printed. What a build says on failure goes into a file beside the order, as pip keeps it to itself while it
writes a log.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from typing import Any

from pip_accel import _fs
from pip_accel._process import stay_in_group
from pip_accel._values import Scheme, Target
from pip_accel.exceptions import PipAcceleratorError

__all__ = ["main", "prepare_statically"]


def main(order_path: str, source: str, directory: str) -> int:
    """Prepare, and give the exit status."""
    with open(order_path, encoding="utf-8") as stream:
        order = json.load(stream)
    name = prepare_statically(order["spool"], source, directory)
    if name is not None:
        print(name)
        return 0
    try:
        dist_info, facts = _prepare(order, source, directory)
    except PipAcceleratorError as error:
        from pip_accel._engine import FAILURE

        _fs.write_file(os.path.join(order["spool"], FAILURE), json.dumps([type(error).__name__, str(error)]))
        print(error, file=sys.stderr)
        return 1
    with open(os.path.join(dist_info, "METADATA"), "rb") as binary:
        _keep(order["spool"], binary.read(), facts)
    print(os.path.basename(dist_info))
    return 0


def prepare_statically(spool: str, source: str, directory: str) -> str | None:
    """Prepare by what the sdist says of itself; give the name of the ``.dist-info``, ``None`` if that is not binding.

    This also runs in the target's interpreter.
    """
    from pip_accel._build.source import static_metadata

    metadata = static_metadata(source)
    if metadata is None:
        return None
    # Some backends of pip for metadata read the name of the directory.
    name, version = _name_and_version(metadata)
    dist_info = f"{name.replace('-', '_')}-{version}.dist-info"
    _fs.write_file(os.path.join(directory, dist_info, "METADATA"), metadata)
    _keep(spool, metadata, None)
    return dist_info


def _prepare(order: dict[str, Any], source: str, directory: str) -> tuple[str, dict[str, Any]]:
    from pip_accel._engine import Engine, order_view
    from pip_accel._resources import Resources
    from pip_accel.config import Config

    config = Config()
    config.data_directory = order["data-directory"]
    config.offline = order["offline"]
    fields = order["target"]
    target = Target(*fields)
    target = target._replace(
        scheme=Scheme(*target.scheme),
        path=tuple(target.path),
        markers=tuple((name, value) for name, value in target.markers),
    )
    resources = Resources(config, target, order["python"], order["environ"], order["temporary"])
    resources.started = order["started"]
    view = order_view(order["view"])
    engine = Engine(resources, view, order["build-environ"], lambda text: None, tuple(order["chain"]))
    label = re.sub(r"_[0-9a-f]{32}$", "", os.path.basename(source))  # pip's directory: the name, and a random number
    try:
        return engine.builder.prepare(source, label, directory)
    finally:
        resources.close()


def _name_and_version(metadata: bytes) -> tuple[str, str]:
    from pip_accel._archives import read_headers

    headers = read_headers(metadata)
    return headers.get("name", ""), headers.get("version", "")


def _keep(spool: str, metadata: bytes, facts: dict[str, Any] | None) -> None:
    """Leave the result where the run finds it that pip works for."""
    from pip_accel._names import canonical_name, canonical_version

    name, version = _name_and_version(metadata)
    place = os.path.join(spool, f"{canonical_name(name)}-{canonical_version(version)}")
    shutil.rmtree(place, ignore_errors=True)
    if facts is not None:
        _fs.write_file(os.path.join(place, "build.json"), json.dumps(facts))
    _fs.write_file(os.path.join(place, "METADATA"), metadata)


if __name__ == "__main__":
    stay_in_group()  # of the pip that waits for the metadata: the run that started it ends all of it
    sys.exit(main(*sys.argv[1:4]))
