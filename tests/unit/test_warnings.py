"""What pip warns of. That these are its words is seen in the functional tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from packaging.requirements import InvalidRequirement, Requirement

from pip_accel import _warnings
from pip_accel._values import Change, Launcher, Tree
from pip_accel._warnings import find_conflicts, root_warning, scripts_off_path
from tests.lib.runs import CHECKOUT
from tests.lib.trees import make_target

MARKERS = (("os_name", "posix"), ("python_version", "3.12"), ("sys_platform", "linux"))


def coming(name, version="1.0", *launchers):
    tree = Tree("", name, version, "purelib", f"{name}-{version}.dist-info", 0, launchers, ())
    return Change(tree, True, "", None)


def launcher(name, gui=False):
    return Launcher(name, "module", "main", gui)


@pytest.fixture
def site(tmp_path):
    """The one directory in which the target has distributions."""
    path = tmp_path / "site"
    path.mkdir()
    return path


@pytest.fixture
def target(site):
    return make_target("/env")._replace(path=(str(site),), markers=MARKERS, version="3.12.1")


def hold(directory, name, version, *requires, metadata="METADATA", info="{}-{}.dist-info"):
    """Put the metadata of a distribution into a directory; give the directory that is its own."""
    own = directory / info.format(name, version)
    own.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in requires)]
    (own / metadata).write_text("\n".join(lines) + "\n\nRequires-Dist: of the description\n")
    return own


def conflicts(target, *changes, pip="26.3"):
    """The lines below the first, which is always the same; broken metadata is an error."""

    def fail(text):
        raise AssertionError(text)

    first, *lines = find_conflicts(target, changes, pip=pip, on_broken=fail) or [""]
    assert bool(first) is bool(lines)
    return lines


def broken(target, *changes):
    told = []
    find_conflicts(target, changes, pip="26.3", on_broken=told.append)
    return told


@pytest.mark.parametrize(
    ("requirement", "version", "expected"),
    [
        pytest.param("lib<2", "2.0", "lib<2, but you have lib 2.0", id="too new"),
        pytest.param("lib<2; os_name == 'x'", "2.0", None, id="another marker"),
        pytest.param("lib (<2);os_name!='x'", "2", 'lib<2; os_name != "x", but you have lib 2', id="marker"),
        pytest.param("LIB!=2.0, >1", "2", "LIB!=2.0,>1, but you have lib 2", id="name and clauses"),
        pytest.param("lib[b,a]~=1.0", "2.0.0", "lib[a,b]~=1.0, but you have lib 2.0.0", id="extras"),
        pytest.param("lib<2; extra == 'x'", "2.0", None, id="of an extra"),
        pytest.param("lib>=2", "2.0rc1", "lib>=2, but you have lib 2.0rc1", id="pre-release too old"),
        pytest.param("lib>=1", "2.0rc1", None, id="pre-release that will do"),
        pytest.param("lib==2.0", "2.0+local", None, id="local version"),
        pytest.param("lib<2", "2.0.POST-1", "lib<2, but you have lib 2.0.post1", id="version as pip spells it"),
        pytest.param("lib @ https://example.org/lib.zip", "2.0", None, id="by URL"),
        pytest.param("lib", "2.0", None, id="any"),
        pytest.param("library<2", "2.0", None, id="another project"),
    ],
)
def test_what_comes_may_not_be_what_is_required(target, site, requirement, version, expected):
    hold(site, "user", "1.0", requirement)
    found = conflicts(target, coming("lib", version))
    assert found == ([f"user 1.0 requires {expected} which is incompatible."] if expected else [])


def test_all_that_is_wrong_with_what_requires_what_comes_is_named(target, site):
    requires = ["zebra", "lib<2", "absent>1 ; os_name == 'posix'", "other<1", "not-here; os_name=='x'"]
    hold(site, "first_one", "1.0.0", *requires)
    hold(site, "other", "1.5")
    hold(site, "unconcerned", "1.0", "absent", "other<1")
    assert conflicts(target, coming("Lib", "2.0")) == [
        'first-one 1.0.0 requires absent>1; os_name == "posix", which is not installed.',
        "first-one 1.0.0 requires zebra, which is not installed.",
        "first-one 1.0.0 requires lib<2, but you have lib 2.0 which is incompatible.",
        "first-one 1.0.0 requires other<1, but you have other 1.5 which is incompatible.",
    ]


def test_requirements_are_in_the_order_of_names_and_then_of_their_text(target, site):
    hold(site, "user", "1.0", "lib>5", "a-b", "a", "lib!=2", "a!=1", "lib>5", "a-b>1")
    required = [line.split(" requires ")[1].split(",")[0] for line in conflicts(target, coming("lib", "2"))]
    assert required == ["a!=1", "a", "a-b", "a-b>1", "lib!=2", "lib>5"]


@pytest.mark.parametrize(("version", "backwards"), [("3.10.4", False), ("3.12.1", True)])
def test_distributions_are_in_the_order_in_which_pip_lists_them(target, site, monkeypatch, version, backwards):
    for name in ("b", "a", "c"):
        hold(site, name, "1", "lib<2")
    elsewhere = site.parent / "elsewhere"
    for name in ("aa", "b"):
        hold(elsewhere, name, "2", "lib<2")
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listed(path), reverse=True))
    target = target._replace(version=version, path=(str(site), str(site / "missing"), str(elsewhere)))
    found = [line.split(" requires ")[0] for line in conflicts(target, coming("lib", "2.0"))]
    assert found == (["c 1", "b 1", "a 1", "aa 2"] if backwards else ["a 1", "b 1", "c 1", "aa 2"])


def test_what_comes_is_not_looked_at(target, site):
    hold(site, "user", "1.0", "lib<2")
    hold(site, "lib", "1.0", "user<1", "absent")
    assert conflicts(target, coming("user", "2.0"), coming("lib", "2.0")) == []


def test_nothing_comes_and_nothing_conflicts(target, site):
    hold(site, "user", "1.0", "lib<2")
    hold(site, "lib", "2.0")
    assert conflicts(target) == []


@pytest.mark.parametrize(
    ("pip", "names", "expected"),
    [
        ("26.1.2", "abc", ["a", "b", "c"]),
        ("26.1.2", "acb", ["a", "b"]),
        ("25.3", "cba", ["a"]),
        ("26.2", "abc", ["a"]),
        ("unknown", "abc", ["a"]),
    ],
)
def test_before_26_2_what_is_affected_affects_what_comes_after_it(target, tmp_path, pip, names, expected):
    requires = {"a": "lib", "b": "a", "c": "b"}
    places = [tmp_path / str(number) for number in range(len(names))]  # one for each, to be sure of the order
    for place, name in zip(places, names, strict=True):
        hold(place, name, "1", requires[name], "absent")
    found = conflicts(target._replace(path=tuple(map(str, places))), coming("lib"), pip=pip)
    assert [line.split()[0] for line in found] == expected


@pytest.mark.parametrize(("pip", "text"), [("25.3", "far@ file:///x"), ("26.0", "far @ file:///x")])
def test_a_requirement_by_url_is_spelled_by_the_version_of_pip(target, site, pip, text):
    hold(site, "user", "1.0", "lib", "far@file:///x")
    assert conflicts(target, coming("lib"), pip=pip) == [f"user 1.0 requires {text}, which is not installed."]


@pytest.mark.parametrize(
    ("requirement", "says"),
    [
        ("foo>=1.*", r".* suffix can only be used with"),
        ("foo>dev", "Expected semicolon"),
        ("foo (>1", "Expected matching RIGHT_PARENTHESIS"),
        ("foo; python_version >= 3", "Expected a marker variable or quoted string"),
        ("foo; os_name ~= 'x'", "Undefined"),
        ("!", "Expected package name"),
    ],
)
def test_what_has_requirements_that_are_none_is_left_out_with_a_warning(target, site, requirement, says):
    hold(site, "bad.one", "1.0", "lib<1", requirement)
    hold(site, "user", "1.0", "lib", "bad-one")
    told = []
    lines = find_conflicts(target, [coming("lib", "2.0")], pip="26.3", on_broken=told.append)
    assert lines[1:] == ["user 1.0 requires bad-one, which is not installed."]
    assert [text.startswith("Error parsing dependencies of bad-one: ") and says in text for text in told] == [True]
    assert broken(target) == broken(target, coming("bad-one", "2.0")) == told


def test_what_has_no_version_or_no_text_is_left_out_with_a_warning(target, site):
    hold(site, "pytz", "2004d")
    (hold(site, "latin", "1.0") / "METADATA").write_bytes(b"Name: latin\nAuthor: \xe9\n")
    assert sorted(broken(target)) == [
        "Error parsing dependencies of latin: 'utf-8' codec can't decode byte 0xe9 in position 20: "
        "invalid continuation byte",
        "Error parsing dependencies of pytz: Invalid version: '2004d'",
    ]


def test_a_directory_without_metadata_requires_nothing(target, site):
    (site / "user-1.0.dist-info").mkdir()
    assert conflicts(target, coming("lib")) == []


def test_requirements_of_an_egg_lie_in_a_file_of_their_own(target, site):
    egg = hold(site, "egg", "1.0", metadata="PKG-INFO", info="{}-9.9-py3.12.egg-info")
    text = "lib<2\n# none\n\n[more]\nabsent\n\n[:os_name=='posix']\nnot-here\n\n[x:os_name=='posix']\nabsent\n"
    (egg / "requires.txt").write_text(text)
    hold(site, "old", "0.5.0", metadata="PKG-INFO", info="{}.egg-info")
    (site / "flat-1.0.egg-info").write_text("Name: flat\nVersion: 1.2\n")
    hold(site, "user", "1.0", "lib", "old>1", "flat<1")
    assert sorted(conflicts(target, coming("lib", "2.0"))) == [
        "egg 1.0 requires lib<2, but you have lib 2.0 which is incompatible.",
        'egg 1.0 requires not-here; os_name == "posix", which is not installed.',
        "user 1.0 requires flat<1, but you have flat 1.2 which is incompatible.",
        "user 1.0 requires old>1, but you have old 0.5.0 which is incompatible.",
    ]


@pytest.mark.parametrize(("version", "seen"), [("3.12.1", True), ("3.10.1", False)])
def test_a_link_to_a_source_tree_is_followed_where_pip_does(target, site, version, seen):
    egg = hold(site.parent / "source", "my_project", "1.0", metadata="PKG-INFO", info="{}.egg-info")
    (egg / "requires.txt").write_text("lib<2\n")
    (site / "my-project.egg-link").write_text("\n../source\n.\n")
    (site / "empty.egg-link").write_text("")
    found = conflicts(target._replace(version=version), coming("lib", "2.0"))
    assert found == ["my-project 1.0 requires lib<2, but you have lib 2.0 which is incompatible."] * seen


def test_the_first_on_the_path_counts(target, site):
    hold(site, "user", "2.0", "lib")
    elsewhere = site.parent / "elsewhere"
    hold(elsewhere, "user", "1.0", "lib<1", "absent")
    assert conflicts(target._replace(path=(str(site), str(elsewhere))), coming("lib")) == []


def test_a_header_may_go_on_in_the_next_line(target, site):
    (hold(site, "user", "1.0") / "METADATA").write_text("Name: user\nrequires-dist:\n lib<1\nVersion: 1.0\n")
    assert conflicts(target, coming("lib")) == ["user 1.0 requires lib<1, but you have lib 1.0 which is incompatible."]


PLAIN = [
    "six",
    "zope.interface >=5.0,!=5.1.*",
    "a[b, c-d] (>=1.0,<2.0a.0)",
    "urllib3!=2.2.0,<3,>=1.25.4; python_version >= '3.10'",
    'x~=1.4.2; extra == "and-or" and (python_version < "3.12" or sys_platform not in "win32 cygwin")',
    "x==1.0.dev3; (os_name=='nt')and platform_machine in 'a b'",
]


def test_usual_requirements_are_known_to_be_valid_without_parsing_them():
    assert [text for text in PLAIN if not _warnings._is_plain(text)] == []


def test_what_is_known_to_be_valid_is_valid():
    texts = {"x>=1.*", "x~=1", "x===a", "x; a", "x; os_name", "x; os_name == 'a", "x (>1", "x)", "x[,]", "x>1,"}
    for plain in PLAIN:  # with up to three characters missing somewhere
        texts.update(plain[:i] + plain[j:] for i in range(len(plain)) for j in range(i, i + 4))
    wrong = []
    for text in filter(_warnings._is_plain, map(str.strip, texts)):
        try:
            Requirement(text)
        except InvalidRequirement:
            wrong.append(text)
    assert wrong == []


def test_a_usual_run_does_not_import_what_parses_requirements(target, site):
    for number, text in enumerate(PLAIN):
        hold(site, f"user{number}", "1.0.post1+local.2", text)
    code = (
        "import sys; from pip_accel._values import *; from pip_accel._warnings import *\n"
        "from tests.lib.trees import make_target\n"
        f"target = make_target('/env')._replace(path=({str(site)!r},))\n"
        "change = Change(Tree('', 'lib', '1.0', 'purelib', '', 0, (), ()), True, '', None)\n"
        "assert find_conflicts(target, [change], pip='26.3', on_broken=sys.exit) == []\n"
        "print(*[name for name in sys.modules if name.startswith('packaging')])"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


ADVICE = (
    "Consider adding this directory to PATH or, if you prefer to suppress this warning, use --no-warn-script-location."
)
TILDE = "NOTE: The current PATH contains path(s) starting with `~`, which may not be expanded by all applications."


@pytest.fixture
def other(target, tmp_path):
    """A target whose scripts do not lie beside its interpreter."""
    return target._replace(scheme=target.scheme._replace(scripts=str(tmp_path / "scripts" / "bin")))


@pytest.mark.parametrize(
    ("names", "said"),
    [(["b"], "script b is"), (["b", "a"], "scripts a and b are"), (["c", "a", "b", "a"], "scripts a, b and c are")],
)
@pytest.mark.parametrize("pip", ["25.3", "26.3"])
def test_scripts_that_a_shell_will_not_find_are_named(other, names, said, pip):
    changes = [coming("x", "1", *map(launcher, names)), coming("y"), coming("z", "1", launcher("z"))]
    place = f"installed in '{other.scheme.scripts}' which is not on PATH."
    assert scripts_off_path(changes, other, "/usr/bin", pip=pip) == [
        f"The {said} {place}\n{ADVICE}",
        f"The script z is {place}\n{ADVICE}",
    ]


def test_scripts_with_windows_do_not_count(other):
    assert scripts_off_path([coming("x", "1", launcher("x", gui=True))], other, "", pip="26.3") == []
    [warning] = scripts_off_path([coming("x", "1", launcher("x", gui=True), launcher("y"))], other, "", pip="26.3")
    assert warning.startswith("The script y is ")


def test_scripts_are_named_as_they_are_made(other):
    [warning] = scripts_off_path([coming("pip", "1", launcher("pip"), launcher("pip9"))], other, "", pip="26.3")
    assert warning.startswith("The scripts pip, pip3 and pip3.12 are ")


@pytest.mark.parametrize(("path", "noted"), [("~/bin:/usr/bin", True), ("/usr/bin:~", True), ("/~:/usr/bin", False)])
@pytest.mark.parametrize("pip", ["25.3", "26.3"])
def test_a_path_with_a_tilde_is_noted(other, path, noted, pip):
    [warning] = scripts_off_path([coming("x", "1", launcher("x"))], other, path, pip=pip)
    assert warning.split("\n")[1:] == ([ADVICE, TILDE] if noted else [ADVICE])


@pytest.mark.parametrize("path", ["{0}", "/usr/bin:{0}/", "~:{0}/../bin:", "/:{0}/./"])
@pytest.mark.parametrize("pip", ["25.3", "26.3"])
def test_what_is_on_path_is_not_warned_of(other, path, pip):
    path = path.format(other.scheme.scripts)
    assert scripts_off_path([coming("x", "1", launcher("x"))], other, path, pip=pip) == []


@pytest.mark.parametrize("pip", ["25.3", "26.3"])
def test_what_lies_beside_the_interpreter_is_not_warned_of(target, pip):
    assert scripts_off_path([coming("x", "1", launcher("x"))], target, "/usr/bin", pip=pip) == []


@pytest.mark.parametrize(("pip", "follows"), [("26.1.2", False), ("26.2", True)])
def test_since_26_2_links_are_followed(other, tmp_path, pip, follows):
    (tmp_path / "real").mkdir()
    (tmp_path / "scripts").symlink_to(tmp_path / "real")
    warnings = scripts_off_path([coming("x", "1", launcher("x"))], other, str(tmp_path / "real" / "bin"), pip=pip)
    assert len(warnings) == (0 if follows else 1)
    [warning] = scripts_off_path([coming("x", "1", launcher("x"))], other, "/usr/bin", pip=pip)
    assert f"'{tmp_path / ('real' if follows else 'scripts') / 'bin'}'" in warning


@pytest.mark.parametrize(("virtual", "user", "warned"), [(False, 0, True), (True, 0, False), (False, 1000, False)])
def test_root_is_warned_outside_of_virtual_environments(target, monkeypatch, virtual, user, warned):
    monkeypatch.setattr(os, "getuid", lambda: user)
    text = root_warning(target._replace(virtual=virtual))
    assert (text is not None and text.startswith("Running pip as the 'root' user can result in ")) is warned
