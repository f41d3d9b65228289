"""Views in use: what was learned under some settings never answers where pip would have answered otherwise."""

from __future__ import annotations

import bz2
import gzip
import os
import subprocess
import time

import pytest

from pip_accel._resources import host_pip_version, is_older
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.index import IndexServer
from tests.lib.runs import find_interpreters


@pytest.fixture
def add(bench, archives):
    """Puts archives on the index: ``add(name, *versions)``, as wheels unless ``make`` says otherwise."""

    def put(name, *versions, make=make_wheel, yanked=False, **options):
        for version in versions:
            bench.index.add(make(archives, name, version, **options), yanked=yanked)

    return put


# What the words ask for


def test_after_no_binary_plain_gives_the_wheel(bench, add, archives):
    add("alpha", "1.0", files={"alpha.py": "origin = 'wheel'\n"})
    add("alpha", "1.0", make=make_sdist, files={"alpha.py": "origin = 'sdist'\n"})
    add("beta", "1.0", requires=["alpha"])
    for words, expected in (
        (["--no-binary", "alpha", "alpha"], "sdist"),
        (["alpha"], "wheel"),
        (["beta"], "wheel"),
        (["beta", "--no-binary", ":all:", "--only-binary", "beta"], "sdist"),
        (["--only-binary", ":all:", "alpha"], "wheel"),
    ):
        assert expected in bench.install(*words).read("alpha.py"), words


def test_after_only_binary_plain_gives_the_newer_sdist(bench, add):
    add("alpha", "1.0")
    add("alpha", "2.0", make=make_sdist)
    for words, expected in (
        (["--only-binary", "alpha", "alpha"], "1.0"),
        (["--prefer-binary", "alpha"], "1.0"),
        (["alpha"], "2.0"),
    ):
        assert bench.install(*words).installed == {"alpha": expected}, words


def test_prefer_binary_under_a_lower_bound_says_nothing_about_plain(bench, add):
    add("alpha", "1.0")
    add("alpha", "2.0", make=make_sdist)
    assert bench.install("--prefer-binary", "alpha>=2").installed == {"alpha": "2.0"}
    assert bench.install("--prefer-binary", "alpha").installed == {"alpha": "1.0"}


def test_after_pre_plain_gives_the_final_release(bench, add):
    add("alpha", "1.0", "2.0rc1")
    for words, expected in (
        (["--pre", "alpha"], "2.0rc1"),
        (["alpha"], "1.0"),
        (["alpha>=2.0rc1"], "2.0rc1"),
        (["alpha>=0.5"], "1.0"),
    ):
        assert bench.install(*words).installed == {"alpha": expected}, words


@pytest.mark.skipif(is_older(host_pip_version(), (26, 0)), reason="this pip then finds nothing")
def test_a_pre_release_that_won_as_there_was_nothing_else_does_not_win_where_there_is(bench, add):
    add("alpha", "1.0", "2.0rc1")
    assert bench.install("alpha>1.0").installed == {"alpha": "2.0rc1"}
    assert bench.install("alpha").installed == {"alpha": "1.0"}


def test_what_was_learned_under_a_bound_does_not_answer_without_it(bench, add):
    add("alpha", "1.0", "2.0", "3.0")
    for words, expected in (
        (["alpha<3"], "2.0"),
        (["alpha"], "3.0"),
        (["alpha!=3.0"], "2.0"),
        (["alpha<2"], "1.0"),
        (["alpha==2.*"], "2.0"),
    ):
        assert bench.install(*words).installed == {"alpha": expected}, words


def test_what_is_known_answers_under_bounds_that_leave_it_the_best(bench, add):
    add("alpha", "1.0", "2.0")
    add("beta", "1.0", requires=["alpha>=1,<9"])
    assert bench.install("alpha").installed == {"alpha": "2.0"}
    again = bench.install("alpha>1.5")
    assert (again.installed, again.requests) == ({"alpha": "2.0"}, [])
    more = bench.install("beta")
    assert more.installed == {"alpha": "2.0", "beta": "1.0"}
    assert bench.install("beta", "alpha!=1.0").requests == []


def test_a_local_version_does_not_stand_in_for_the_public_one(bench, add):
    add("gamma", "1.0", "1.0+local.1")
    # pip prefers the local version where == lets both in, and takes the public one where === does not.
    assert bench.install("gamma===1.0").installed == {"gamma": "1.0"}
    assert bench.install("gamma==1.0").installed == {"gamma": "1.0+local.1"}
    assert bench.install("gamma===1.0").installed == {"gamma": "1.0"}
    assert bench.install("gamma==1.0+local.1").installed == {"gamma": "1.0+local.1"}


def test_a_local_version_that_left_the_index_does_not_answer_when_it_is_asked(bench, add):
    add("gamma", "1.0", "1.0+local.1")
    assert bench.install("gamma==1.0").installed == {"gamma": "1.0+local.1"}
    bench.index.remove("gamma-1.0+local.1-py3-none-any.whl")
    assert bench.install("-U", "gamma==1.0").installed == {"gamma": "1.0"}
    assert bench.install("gamma==1.0").installed == {"gamma": "1.0"}


def test_a_yanked_release_is_installed_only_where_it_is_pinned(bench, add):
    add("alpha", "1.0")
    add("alpha", "2.0", yanked="broken")
    pinned = bench.install("alpha==2.0")
    assert pinned.installed == {"alpha": "2.0"}
    again = bench.install("alpha==2.0")
    assert again.requests == []
    for each in (pinned, again):
        assert each.run.stderr.startswith("WARNING: ") and "is a yanked version: 'alpha'" in each.run.stderr
        assert "Reason for being yanked: broken" in each.run.stderr
    assert bench.install("alpha").installed == {"alpha": "1.0"}
    assert bench.install("alpha>=1").installed == {"alpha": "1.0"}
    assert bench.install("alpha==2.0").installed == {"alpha": "2.0"}


def test_extras_bring_what_they_require(bench, add):
    add("alpha", "1.0", extras={"more": ["beta<2"], "most": ["gamma; python_version>'3'"]})
    add("beta", "1.0", "2.0")
    add("gamma", "1.0")
    assert bench.install("alpha").installed == {"alpha": "1.0"}
    assert bench.install("alpha[more]").installed == {"alpha": "1.0", "beta": "1.0"}
    everything = {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    assert bench.install("alpha[more,most]").installed == everything
    again = bench.install("alpha[most,more]")
    assert (again.installed, again.requests) == (everything, [])
    assert bench.install("beta").installed == {"beta": "2.0"}


def test_what_is_installed_and_requires_the_same_as_the_newest_leaves_the_answer_as_it_is(bench, add):
    add("alpha", "1.0", requires=["beta>=1", "gamma"])
    add("delta", "1.0", requires=["beta<9,>=0.5"])  # so that nothing but the whole request vouches for beta
    add("beta", "1.0")
    add("gamma", "1.0", "2.0", requires=["beta"])
    expected = {"alpha": "1.0", "beta": "1.0", "gamma": "1.0", "delta": "1.0"}
    for asks in (True, False):
        environment = bench.install("--no-deps", "gamma==1.0").environment
        result = bench.install("alpha", "delta", into=environment)
        assert (result.installed, bool(result.requests)) == (expected, asks)
        assert "Installed 3 distributions in" in result.run.summary


def test_what_was_turned_down_beside_the_newest_may_be_chosen_beside_what_is_installed(bench, add, fresh, tmp_path):
    add("alpha", "1.0")
    add("alpha", "2.0", requires=["beta<2"])
    add("beta", "2.0")
    add("gamma", "1.0", requires=["beta<9,>=0.5"])  # so that nothing but the whole request vouches for beta
    environment = fresh()
    wheel = make_wheel(str(tmp_path / "elsewhere"), "beta", "1.0")
    bench.data, data = str(tmp_path / "other"), bench.data
    bench.install("--no-index", wheel, into=environment)
    bench.data = data
    words = ["alpha", "beta", "gamma"]
    assert bench.install(*words).installed == {"alpha": "1.0", "beta": "2.0", "gamma": "1.0"}
    assert bench.install(*words, into=environment).installed == {"alpha": "2.0", "beta": "1.0", "gamma": "1.0"}


@pytest.mark.parametrize("kind", ["in a directory", "under a rare suffix"])
def test_what_is_above_what_pip_went_on_to_is_seen_everywhere(bench, add, tmp_path, kind):
    add("alpha", "1.0")
    add("gamma", "0.5", "1.0")
    above = make_sdist(str(tmp_path / "links"), "alpha", "2.0", requires=["gamma<1"])
    if kind == "under a rare suffix":
        with gzip.open(above) as packed, bz2.open(above.replace(".tar.gz", ".tbz"), "wb") as stream:
            stream.write(packed.read())
        os.remove(above)
        bench.index.add(above.replace(".tar.gz", ".tbz"))
    links = {"PIP_FIND_LINKS": str(tmp_path / "links")} if kind == "in a directory" else {}
    assert bench.install("gamma>=1", "alpha", **links).installed == {"alpha": "1.0", "gamma": "1.0"}
    assert bench.install("alpha", **links).installed == {"alpha": "2.0", "gamma": "0.5"}


def test_constraints_bound_what_they_name_and_nothing_later(bench, add, tmp_path):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("beta<2\nnobody-requires-it==1.0\n")
    add("alpha", "1.0", requires=["beta"])
    add("beta", "1.0", "2.0")
    words = ("-c", str(constraints), "alpha")
    assert bench.install(*words).installed == {"alpha": "1.0", "beta": "1.0"}
    assert bench.install("alpha").installed == {"alpha": "1.0", "beta": "2.0"}
    again = bench.install(*words)
    assert (again.installed, again.requests) == ({"alpha": "1.0", "beta": "1.0"}, [])


def test_markers_decide_what_is_required(bench, add, tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("alpha; python_version > '3'\nbeta; python_version < '3'\ngamma; os_name == 'none'\n")
    delta = ["delta<2; python_version > '3'", "delta<1; python_version < '3'"]
    add("alpha", "1.0", requires=[*delta, "gamma; extra == 'x'"])
    add("delta", "0.5", "1.0", "2.0")
    first = bench.install("-r", str(requirements))
    second = bench.install("-r", str(requirements))
    assert first.installed == second.installed == {"alpha": "1.0", "delta": "1.0"}
    assert second.requests == []


def test_backtracking_answers_for_its_own_request_only(bench, add):
    add("alpha", "1.0", requires=["beta<2"])
    add("alpha", "2.0", requires=["beta>=2"])
    add("beta", "1.0", "2.0")
    add("gamma", "1.0", requires=["beta<2"])
    first = bench.install("alpha", "gamma")
    assert first.installed == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    again = bench.install("alpha", "gamma")
    assert (again.installed, again.requests) == (first.installed, [])
    assert bench.install("alpha").installed == {"alpha": "2.0", "beta": "2.0"}
    assert bench.install("beta").installed == {"beta": "2.0"}
    assert bench.install("gamma").installed == {"beta": "1.0", "gamma": "1.0"}
    assert bench.install("alpha", "gamma").installed == first.installed


def test_without_dependencies_nothing_is_learned_of_them(bench, add):
    add("alpha", "1.0", requires=["beta"])
    add("beta", "1.0")
    assert bench.install("--no-deps", "alpha").installed == {"alpha": "1.0"}
    assert bench.install("alpha").installed == {"alpha": "1.0", "beta": "1.0"}
    assert bench.install("--no-deps", "alpha").installed == {"alpha": "1.0"}


# Where it came from


def test_two_indexes_with_equal_names_and_versions_never_answer_for_each_other(bench, add, tmp_path):
    add("alpha", "1.0", files={"alpha.py": "origin = 'public'\n"})
    private = tmp_path / "private"
    make_wheel(str(private), "alpha", "1.0", files={"alpha.py": "origin = 'private'\n"})
    make_wheel(str(private), "alpha", "2.0", files={"alpha.py": "origin = 'private, newer'\n"})
    with IndexServer(str(private)) as other:
        for words, expected in (
            (["alpha"], "public"),
            (["alpha==1.0", "--index-url", other.url], "private"),
            (["alpha==1.0"], "public"),
            (["alpha", "--extra-index-url", other.url], "private, newer"),
            (["alpha"], "public"),
            (["alpha", "--find-links", str(private)], "private, newer"),
            (["alpha==1.0"], "public"),
        ):
            result = bench.install(*words)
            assert result.read("alpha.py") == f"origin = {expected!r}\n", words


def test_the_index_that_a_requirement_file_names_counts(bench, add, tmp_path):
    add("alpha", "1.0", files={"alpha.py": "origin = 'public'\n"})
    make_wheel(str(tmp_path / "private"), "alpha", "1.0", files={"alpha.py": "origin = 'private'\n"})
    requirements = tmp_path / "requirements.txt"
    with IndexServer(str(tmp_path / "private")) as other:
        requirements.write_text(f"--index-url {other.url}\nalpha==1.0\n")
        assert "public" in bench.install("alpha==1.0").read("alpha.py")
        assert "private" in bench.install("-r", str(requirements)).read("alpha.py")
        assert "public" in bench.install("alpha==1.0").read("alpha.py")


def test_the_password_of_an_index_does_not_make_it_another_one(bench, add, archives):
    with IndexServer(auth=("user", "secret-password")) as private:
        private.add(make_wheel(archives, "alpha", "1.0"))
        first = bench.install("alpha", PIP_INDEX_URL=private.url_with_credentials)
        assert first.installed == {"alpha": "1.0"}
        private.reset()
        bench.install("alpha", PIP_INDEX_URL=private.url)
        assert private.requests == []
    found = subprocess.run(["grep", "-rl", "secret-password", bench.data], capture_output=True, text=True)
    assert found.stdout == ""


def test_an_answer_that_lacks_one_of_two_indexes_is_not_remembered(bench, add, tmp_path):
    add("alpha", "1.0")
    make_wheel(str(tmp_path / "private"), "alpha", "2.0")
    with IndexServer(str(tmp_path / "private")) as other:
        words = ("alpha", "--extra-index-url", other.url, "--retries", "0")
        other.fail("/simple/alpha/", times=9)
        assert bench.install(*words).installed == {"alpha": "1.0"}  # as pip does
        other.mend()
        assert bench.install(*words).installed == {"alpha": "2.0"}


def test_a_directory_of_archives_answers_anew_when_it_changes(bench, tmp_path):
    links = str(tmp_path / "links")
    make_wheel(links, "alpha", "1.0")
    words = ("--no-index", "--find-links", links, "alpha")
    assert bench.install(*words).installed == {"alpha": "1.0"}
    make_wheel(links, "alpha", "2.0")
    assert bench.install(*words).installed == {"alpha": "2.0"}


def test_an_archive_of_the_same_size_and_time_is_read_anew_where_these_are_not_trusted(bench, tmp_path):
    links = str(tmp_path / "links")
    words = ("--no-index", "--find-links", links, "alpha")
    for text in ("one", "two"):
        path = make_sdist(links, "alpha", "1.0", files={"alpha.py": f"x = '{text}'\n"})
        content = os.path.getsize(path)
        with open(path, "ab") as stream:  # gzip allows zeros behind its end
            stream.write(bytes(2000 - content))
        os.utime(path, (1_700_000_000, 1_700_000_000))
        result = bench.install(*words, PIP_ACCEL_TRUST_MOD_TIMES="no")
        assert result.read("alpha.py") == f"x = '{text}'\n"


# For whom


def test_two_pythons_with_one_cache_each_get_their_own(bench, add, tmp_path):
    versions = list(find_interpreters())[-2:]
    if len(versions) < 2:
        pytest.skip("needs two versions of Python")
    older, newer = (f"cp{version.replace('.', '')}" for version in versions)
    for tag in (older, newer):
        add("alpha", "1.0", tag=f"{tag}-none-any", files={"alpha.py": f"origin = {tag!r}\n"})
    add("alpha", "2.0", tag=f"{newer}-none-any", files={"alpha.py": f"origin = {newer!r}\n"})
    add("beta", "1.0", make=make_sdist, counter=str(tmp_path / "calls"))
    results = [
        bench.install("alpha", "beta", into=bench.fresh(find_interpreters()[version])) for version in [*versions] * 2
    ]
    assert [each.installed["alpha"] for each in results] == ["1.0", "2.0"] * 2
    assert [each.read("alpha.py") for each in results] == [f"origin = {tag!r}\n" for tag in (older, newer)] * 2
    assert [bool(each.requests) for each in results] == [True, True, False, False]
    assert (tmp_path / "calls").read_text().splitlines().count("build_wheel beta 1.0") == 2
    for result in results:
        assert result.environment.run(["-c", "import alpha, beta"], check=True).returncode == 0
        cached = os.listdir(os.path.join(result.environment.site_packages, "__pycache__"))
        tag = result.environment.run(["-c", "import sys; print(sys.implementation.cache_tag)"]).stdout.strip()
        assert all(f".{tag}." in name for name in cached)


def test_a_release_that_needs_another_python_is_left_out(bench, add):
    add("alpha", "1.0")
    add("alpha", "2.0", requires_python="<3")
    assert bench.install("alpha").installed == {"alpha": "1.0"}
    again = bench.install("alpha")
    assert (again.installed, again.requests) == ({"alpha": "1.0"}, [])


# When


def test_a_later_release_comes_with_upgrade_or_when_the_answer_is_too_old(bench, add):
    add("alpha", "1.0")
    environment = bench.install("alpha").environment
    add("alpha", "2.0")
    old = bench.install("alpha")
    assert (old.installed, old.requests) == ({"alpha": "1.0"}, [])
    assert time.strftime("as the index was on %Y-") in old.run.summary
    young = bench.install("alpha", PIP_ACCEL_INDEX_MAX_AGE="1h")
    assert (young.installed, young.requests) == ({"alpha": "1.0"}, [])
    assert bench.install("-U", "alpha", into=environment).installed == {"alpha": "2.0"}
    assert bench.install("alpha").installed == {"alpha": "2.0"}


def test_answers_that_are_too_old_are_asked_for_again(bench, add):
    add("alpha", "1.0")
    bench.install("alpha")
    add("alpha", "2.0")
    time.sleep(1.1)  # times are kept in whole seconds
    again = bench.install("alpha", PIP_ACCEL_INDEX_MAX_AGE="0s")
    assert again.installed == {"alpha": "2.0"}
    assert "with downloads" in again.run.summary
    add("alpha", "3.0")
    time.sleep(2.1)
    assert bench.install("alpha", PIP_ACCEL_INDEX_MAX_AGE="1s").installed == {"alpha": "3.0"}
    pinned = bench.install("alpha==3.0", PIP_ACCEL_INDEX_MAX_AGE="0s")
    assert pinned.requests == []


def test_a_release_that_was_removed_goes_with_upgrade(bench, add):
    add("alpha", "1.0", "2.0")
    environment = bench.install("alpha").environment
    bench.index.remove("alpha-2.0-py3-none-any.whl")
    assert bench.install("alpha").installed == {"alpha": "2.0"}
    # As with pip, what is installed is newer than all there is, and stays.
    assert bench.install("-U", "alpha", into=environment).installed == {"alpha": "2.0"}
    assert bench.install("-U", "alpha").installed == {"alpha": "1.0"}
    assert bench.install("alpha").installed == {"alpha": "1.0"}


def test_a_file_that_changed_on_the_index_comes_with_upgrade(bench, add):
    add("alpha", "1.0", files={"alpha.py": "one = 1\n"})
    assert bench.install("alpha").read("alpha.py") == "one = 1\n"
    add("alpha", "1.0", files={"alpha.py": "two = 2\n"})
    assert bench.install("-U", "alpha").read("alpha.py") == "two = 2\n"
    assert bench.install("alpha").read("alpha.py") == "two = 2\n"


def test_offline_answers_from_anything_and_says_so(bench, add, archives):
    add("alpha", "1.0", requires=["beta"])
    add("beta", "1.0", "2.0")
    bench.install("alpha", "beta<2")
    bench.install("beta==2.0")
    with IndexServer() as other:
        offline = {"PIP_ACCEL_OFFLINE": "yes", "PIP_INDEX_URL": other.url}
        result = bench.install("alpha", "--pre", **offline)
        assert result.installed == {"alpha": "1.0", "beta": "2.0"}
        assert result.run.stderr.count("Offline: ") == 1
        assert "without network" in result.run.summary
        assert (result.requests, other.requests) == ([], [])
        known = bench.install("beta==2.0", PIP_ACCEL_OFFLINE="yes")
        assert (known.installed, known.requests) == ({"beta": "2.0"}, [])
        assert "Offline: " not in known.run.stderr


def test_offline_with_nothing_there_fails_in_one_clear_sentence(bench, add):
    add("alpha", "1.0")
    for words in (["alpha"], ["-U", "alpha"]):
        result = bench.install(*words, PIP_ACCEL_OFFLINE="yes", status=1)
        assert (result.installed, result.requests) == ({}, [])
        errors = [line for line in result.run.stderr.splitlines() if line.startswith("ERROR: ")]
        assert any("alpha" in line for line in errors), result.run.stderr
        assert any("offline = yes" in line for line in errors), result.run.stderr
        assert len(errors) <= 2
