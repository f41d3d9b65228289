"""The key of a built distribution: everything that we know its content to depend on, in the clear and as a digest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from pip_accel._names import canonical_name, canonical_version
from pip_accel._values import Pin, Target

__all__ = ["cache_filename", "identify_compiler", "key_digest", "make_key"]

#: Variables that compilers and build backends read.
_VARIABLES = frozenset(
    ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "LDSHARED", "ARCHFLAGS", "RUSTFLAGS", "CMAKE_ARGS")
) | frozenset(
    ("AR", "OPT", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "MACOSX_DEPLOYMENT_TARGET")
) | frozenset(("_PYTHON_HOST_PLATFORM", "PKG_CONFIG_PATH", "SOURCE_DATE_EPOCH", "SETUPTOOLS_EXT_SUFFIX", "DISTUTILS_DEBUG"))
_SECRETS = ("_TOKEN", "_PASSWORD", "_SECRET", "_KEY")
_PREFIXES = ("CARGO_", "SETUPTOOLS_SCM_", "CMAKE_", "SKBUILD_", "MESON_")


def make_key(
    pin: Pin,
    target: Target,
    requirements: Iterable[Pin],
    environ: Mapping[str, str],
    *,
    salt: str,
    variables: Iterable[str],
    revision: int,
    compiler: str,
) -> dict[str, Any]:
    """Put together the key of a distribution that is built from source.

    :param requirements: what is in the build environment.
    :param variables: names of further environment variables that the user knows to matter.
    """
    name = canonical_name(pin.name)
    own = name.upper().replace("-", "_") + "_"
    wanted = set(variables)
    return {
        "name": name,
        "version": canonical_version(pin.version),
        "source": pin.archive.sha256,
        "python": [target.implementation, ".".join(target.version.split(".")[:2]), target.abi],
        "platform": [target.platform, target.libc],
        "config-settings": {},
        "build-constraints": [],
        "build-requirements": sorted(each.archive.sha256 for each in requirements),
        # Other values than those of compilers go in as digests: keys stand in the clear in archives that are shared.
        "variables": {
            key: value if key in _VARIABLES else hashlib.sha256(os.fsencode(value)).hexdigest()
            for key, value in sorted(environ.items())
            if key in _VARIABLES or key in wanted or (key.startswith((*_PREFIXES, own)) and not key.endswith(_SECRETS))
        },
        "compiler": compiler,
        "salt": salt,
        "revision": revision,
    }


def key_digest(key: Mapping[str, Any]) -> str:
    """Give the digest of a key, hex."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def cache_filename(key: Mapping[str, Any], tag: str) -> str:
    """Name the archive of a built distribution: it begins with what a person looks for."""
    name, version = key["name"], key["version"]
    return f"v{key['revision']}/{name}/{name}-{version}-{tag}-{key_digest(key)[:32]}.tar.gz"


def identify_compiler(environ: Mapping[str, str], usual: str) -> str:
    """Name the C compiler that a build would find, with its version; empty if there is none.

    Without one, optional extensions are silently left out: the result is another one.
    """
    import shlex

    from pip_accel._process import run

    try:
        words = shlex.split(environ.get("CC", "") or usual) or ["cc"]
    except ValueError:  # no shell would understand it, and so no build
        return ""
    program = shutil.which(words[0], path=environ.get("PATH"))
    if program is None:
        return ""
    try:
        lines = run([program, "--version"], env={**environ, "LC_ALL": "C.UTF-8"}).output.splitlines()
    except OSError:
        return os.path.basename(words[0])
    return lines[0].strip() if lines else os.path.basename(words[0])
