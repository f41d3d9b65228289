"""Builders of real archives: wheels (PEP 427) and sdists (PEP 517, PEP 625), the same bytes every time."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import posixpath
import re
import tarfile
import zipfile
from collections.abc import Mapping, Sequence

__all__ = ["make_sdist", "make_wheel"]

Contents = Mapping[str, "str | bytes"]

#: Modification time of all members; zip archives begin in 1980 and count in steps of two seconds.
MEMBER_TIME = (2020, 2, 2, 2, 2, 2)
MEMBER_TIMESTAMP = 1580608922

#: A whole PEP 517 backend that needs nothing but the standard library. It makes a wheel of the directory ``payload``.
IN_TREE_BACKEND = """\
import base64, hashlib, json, os, shutil, sys, zipfile

with open(os.path.join(os.path.dirname(__file__), "settings.json"), encoding="utf-8") as handle:
    SETTINGS = json.load(handle)


def called(hook, config_settings=None):
    if SETTINGS["counter"]:
        with open(SETTINGS["counter"], "a", encoding="utf-8") as handle:
            handle.write(" ".join([hook, SETTINGS["name"], SETTINGS["version"]]) + "\\n")
    if SETTINGS["fail"] == hook:
        print(SETTINGS["output"], file=sys.stderr)
        raise SystemExit(1)


def get_requires_for_build_wheel(config_settings=None):
    called("get_requires_for_build_wheel")
    return SETTINGS["dynamic_requires"]


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    called("prepare_metadata_for_build_wheel")
    source = os.path.join("payload", SETTINGS["dist_info"])
    shutil.copytree(source, os.path.join(metadata_directory, SETTINGS["dist_info"]))
    return SETTINGS["dist_info"]


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    called("build_wheel")
    rows = []
    with zipfile.ZipFile(os.path.join(wheel_directory, SETTINGS["wheel"]), "w") as archive:
        for name, mode in SETTINGS["members"]:
            with open(os.path.join("payload", name), "rb") as handle:
                data = handle.read()
            info = zipfile.ZipInfo(name, (2020, 2, 2, 2, 2, 2))
            info.external_attr = mode << 16
            archive.writestr(info, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
            rows.append("%s,sha256=%s,%d\\n" % (name, digest, len(data)))
        record = SETTINGS["dist_info"] + "/RECORD"
        info = zipfile.ZipInfo(record, (2020, 2, 2, 2, 2, 2))
        info.external_attr = 0o100644 << 16
        archive.writestr(info, "".join(rows) + record + ",,\\n")
    return SETTINGS["wheel"]
"""


def make_wheel(
    directory: str,
    name: str,
    version: str,
    *,
    files: Contents | None = None,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str | None = None,
    entry_points: str = "",
    data: Contents | None = None,
    modes: Mapping[str, int] | None = None,
    tag: str = "py3-none-any",
    build: str = "",
    metadata_extra: str = "",
    metadata: str | None = None,
    dist_info: Contents | None = None,
) -> str:
    """Write a wheel.

    :param files: contents by path below ``purelib`` or ``platlib``; one module with a ``__version__`` by default.
    :param extras: requirements by extra.
    :param entry_points: text of ``entry_points.txt``.
    :param data: contents by path below ``*.data``, such as ``scripts/tool``.
    :param modes: permission bits by path, as in ``files`` or ``data``; 0644 by default, and 0755 for scripts.
    :param build: build tag.
    :param metadata_extra: more header lines for ``METADATA``, and after an empty line its description.
    :param metadata: the whole of ``METADATA``, in place of what the other arguments say.
    :param dist_info: contents of more files in ``*.dist-info``, or of others in place of the usual ones.
    :returns: path of the wheel, in ``directory``, which is made if need be.
    """
    members = _wheel_members(
        name, version, files, _metadata(name, version, requires, extras, requires_python, metadata_extra, metadata),
        entry_points, data, modes or {}, tag, build, dist_info or {},
    )  # fmt: skip
    stem = _stem(name, version)
    record = f"{stem}.dist-info/RECORD"
    rows = [f"{path},{_record_digest(content)},{len(content)}\n" for path, (content, _) in members.items()]
    members.setdefault(record, ("".join([*rows, f"{record},,\n"]).encode(), 0o644))
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, _wheel_name(name, version, build, tag))
    with zipfile.ZipFile(path, "w") as archive:
        for member, (content, mode) in members.items():
            info = zipfile.ZipInfo(member, MEMBER_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, so that the mode counts
            info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, content)
    return path


def make_sdist(
    directory: str,
    name: str,
    version: str,
    *,
    backend: str = "in-tree",
    files: Contents | None = None,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str | None = None,
    build_requires: Sequence[str] | None = None,
    dynamic_requires: Sequence[str] = (),
    entry_points: str = "",
    data: Contents | None = None,
    modes: Mapping[str, int] | None = None,
    tag: str = "py3-none-any",
    metadata_extra: str = "",
    extension: bool = False,
    fail: bool | str = False,
    output: str = "fatal error: ffi.h: No such file or directory",
    counter: str | None = None,
    extra_files: Contents | None = None,
    filename: str | None = None,
) -> str:
    """Write an sdist, a gzipped tarball.

    :param backend: ``in-tree``: a backend of its own that needs no build requirements (``backend-path``);
                    ``setup.py``: nothing but a ``setup.py``; ``setuptools``: a ``pyproject.toml`` that names it, and a
                    ``setup.py``; ``flit``: a ``pyproject.toml`` that names ``flit_core``.
    :param build_requires: ``build-system.requires``; by default what the backend needs. None of it for ``setup.py``.
    :param dynamic_requires: what ``get_requires_for_build_wheel`` adds (``in-tree``), or ``setup_requires``.
    :param extension: whether there is an extension module in C, ``_<name>`` (``setup.py`` and ``setuptools``).
    :param fail: name of the hook that fails, ``build_wheel`` if it is True. With setuptools every command fails.
    :param output: what a build that fails prints on standard error.
    :param counter: path of a file that each call of a hook adds a line to (each run of ``setup.py``, with setuptools).
    :param extra_files: contents of more files by path below the top directory, or of others in place of the usual ones.
    :param filename: name of the archive, if it is not to be the one that PEP 625 gives it.

    The other arguments are those of :func:`make_wheel`.
    """
    hook = "build_wheel" if fail is True else fail or ""
    counter = counter and os.path.abspath(counter)
    core = _metadata(name, version, requires, extras, requires_python, metadata_extra, None)
    contents: dict[str, tuple[bytes, int]] = {"PKG-INFO": (core.encode(), 0o644)}
    if backend == "in-tree":
        members = _wheel_members(name, version, files, core, entry_points, data, modes or {}, tag, "", {})
        settings = {
            "name": name, "version": version, "counter": counter, "fail": hook, "output": output,
            "dynamic_requires": list(dynamic_requires), "dist_info": f"{_stem(name, version)}.dist-info",
            "wheel": _wheel_name(name, version, "", tag),
            "members": [(path, 0o100000 | mode) for path, (_, mode) in members.items()],
        }  # fmt: skip
        contents.update({f"payload/{path}": member for path, member in members.items()})
        contents["_backend/settings.json"] = (json.dumps(settings, indent=1).encode(), 0o644)
        contents["_backend/in_tree_backend.py"] = (IN_TREE_BACKEND.encode(), 0o644)
        system = {
            "requires": list(build_requires or ()),
            "build-backend": "in_tree_backend",
            "backend-path": ["_backend"],
        }
    else:
        sources = {path: (_as_bytes(text), 0o644) for path, text in (files or _default_files(name, version)).items()}
        contents.update(sources)
        if backend == "flit":
            system = {"requires": list(build_requires or ["flit_core>=3.11,<4"]), "build-backend": "flit_core.buildapi"}
        elif backend in ("setuptools", "setup.py"):
            system = {"requires": list(build_requires or ["setuptools"]), "build-backend": "setuptools.build_meta"}
            contents.update({path: (_as_bytes(text), 0o755) for path, text in (data or {}).items()})
            keywords = _setup_keywords(name, version, sources, requires, extras, requires_python, entry_points, data)
            keywords["setup_requires"] = list(dynamic_requires)
            if extension:
                contents[f"{_module(name)}.c"] = (_extension_source(f"_{_module(name)}").encode(), 0o644)
            contents["setup.py"] = (_setup_script(name, version, keywords, extension, hook, output, counter), 0o644)
        else:
            raise ValueError(f"unknown backend {backend!r}")
    if backend != "setup.py":
        pyproject = "[build-system]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in system.items())
        if backend == "flit":
            project = {"name": name, "version": version, "description": "A test.", "dependencies": list(requires)}
            pyproject += "\n[project]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in project.items())
        contents["pyproject.toml"] = (pyproject.encode(), 0o644)
    contents.update({path: (_as_bytes(text), 0o644) for path, text in (extra_files or {}).items()})
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, filename or f"{_stem(name, version)}.tar.gz")
    _write_tarball(path, {f"{_stem(name, version)}/{member}": content for member, content in contents.items()})
    return path


def _wheel_members(
    name: str, version: str, files: Contents | None, metadata: str, entry_points: str, data: Contents | None,
    modes: Mapping[str, int], tag: str, build: str, dist_info: Contents,
) -> dict[str, tuple[bytes, int]]:  # fmt: skip
    """Contents and permission bits of everything in a wheel but ``RECORD``, by path, in the order of the archive."""
    stem = _stem(name, version)
    members = {}
    for path, content in (_default_files(name, version) if files is None else files).items():
        members[path] = (_as_bytes(content), modes.get(path, 0o644))
    for path, content in (data or {}).items():
        mode = modes.get(path, 0o755 if path.startswith("scripts/") else 0o644)
        members[f"{stem}.data/{path}"] = (_as_bytes(content), mode)
    tags = [
        f"Tag: {python}-{abi}-{platform}\n"
        for pythons, abis, platforms in [tag.split("-")]
        for python in pythons.split(".")
        for abi in abis.split(".")
        for platform in platforms.split(".")
    ]
    purelib = str(tag.endswith("-any")).lower()
    wheel = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {purelib}\n" + "".join(tags)
    about: dict[str, str | bytes] = {"METADATA": metadata, "WHEEL": wheel + (f"Build: {build}\n" if build else "")}
    if entry_points:
        about["entry_points.txt"] = entry_points
    for path, content in {**about, **dist_info}.items():
        members[f"{stem}.dist-info/{path}"] = (_as_bytes(content), 0o644)
    return members


def _metadata(
    name: str, version: str, requires: Sequence[str], extras: Mapping[str, Sequence[str]] | None,
    requires_python: str | None, metadata_extra: str, metadata: str | None,
) -> str:  # fmt: skip
    """Core metadata (version 2.2, so that an sdist's says what its wheel's will say)."""
    if metadata is not None:
        return metadata
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    for extra, requirements in (extras or {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [_with_marker(requirement, f'extra == "{extra}"') for requirement in requirements]
    return "\n".join(lines) + "\n" + metadata_extra


def _with_marker(requirement: str, marker: str) -> str:
    base, _, present = requirement.partition(";")
    end = " ;" if "@" in base else ";"  # without the blank it would be part of the URL
    return f"Requires-Dist: {base.strip()}{end} " + (f"({present.strip()}) and {marker}" if present else marker)


def _setup_keywords(
    name: str, version: str, sources: Mapping[str, object], requires: Sequence[str],
    extras: Mapping[str, Sequence[str]] | None, requires_python: str | None, entry_points: str, data: Contents | None,
) -> dict[str, object]:  # fmt: skip
    """Arguments of ``setup()`` that install ``sources`` and ``data`` to where a wheel would bring them."""
    packages = sorted({posixpath.dirname(path) for path in sources if posixpath.basename(path) == "__init__.py"})
    data_files: dict[str, list[str]] = {}
    for path in data or {}:
        if path.startswith("data/"):
            data_files.setdefault(posixpath.dirname(path.removeprefix("data/")), []).append(path)
    return {
        "name": name,
        "version": version,
        "py_modules": [path[:-3] for path in sources if path.endswith(".py") and "/" not in path],
        "packages": [package.replace("/", ".") for package in packages],
        "package_data": {"": ["*"]},
        "install_requires": list(requires),
        "extras_require": {extra: list(requirements) for extra, requirements in (extras or {}).items()},
        "python_requires": requires_python,
        "entry_points": entry_points,
        "scripts": [path for path in data or {} if path.startswith("scripts/")],
        "headers": [path for path in data or {} if path.startswith("headers/")],
        "data_files": sorted(data_files.items()),
    }


def _setup_script(
    name: str,
    version: str,
    keywords: Mapping[str, object],
    extension: bool,
    fail: str,
    output: str,
    counter: str | None,
) -> bytes:
    given = {key: value for key, value in keywords.items() if value}
    lines = ["import sys", "from setuptools import Extension, setup"]
    if counter:
        lines.append(f"with open({counter!r}, 'a', encoding='utf-8') as handle:")
        lines.append(f"    handle.write(' '.join(['setup.py', {name!r}, {version!r}, *sys.argv[1:]]) + '\\n')")
    if fail:
        lines.append(f"sys.exit({output!r})")
    module = _module(name)
    extensions = f", ext_modules=[Extension('_{module}', ['{module}.c'])]" if extension else ""
    lines.append(f"setup(**{given!r}{extensions})")
    return ("\n".join(lines) + "\n").encode()


def _extension_source(module: str) -> str:
    return (
        "#include <Python.h>\n"
        "static PyObject *answer(PyObject *self, PyObject *unused) { return PyLong_FromLong(42); }\n"
        'static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};\n'
        f'static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{module}", "", -1, methods}};\n'
        f"PyMODINIT_FUNC PyInit_{module}(void) {{ return PyModule_Create(&module); }}\n"
    )


def _write_tarball(path: str, contents: Mapping[str, tuple[bytes, int]]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, (content, mode) in contents.items():
            info = tarfile.TarInfo(member)
            info.size, info.mode, info.mtime = len(content), mode, MEMBER_TIMESTAMP
            archive.addfile(info, io.BytesIO(content))
    with open(path, "wb") as handle, gzip.GzipFile("", "wb", fileobj=handle, mtime=MEMBER_TIMESTAMP) as compressed:
        compressed.write(buffer.getvalue())


def _default_files(name: str, version: str) -> dict[str, str | bytes]:
    return {f"{_module(name)}.py": f"__version__ = {version!r}\n"}


def _module(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _stem(name: str, version: str) -> str:
    """Name and version as in the names of archives and of ``*.dist-info``."""
    return f"{_module(name)}-{version.replace('-', '_')}"


def _wheel_name(name: str, version: str, build: str, tag: str) -> str:
    return f"{_stem(name, version)}-{build + '-' if build else ''}{tag}.whl"


def _as_bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _record_digest(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={digest.decode('ascii')}"
