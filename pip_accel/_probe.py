"""What pip-accel wants to know of an interpreter, found out by that interpreter itself.

Runs as a script in any Python that pip supports, and is imported when the target is the interpreter pip-accel runs in.
"""

from __future__ import annotations

import os
import sys
import sysconfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["probe"]


def probe() -> dict[str, Any]:
    """Give the fields of a ``Target`` as plain values."""
    from importlib.util import MAGIC_NUMBER

    virtual = sys.prefix != getattr(sys, "base_prefix", sys.prefix)
    scheme = _prefix_scheme()
    paths = sysconfig.get_paths(scheme=scheme)
    include = paths["include"]
    if virtual:
        include = os.path.join(sys.prefix, "include", "site", "python{}.{}".format(*sys.version_info))
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
        "scheme": {
            "purelib": paths["purelib"],
            "platlib": paths["platlib"],
            "headers": include,
            "scripts": paths["scripts"],
            "data": paths["data"],
        },
        "path": [os.path.abspath(each) for each in sys.path if each and os.path.exists(each)],
        "virtual": virtual,
        "externally_managed": marker if not virtual and os.path.isfile(marker) else "",
        "compiler": sysconfig.get_config_var("CC") or "",
        "markers": _markers(),
    }


def _prefix_scheme() -> str:
    """Name the scheme that pip installs by when it is told nothing."""
    preferred = getattr(sysconfig, "get_preferred_scheme", None)
    if preferred is not None:
        return str(preferred("prefix"))
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
    """The environment of PEP 508, without ``platform`` where ``os.uname`` tells the same."""
    info = sys.implementation.version
    implementation_version = "{}.{}.{}".format(*info)
    if info.releaselevel != "final":
        implementation_version += info.releaselevel[0] + str(info.serial)
    import platform

    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": implementation_version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
        "python_version": "{}.{}".format(*sys.version_info),
        "sys_platform": sys.platform,
    }


if __name__ == "__main__":
    import json

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != here]
    print(json.dumps(probe()))
