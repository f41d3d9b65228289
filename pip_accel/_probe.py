"""What pip-accel wants to know of an interpreter, found out by that interpreter itself.

Runs as a script in any Python that pip supports, and is imported when the target is the interpreter pip-accel runs in.
"""

from __future__ import annotations

import os
import sys
import sysconfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["probe"]


def probe(
    user: bool | None = None, target: str = "", prefix: str = "", root: str = "", plain: bool = False
) -> dict[str, Any]:
    """Give the fields of a ``Target`` as plain values; the parameters are the fields of a ``Destination``.

    :raises ValueError: pip refuses to install there.
    """
    from importlib.util import MAGIC_NUMBER

    virtual = sys.prefix != getattr(sys, "base_prefix", sys.prefix)
    own = _scheme("prefix", virtual)
    defaulted = False
    if user:
        _check_user_site(virtual)
    elif user is None and not (target or prefix) and _has_user_site():
        user = defaulted = not all(map(_is_writable, _below(root, (own["purelib"], own["platlib"]))))
    if target:
        kind, place, scheme = "directory", target, _scheme("home", virtual, target)
    elif user:
        kind, place, scheme = "user", _user_base(), _scheme("user", virtual)
    elif prefix:
        kind, place, scheme = "elsewhere", prefix, _scheme("prefix", virtual, prefix, plain)
    else:
        kind, place, scheme = "environment", sys.prefix, own
    if root:
        kind, place = "elsewhere", root
        scheme = dict(zip(scheme, _below(root, scheme.values()), strict=True))
    abi = sysconfig.get_config_var("SOABI") or ""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        abi += "-freethreaded"
    if hasattr(sys, "gettotalrefcount"):
        abi += "-debug"
    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return {
        "python": sys.executable,
        "version": "{}.{}.{}".format(*sys.version_info),
        "implementation": sys.implementation.name,
        "cache_tag": sys.implementation.cache_tag or "",
        "magic": MAGIC_NUMBER.hex(),
        "abi": abi,
        "platform": sysconfig.get_platform(),
        "libc": _libc(),
        "prefix": sys.prefix,
        "base_python": getattr(sys, "_base_executable", sys.executable) or sys.executable,
        "scheme": scheme,
        "path": [os.path.abspath(each) for each in sys.path if each and os.path.exists(each)],
        "virtual": virtual,
        "externally_managed": marker if not virtual and os.path.isfile(marker) else "",
        "compiler": sysconfig.get_config_var("CC") or "",
        "markers": _markers(),
        "kind": kind,
        "place": place,
        "defaulted": defaulted,
        "scripts": own["scripts"],
        "user_site": _user_site(),
        "user_scripts": _scheme("user", virtual)["scripts"] if _user_site() else "",
    }


def _scheme(key: str, virtual: bool, base: str = "", plain: bool = False) -> dict[str, str]:
    """Give the directories of a scheme, as pip uses them.

    :param key: ``prefix``, ``home`` or ``user``.
    :param base: takes the place of the prefix.
    :param plain: whether that has no ``local`` below it where Debian's Python does.
    """
    name = _scheme_name(key)
    if base and (name == "osx_framework_library" or (plain and name == "posix_local")):
        name = "posix_prefix"
    names = ("installed_base", "base", "installed_platbase", "platbase", "prefix", "exec_prefix", "userbase")
    paths = sysconfig.get_paths(scheme=name, vars=dict.fromkeys(names, base) if base else None)
    include = paths["include"]
    if virtual:  # pip has a place of its own for headers there
        prefix = _user_base() if key == "user" else sys.prefix
        include = os.path.join(base or prefix, "include", "site", "python{}.{}".format(*sys.version_info))
    return {
        "purelib": paths["purelib"],
        "platlib": paths["platlib"],
        "headers": include,
        "scripts": paths["scripts"],
        "data": paths["data"],
    }


def _scheme_name(key: str) -> str:
    """Name the scheme that pip installs by."""
    preferred = getattr(sysconfig, "get_preferred_scheme", None)
    if preferred is not None:
        return str(preferred(key))
    if key != "prefix":
        return f"{os.name}_{key}"
    names = sysconfig.get_scheme_names()
    for name in (
        f"{sys.implementation.name}_{os.name}",
        sys.implementation.name,
        f"{os.name}_prefix",
        os.name,
    ):
        if name in names:
            return name
    return "posix_prefix"


def _below(root: str, paths: Iterable[str]) -> list[str]:
    """Give paths as they are below another root."""
    return [os.path.join(root, os.path.splitdrive(path)[1].lstrip("/\\")) if root else path for path in paths]


def _has_user_site() -> bool:
    import site

    return bool(site.ENABLE_USER_SITE)


def _user_site() -> str:
    import site

    return site.getusersitepackages() or ""


def _user_base() -> str:
    import site

    return site.getuserbase()


def _check_user_site(virtual: bool) -> None:
    """See that the user site can be installed into.

    :raises ValueError: it is not on ``sys.path``.
    """
    if not _has_user_site() or (virtual and not _sees_system_site()):
        raise ValueError("its user site is not visible")


def _sees_system_site() -> bool:
    """Whether a virtual environment sees what the Python has that it was made of (PEP 405)."""
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8") as stream:
            lines = [line.partition("=") for line in stream]
    except OSError:
        return False
    values = [value.strip() for name, _, value in lines if name.strip() == "include-system-site-packages"]
    return "false" not in values


def _is_writable(path: str) -> bool:
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return os.access(path, os.W_OK)


def _libc() -> str:
    if sys.platform != "linux":
        return ""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        version = None
    if version:
        return version.replace(" ", "-")
    import platform

    return "-".join(platform.libc_ver()) or "unknown"


def _markers() -> dict[str, str]:
    """The environment of PEP 508."""
    info = sys.implementation.version
    implementation_version = "{}.{}.{}".format(*info)
    if info.releaselevel != "final":
        implementation_version += info.releaselevel[0] + str(info.serial)
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": implementation_version,
        "os_name": os.name,
        **_platform(),
        "python_version": "{}.{}".format(*sys.version_info),
        "sys_platform": sys.platform,
    }


def _platform() -> dict[str, str]:
    """The part of it for which there is the module ``platform``, without that where :func:`os.uname` tells the same."""
    if sys.platform == "linux" and sys.implementation.name == "cpython":
        system = os.uname()
        return {
            "platform_machine": system.machine,
            "platform_release": system.release,
            "platform_system": system.sysname,
            "platform_version": system.version,
            "python_full_version": sys.version.split()[0],
            "platform_python_implementation": "CPython",
        }
    import platform

    return {
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
    }


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != here]
    words = sys.argv[1:]
    try:
        answer = probe({"yes": True, "no": False}.get(words[0]), words[1], words[2], words[3], words[4] == "yes")
    except ValueError as error:
        answer = {"refused": str(error)}
    import marshal

    # To import json would take longer than all of the above. Version 2 is the same for all Pythons.
    sys.stdout.buffer.write(marshal.dumps(answer, 2))
