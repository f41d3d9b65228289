"""How the user wants sdists built, beyond what they say themselves: a part of the key of each result."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pip_accel._digests import digest_of
from pip_accel._index import OWN
from pip_accel._values import Target

__all__ = ["Recipe", "see_outside"]


class Recipe(NamedTuple):
    """What ``--no-build-isolation``, ``--config-settings``, ``--build-constraint`` and the variables say."""

    isolation: bool = True
    settings: Mapping[str, Mapping[str, Any]] = {}  #: config settings by canonical name; of directories: by real path
    constraints: tuple[str, ...] = ()  #: on build requirements, sorted
    outside: tuple[str, ...] | None = ()  #: what a build that is not isolated can see; ``None``: it may change
    environ: Mapping[str, str] = {}
    variables: tuple[str, ...] = ()  #: names of those that the user knows to matter
    own: bool = False  #: whether nothing is used that was made on other machines
    apart: bool = False  #: whether that has to be kept apart from what is here, as some of this came from there

    def settings_of(self, project: str, source: str = "") -> Mapping[str, Any]:
        """Give the config settings of a project.

        :param project: its canonical name.
        :param source: real path of its directory, if it was asked for by that.
        """
        return self.settings.get(source) or self.settings.get(project, {})

    def variant(self, project: str) -> str:
        """Name this way of building a project, as its metadata may depend on it; empty if it is the usual one."""
        from pip_accel._build.key import choose_variables

        own = OWN if self.apart else ""
        return own + self._way(project, choose_variables(project, self.environ, self.variables))

    def ways(self, projects: Iterable[str]) -> list[str]:
        """Name the ways in which these projects and all others are built, for all machines: secrets have no part in it.

        :param projects: their canonical names.
        """
        from pip_accel._build.key import choose_variables, may_hold_secret

        ways = set()
        for project in ("", *projects):
            chosen = choose_variables(project, self.environ, self.variables).items()
            ways.add(self._way(project, dict(each for each in chosen if not may_hold_secret(each))))
        return sorted(ways)

    def _way(self, project: str, variables: Mapping[str, str]) -> str:
        settings = dict(self.settings_of(project))
        if self.isolation and not settings and not self.constraints and not variables:
            return ""
        return "-" + digest_of([self.isolation, settings, self.constraints, self.outside, variables])[:16]

    def state(self, names: Iterable[str]) -> Mapping[str, str]:
        """Give what the variables are now that a source names."""
        from pip_accel._build.key import state_of_variables

        return state_of_variables(names, self.environ)


def see_outside(target: Target) -> tuple[str, ...] | None:
    """Give what a build that is not isolated can see: each distribution of the target with a digest of its modules.

    ``None`` if one of them is no more than a pointer to a source tree, which may change.
    """
    from pip_accel import _fs
    from pip_accel._installed import find_installed

    rows = []
    for name, found in sorted(find_installed(target).items()):
        record = _fs.read_text(os.path.join(found.metadata, "RECORD"))
        if record is None or _is_editable(_fs.read_text(os.path.join(found.metadata, "direct_url.json"))):
            return None
        rows.append(f"{name}=={found.version} {digest_of(sorted(filter(_is_module, record.splitlines())))}")
    return tuple(rows)


def _is_editable(direct: str | None) -> bool:
    """Whether a ``direct_url.json`` is that of an editable installation (PEP 610), or cannot be understood."""
    try:
        return direct is not None and bool(json.loads(direct).get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return True


def _is_module(row: str) -> bool:
    """Whether a row of RECORD is of a file that is the same in every environment: scripts name that, for example."""
    path, _, rest = row.partition(",")
    return "sha256=" in rest and not path.startswith(("..", "/")) and ".dist-info/" not in path
