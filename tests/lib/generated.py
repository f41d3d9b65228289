"""Generated environments: a frozen index of made projects, and what may be installed before and asked for then."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.index import IndexServer, canonical

__all__ = ["Case", "fill_frozen_index", "generate_cases"]


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a made project."""

    name: str  #: as its metadata spells it
    version: str
    requires: tuple[str, ...] = ()
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kinds: str = "wheel"  #: of its archives
    yanked: bool | str = False
    fits: str = "whole"  #: ``alone``: what it requires cannot be had; ``never``: it is not for the Pythons of the tests
    options: Mapping[str, Any] = field(default_factory=dict)  #: of :func:`make_wheel` and :func:`make_sdist`


def _script(module: str) -> dict[str, Any]:
    files = {f"{module}.py": f"def main():\n    print({module!r})\n"}
    return {"files": files, "entry_points": f"[console_scripts]\n{module}-tool = {module}:main\n"}


#: Ranges and exclusions; pre-, post- and local releases, one that is yanked; wheels and sdists; extras that bring
#: others; markers; names spelled in many ways; circles and conflicts; what cannot be had; files that two projects have.
RELEASES = (
    Release("alpha", "1.0", ("beta<2",)),
    Release("alpha", "1.1", ("beta>=1.0,!=1.1", "delta; python_version<'3'")),
    Release("alpha", "2.0", ("beta>=2", "gamma_tools>=0.9; python_version>='3'"), {"all": ["zeta", "theta<2"]}),
    Release("alpha", "2.1rc1", ("beta",)),
    Release("beta", "1.0", options=_script("beta")),
    Release("beta", "1.1", options={"files": {"beta/__init__.py": "", "beta/old.py": "old = 1\n"}}),
    Release("beta", "2.0", (), {"fast": ["delta"], "net": ["Gamma.Tools[ssl]"]}, options=_script("beta")),
    Release("beta", "2.0.post1", (), {"fast": ["delta>=1.5"], "net": ["gamma-tools[SSL]"]}),
    Release("beta", "3.0", fits="never", options={"requires_python": "<3"}),
    Release("Gamma.Tools", "0.9", kinds="wheel sdist", options=_script("gamma")),
    Release("Gamma.Tools", "1.0", (), {"ssl": ["epsilon>=1,<2.0.1"]}, kinds="wheel sdist", options=_script("gamma")),
    Release("gamma-tools", "1.0+local.1", (), {"ssl": ["epsilon"]}),
    Release("Gamma_Tools", "1.2", yanked="made in haste"),
    Release("delta", "1.0", ("epsilon",), kinds="sdist"),
    Release("delta", "1.5", ("epsilon!=2.0",)),
    Release("delta", "2.0", ("Epsilon>=1",), {"Odd.Extra": ["iota"]}, kinds="sdist", options=_script("delta")),
    Release("epsilon", "1.0"),
    Release("epsilon", "2.0", ("zeta",)),
    Release("epsilon", "2.0.1", ("zeta>=1.0",), options={"files": {"epsilon.py": "", "shared/one.py": "one = 1\n"}}),
    Release("epsilon", "3.0b1", ("zeta==1.*",)),
    Release("zeta", "1.0", ("epsilon>=1",), options={"data": {"scripts/zeta": "#!python\nprint('zeta')\n"}}),
    Release(
        "zeta", "1.1", ("epsilon<2.0.1",), options={
            "data": {"scripts/zeta": "#!python\nprint(1.1)\n", "headers/zeta.h": "\n", "data/share/zeta.txt": "zeta\n"}
        }
    ),
    Release("eta", "1.0", ("theta<2",)),
    Release("eta", "1.5", ("theta~=1.5",)),
    Release("eta", "2.0", ("theta>=2",)),
    Release("eta", "3.0", ("not-there",), fits="alone"),
    Release("theta", "1.0", options={"files": {"shared/one.py": "one = 'theta'\n", "theta.py": ""}}),
    Release("theta", "1.5", options={"files": {"theta/__init__.py": "", "theta/data.json": "{}\n"}}),
    Release("theta", "2.0", kinds="sdist wheel", options={"files": {"theta/__init__.py": "", "shared/two.py": ""}}),
    Release("theta", "2.1", fits="never", options={"tag": "cp27-none-any"}),
    Release("theta", "3.0a1"),
    Release("iota", "0.1a1"),
    Release("iota", "0.1b2", ("theta<2",)),
    Release("kappa", "1.0", ("alpha<2", "eta")),
    Release("kappa", "2.0", ("alpha>=2", "eta<3", "theta<2")),
    Release("kappa", "3.0", ("alpha[all]>=2", "theta>=2"), fits="alone"),
    Release("mu", "1!0.5", ("beta[fast]>=1.0",)),
    Release("mu", "1!1.0.0", ("beta[net,fast]", "no-such; sys_platform=='none'"), kinds="sdist"),
    Release("mu", "7.0", ("beta[none]",)),
    Release("Nu_Nu-nu", "1.0", ("mu",), options={"files": {"shared/two.py": "two = 'nu'\n"}}),
    Release("nu.nu.nu", "1.00.1", ("mu<1!1", "Theta"), {"x": ["alpha<2"], "y": ["alpha>=2"]}),
    Release("xi", "1", options={"tag": "py3-none-any", "build": "1"}),
    Release("xi", "2.0", ("xi-helper===1.0",), kinds="sdist"),
    Release("xi_helper", "1.0", ("xi",)),
    Release("xi_helper", "1.0.1"),
)  # fmt: skip
#: Releases that can be had together, each set with all that it requires.
CLOSED_SETS = (
    ("alpha==1.0", "beta==1.1"),
    ("alpha==2.0", "beta==2.0.post1", "gamma-tools==1.0+local.1"),
    ("delta==2.0", "epsilon==2.0", "zeta==1.1"),
    ("kappa==2.0", "alpha==2.0", "beta==2.0", "Gamma.Tools==0.9", "eta==1.5", "theta==1.5"),
    ("mu==1!0.5", "beta[fast]==2.0", "delta==1.5", "epsilon==1.0"),
)
SPELLINGS = {
    "gamma-tools": ("Gamma.Tools", "Gamma_Tools", "gamma.tools"),
    "nu-nu-nu": ("nu.nu.nu", "Nu_Nu.nu"),
    "xi-helper": ("xi_helper", "XI-helper"),
    "zeta": ("Zeta",),
}
EXTRAS = {
    "alpha": ("all",),
    "beta": ("fast", "net", "none"),
    "delta": ("odd-extra", "Odd_Extra"),
    "gamma-tools": ("ssl",),
    "nu-nu-nu": ("x", "y"),
}
MARKERS = ("python_version>='3'", "python_version<'3'", "sys_platform!='none' and os_name!='none'", "extra=='x'")
#: Of so many cases one is taken.
STRIDE = 7
#: Options that many people use come more than once.
OPTIONS = (
    "-U", "-U", "-U", "-U --upgrade-strategy eager", "--upgrade-strategy eager", "--force-reinstall", "-I",
    "--no-deps", "--no-deps", "--pre", "--prefer-binary", "--no-compile", "--only-binary :all:", "--only-binary {name}",
    "--no-binary {name}", "--no-binary {name}", "-q",
)  # fmt: skip


def _versions() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for release in RELEASES:
        name = canonical(release.name)
        found[name] = (*found.get(name, ()), release.version)
    return found


VERSIONS = _versions()


@dataclass(frozen=True, slots=True)
class Case:
    """What is installed first, by pip, and what is asked for then."""

    earlier: tuple[tuple[str, ...], ...]  #: words of each installation
    words: tuple[str, ...]  #: ``{files}`` in them, and in the files, is the directory of the files
    files: Mapping[str, str]  #: texts by name
    fresh: bool  #: whether pip-accel has nothing in its data directory

    def __str__(self) -> str:
        lines = [f"installed: {shlex.join(words)}" for words in self.earlier]
        lines += [f"{name}: {line}" for name, text in self.files.items() for line in text.splitlines()]
        return "\n".join([*lines, f"words: {shlex.join(self.words)}", *["data directory: fresh"] * self.fresh])


def fill_frozen_index(index: IndexServer, directory: str) -> dict[str, tuple[str, ...]]:
    """Make all releases in ``directory``, and show them; give the SHA-256 of each one's archives by its pin."""
    hashes: dict[str, tuple[str, ...]] = {}
    for release in RELEASES:
        module = canonical(release.name).replace("-", "_")
        options = {"files": {f"{module}.py": f"__version__ = {release.version!r}\n"}, **release.options}
        for kind in release.kinds.split():
            make = make_wheel if kind == "wheel" else make_sdist
            path = make(
                directory, release.name, release.version, requires=release.requires, extras=release.extras, **options
            )
            index.add(path, yanked=release.yanked)
            with open(path, "rb") as stream:
                digest = hashlib.sha256(stream.read()).hexdigest()
            pin = f"{canonical(release.name)}=={release.version}"
            hashes[pin] = (*hashes.get(pin, ()), digest)
    return hashes


def generate_cases(hashes: Mapping[str, tuple[str, ...]], count: int, number: int) -> list[Case]:
    """Give so many cases, the same ones for the same number.

    They are drawn first and judged afterwards: a case takes seconds, so that nothing is to be tried again or made
    smaller. Hypothesis likes to vary a case for a while; so only some of those that it draws are taken. Every third one
    then asks what another one has asked before, where something else was installed.

    :param hashes: what :func:`fill_frozen_index` gives.
    """
    drawn: dict[str, Case] = {}
    strategy = st.builds(
        _case,
        st.lists(_earlier(), max_size=2, unique=True).map(tuple),
        st.one_of(_open_requests(), _open_requests(), _open_requests(), _pinned_requests(hashes)),
        st.lists(_options(), max_size=3, unique=True),
        st.sampled_from([False] * 5 + [True]),
    )

    @seed(number)
    @settings(
        max_examples=count * STRIDE * 2,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(case: Case) -> None:
        drawn.setdefault(str(case), case)

    draw()
    chosen = list(drawn.values())[STRIDE - 1 :: STRIDE][:count]
    for place in range(2, len(chosen), 3):
        chosen[place] = replace(chosen[place], words=chosen[place - 2].words, files=chosen[place - 2].files)
    return chosen


def _case(
    earlier: tuple[tuple[str, ...], ...], request: tuple[list[str], dict[str, str]], options: list[str], fresh: bool
) -> Case:
    words, files = request
    given = [word for option in options for word in option.split()]
    return Case(earlier, (*given, *words), files, fresh)


def _earlier() -> st.SearchStrategy[tuple[str, ...]]:
    """Words of an installation that succeeds, whatever there is: some leave a broken environment behind."""
    whole, alone = (
        [f"{each.name}=={each.version}" for each in RELEASES if each.fits in fits]
        for fits in (("whole",), ("whole", "alone"))
    )
    with_dependencies = st.sampled_from(whole).map(lambda pin: (pin,))
    without = st.lists(st.sampled_from(alone), min_size=1, max_size=3, unique_by=_project).map(
        lambda pins: ("--no-deps", *pins)
    )
    return st.one_of(
        with_dependencies,
        with_dependencies,
        without,
        without,
        st.sampled_from(CLOSED_SETS).map(lambda words: ("--no-deps", "--no-compile", *words)),
    )


def _project(requirement: str) -> str:
    return canonical(requirement.partition("==")[0].partition("[")[0])


@st.composite
def _open_requests(draw: st.DrawFn) -> tuple[list[str], dict[str, str]]:
    """Requirements of all kinds, as words or in a file, and constraints."""
    requirements = draw(st.lists(_requirements(), min_size=1, max_size=3, unique_by=_project))
    constraints = draw(st.sampled_from([0, 0, 0, 1, 2]))
    words: list[str] = []
    files: dict[str, str] = {}
    if constraints:
        lines = [draw(_requirements(constraint=True)) for _ in range(constraints)]
        files["constraints.txt"] = "".join(f"{line}\n" for line in lines)
        words += ["-c", "{files}/constraints.txt"]
    in_file = draw(st.sampled_from([0, 0, 0, 1, 2, 3]))
    if in_file:
        lines = [*draw(st.sampled_from([[], [], ["--pre"], ["--prefer-binary"], ["--only-binary theta"]]))]
        files["requirements.txt"] = "".join(f"{line}\n" for line in [*lines, *requirements[:in_file]])
        words += ["-r", "{files}/requirements.txt"]
    return [*words, *requirements[in_file:]], files


@st.composite
def _requirements(draw: st.DrawFn, constraint: bool = False) -> str:
    """A requirement; a constraint has no extras."""
    name = draw(st.sampled_from(sorted(VERSIONS)))
    versions = VERSIONS[name]
    version = draw(st.sampled_from(versions))
    lower = versions[max(0, versions.index(version) - 2)]
    release = version.partition("+")[0]
    clauses = draw(
        st.sampled_from(
            [f"=={version}"] * 5
            + ([f"<={version}", f"!={version}"] if constraint else [""] * 5)
            + [f">={release}", f">{release}", f"<{release}", f"!={version}", f"=={release.split('.')[0]}.*"]
            + [f">={lower},<={release}", f"==={version}", f"~={release}" if "." in release else f"<={release}"]
        )
    )
    spelling = draw(st.sampled_from([name, name, *SPELLINGS.get(name, ())]))
    extras = draw(st.sampled_from(["", "", *EXTRAS.get(name, ())])) if not constraint else ""
    marker = draw(st.sampled_from(["", "", "", "", "", "", "", "", *MARKERS]))
    return spelling + (f"[{extras}]" if extras else "") + clauses + (f"; {marker}" if marker else "")


@st.composite
def _pinned_requests(draw: st.DrawFn, hashes: Mapping[str, tuple[str, ...]]) -> tuple[list[str], dict[str, str]]:
    """A closed set in a file; with hashes, all of them or those of some archives, and then maybe a line too few."""
    pins = draw(st.permutations(draw(st.sampled_from(CLOSED_SETS))))
    with_hashes = draw(st.booleans())
    if draw(st.sampled_from([False, False, False, True])):
        pins = pins[1:]
    lines = []
    for pin in pins:
        found = hashes[f"{_project(pin)}=={pin.partition('==')[2]}"]
        chosen = draw(st.sampled_from([found, found, found[-1:], ("0" * 64,) if len(pins) > 4 else found]))
        lines.append(pin + "".join(f" \\\n    --hash=sha256:{each}" for each in chosen if with_hashes))
    words = ["--require-hashes"] if with_hashes and draw(st.booleans()) else []
    return [*words, "-r", "{files}/requirements.txt"], {"requirements.txt": "".join(f"{line}\n" for line in lines)}


def _options() -> st.SearchStrategy[str]:
    names = st.sampled_from(sorted(VERSIONS))
    return st.builds(lambda option, name: option.format(name=name), st.sampled_from(OPTIONS), names)
