"""What belongs to an installed distribution, by the rules of pip's uninstallation.

pip goes by RECORD, adds byte code of sources and the scripts of entry points, and leaves what lies outside of a virtual
environment. We add what pip forgets: optimised byte code, which after an upgrade could run in place of the new source.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator

from pip_accel._installed import is_in_user_site
from pip_accel._values import Installed, Target
from pip_accel.exceptions import Unsupported

__all__ = ["find_directories", "find_files", "list_directory", "look_up"]

#: Names in a directory: directories, symbolic links to directories, everything else.
Listing = tuple[list[str], list[str], list[str]]


def look_up(path: str) -> int | None:
    """Give type and mode of what a path leads to, or ``None`` if that is nothing."""
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):
        return None


def list_directory(path: str) -> Listing:
    """Give the names in a directory; nothing if it cannot be read."""
    directories: list[str] = []
    links: list[str] = []
    others: list[str] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.is_dir():
                    others.append(entry.name)
                elif entry.is_symlink():
                    links.append(entry.name)
                else:
                    directories.append(entry.name)
    except OSError:
        pass
    return directories, links, others


def find_files(installed: Installed, target: Target, look_up: Callable[[str], int | None] = look_up) -> list[str]:
    """Give the files that go with a distribution, absolute, in directories without symbolic links; RECORD comes last.

    :param look_up: tells what is there; a caller may know of changes that the disk does not.
    :raises Unsupported: the distribution has no RECORD, or is one that only pip can remove.
    """
    prefix = _real(target.prefix)
    location = _real(installed.location)
    if not installed.metadata.endswith(".dist-info") or not os.path.isdir(installed.metadata):
        raise Unsupported("{name} has no .dist-info: {path}", name=installed.name, path=installed.metadata)
    if target.virtual and not _is_below(location, prefix):
        raise Unsupported("{name} is installed outside of {prefix}", name=installed.name, prefix=prefix, path=location)
    directories: dict[str, str] = {}
    found: dict[str, None] = {}

    def add(path: str) -> None:
        head, tail = os.path.split(path)
        real = directories.get(head)
        if real is None:
            real = directories[head] = os.path.realpath(head)
        path = os.path.join(real, tail)
        if path in found:
            return
        mode = look_up(path)
        if mode is None or (target.virtual and not _is_below(os.path.normcase(path), prefix)):
            return
        if stat.S_ISDIR(mode) and not os.path.islink(path):
            raise Unsupported("RECORD of {name} has the directory {path}", name=installed.name, path=path)
        found[path] = None
        stem, extension = os.path.splitext(tail)
        if extension == ".py":
            for suffix in ("", ".opt-1", ".opt-2"):
                add(os.path.join(real, "__pycache__", f"{stem}.{target.cache_tag}{suffix}.pyc"))

    for entry in _read_record(installed):
        path = os.path.join(installed.location, entry)
        add(path)
        if path.endswith(".py"):
            add(path + "c")
            add(path + "o")
    scripts = target.user_scripts if is_in_user_site(installed, target) else target.scripts
    for name in _script_names(installed):
        add(os.path.join(scripts, name))
    record = os.path.join(_real(installed.metadata), "RECORD")
    if record in found:
        del found[record]
        found[record] = None
    return list(found)


def find_directories(
    files: Collection[str], prefix: str, list_directory: Callable[[str], Listing] = list_directory
) -> tuple[list[str], list[str]]:
    """Give the directories that go with files, and symbolic links to directories that lie in them.

    A directory goes if files to be removed lie right in it, and below it nothing else but directories and links to
    directories. Its parents stay, even if they are empty then: so it is with pip.

    :param files: all that are removed, as :func:`find_files` gives them.
    """
    removed = set(files)
    home = _real(prefix) + os.sep
    going: dict[str, None] = {}
    linked: list[str] = []

    def look_through(directory: str, into: list[str], links: list[str]) -> bool:
        """Whether only removed files lie in a directory; then ``into`` and ``links`` got what else there is."""
        directories, symlinks, others = list_directory(directory)
        if any(os.path.join(directory, name) not in removed for name in others):
            return False
        into.append(directory)
        links += [os.path.join(directory, name) for name in symlinks]
        return all(look_through(os.path.join(directory, name), into, links) for name in directories)

    for root in sorted({os.path.dirname(path) for path in files}, key=len):
        if root in going or home.startswith(root.rstrip(os.sep) + os.sep):
            continue
        into: list[str] = []
        links: list[str] = []
        if look_through(root, into, links):
            going.update(dict.fromkeys(into))
            linked += links
    return list(going), [path for path in dict.fromkeys(linked) if path not in removed]


def _read_record(installed: Installed) -> Iterator[str]:
    """Give the paths in RECORD, relative to the distribution's location or absolute."""
    lines = _read_lines(installed, "RECORD")
    if lines is None:
        raise Unsupported("{name} has no RECORD", name=installed.name, path=installed.metadata)
    if any('"' in line for line in lines):
        import csv

        paths = [row[0] for row in csv.reader(lines) if row]
    else:
        paths = [line.partition(",")[0] for line in lines]
    return (path.replace("/", os.sep) for path in paths if path)


def _script_names(installed: Installed) -> Iterator[str]:
    """Give the names of scripts that go with a distribution whether or not RECORD has them."""
    try:
        yield from os.listdir(os.path.join(installed.metadata, "scripts"))  # distutils kept them so
    except (FileNotFoundError, NotADirectoryError):
        pass
    section = ""
    for line in map(str.strip, _read_lines(installed, "entry_points.txt") or ()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section in ("console_scripts", "gui_scripts") and line and not line.startswith("#"):
            name = line.partition("=")[0].strip()
            yield name
            if os.name == "nt":
                script = "-script.pyw" if section == "gui_scripts" else "-script.py"
                yield from (name + ".exe", name + ".exe.manifest", name + script)


def _read_lines(installed: Installed, name: str) -> list[str] | None:
    try:
        with open(os.path.join(installed.metadata, name), encoding="utf-8") as stream:
            return stream.read().splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        text = "{file} of {name} cannot be read: {error}"
        raise Unsupported(text, file=name, name=installed.name, error=error) from error


def _real(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip(os.sep) + os.sep)
