"""Generated distributions: an index of many small ones that pip and uv take by a ``file:`` URL, and tiny wheels.

The same bytes every time. The layout of an index is that of PEP 503, with metadata beside the archives (PEP 658).
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.lib.archives import make_wheel

__all__ = ["write_index", "write_wheels"]

_MODULES = 9  # beside ``__init__.py``; with ``py.typed`` and ``data.json`` a distribution has 12 files of its own
_LAUNCHERS = 5  # one distribution in so many has a launcher


def write_index(directory: Path, count: int) -> list[str]:
    """Write an index of small distributions, which require one another.

    :param directory: is made; the pages lie in ``simple``.
    :returns: a pin for each distribution.
    """
    archives = directory / "files"
    archives.mkdir(parents=True)
    for number in range(count):
        project = f"synthetic-{number:05}"
        metadata = "\n".join(
            ["Metadata-Version: 2.2", f"Name: {project}", "Version: 1.0", "Requires-Python: >=3.10"]
            # Lower numbers only: no circles.
            + [f"Requires-Dist: synthetic-{each:05}>=1" for each in sorted({number // 2, number // 3}) if each < number]
            + ["", f"Number {number} of {count}.", ""]
        )
        files, entry_points = _files(number), _entry_points(number)
        path = make_wheel(str(archives), project, "1.0", files=files, metadata=metadata, entry_points=entry_points)
        wheel = Path(path)
        wheel.with_name(wheel.name + ".metadata").write_text(metadata)
        page = directory / "simple" / project / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(
            f'<!DOCTYPE html><html><body><a href="../../files/{wheel.name}#sha256={_sha256(wheel.read_bytes())}"'
            f' data-requires-python="&gt;=3.10" data-core-metadata="sha256={_sha256(metadata.encode())}">'
            f"{wheel.name}</a></body></html>\n"
        )
    return [f"synthetic-{number:05}==1.0" for number in range(count)]


def write_wheels(directory: Path, count: int) -> None:
    """Write wheels of as many projects, with one module each."""
    for number in range(count):
        make_wheel(str(directory), f"further-{number:05}", "1.0", requires=["six>=1"])


def _files(number: int) -> dict[str, str]:
    """Contents of the files of a distribution, by path: none is like another."""
    package = f"synthetic_{number:05}"
    files = {f"{package}/__init__.py": f'"""Number {number}."""\n\n\ndef main():\n    return 0\n'}
    for module in range(_MODULES):
        functions = (
            f"def function_{each}(value):\n    table = {{'{package}': {number}, 'module': {module}}}\n"
            f"    return [value + {each} for _ in table]\n"
            for each in range(3 + (number + 5 * module) % 17)
        )
        files[f"{package}/module_{module}.py"] = "\n\n".join(functions)
    files[f"{package}/py.typed"] = ""
    files[f"{package}/data.json"] = f'{{"number": {number}}}\n'
    return files


def _entry_points(number: int) -> str:
    """Text of ``entry_points.txt``, or nothing."""
    package = f"synthetic_{number:05}"
    return "" if number % _LAUNCHERS else f"[console_scripts]\nsynthetic-{number:05} = {package}:main\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
