"""The benchmarks: what they ask for, what they make of what they measured, and the distributions that they generate."""

from __future__ import annotations

import csv
import io
import os
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks import measuring
from benchmarks.compare import chosen_rounds, parse_options
from benchmarks.contestants import Bench, Caches, Tools, Wanted, pip_settings, uv_settings
from benchmarks.measuring import Command, Contestant, Result, Sample, Series, in_turn, measure, run
from benchmarks.report import BARS, file_system, find_result, merge, page, read_results, summary, table, write_results
from benchmarks.scenarios import OLDER_PINS, SCENARIOS, SETS, with_pin
from benchmarks.synthetic import write_index, write_wheels
from pip_accel._index import name_and_version
from pip_accel._metadata import header_values
from tests.run import CHECKOUT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks need Linux")

WEB = CHECKOUT / "tests" / "requirements" / "web-2026-11.txt"


def result(contestant, *wall, scenario="warm", name="web"):
    """A contestant whose processes took half of their time."""
    return Result(scenario, name, contestant, wall, tuple(each / 2 for each in wall))


def python(code):
    """A contestant that runs code, in rounds of any number."""
    return Command((sys.executable, "-c", code), dict(os.environ))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Programs that are not there, on a machine where pip has an index of its own and uv a cache."""
    tools = Tools(tmp_path / "python", tmp_path / "pip-accel", tmp_path / "pip", tmp_path / "uv")
    monkeypatch.setattr(Bench, "ask", lambda bench, *words: "global.index-url='https://index.test/simple'\n")
    monkeypatch.setenv("UV_CACHE_DIR", "elsewhere")
    monkeypatch.setenv("PIP_ACCEL_OFFLINE", "1")
    monkeypatch.setenv("PIP_TIMEOUT", "7")
    return Bench(tools, tmp_path)


# Options


def test_without_options_all_is_compared():
    options = parse_options([])
    assert options.only == SETS and options.scenario == tuple(SCENARIOS)
    assert [chosen_rounds(options, scenario) for scenario in ("first", "warm")] == [3, 9]


def test_quick_is_few_rounds_of_two_sets():
    options = parse_options(["--quick"])
    assert options.only == ("web", "requests")
    assert [chosen_rounds(options, scenario) for scenario in ("first", "warm")] == [1, 3]


def test_the_number_of_rounds_and_the_names_are_what_was_asked_for():
    options = parse_options(["--quick", "--rounds", "5", "--only", "source,web", "--scenario", "nothing, first"])
    assert options.only == ("web", "source") and options.scenario == ("first", "nothing")
    assert [chosen_rounds(options, scenario) for scenario in ("first", "warm")] == [5, 5]


@pytest.mark.parametrize("words", [["--only", "web,wob"], ["--scenario", "cold"], ["--rounds", "0"], ["--rounds", "x"]])
def test_what_there_is_not_is_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        parse_options(words)
    assert caught.value.code == 2 and words[0] in capsys.readouterr().err


# The index, for pip and uv


def test_the_settings_that_count_for_pip_install_are_found():
    listing = "\n".join(
        [
            ":env:.index-url='https://first.test/simple'",
            "global.index-url='https://last.test/simple'",
            "global.find-links='\\n/a\\n/b'",
            "download.extra-index-url='https://other.test/a=b'",
            "install.find-links='/c'",
        ]
    )
    assert pip_settings(listing) == {"index-url": "https://first.test/simple", "find-links": "/c"}


def test_uv_gets_the_same_index_as_pip():
    environ, words = uv_settings(
        {
            "index-url": "https://index.test/simple",
            "extra-index-url": "\nhttps://one.test/simple\nfile:///two",
            "find-links": "/a /b",
            "trusted-host": "one.test",
            "cert": "/certificates.pem",
            "proxy": "http://proxy.test:1",
            "no-index": "yes",
            "timeout": "7",
        }
    )
    assert words == ("--no-index",)
    assert environ == {
        "UV_DEFAULT_INDEX": "https://index.test/simple",
        "UV_INDEX": "https://one.test/simple file:///two",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/a,/b",
        "UV_INSECURE_HOST": "one.test",
        "SSL_CERT_FILE": "/certificates.pem",
        "ALL_PROXY": "http://proxy.test:1",
    }


def test_without_settings_uv_has_its_own_index():
    assert uv_settings({}) == ({}, ())


def test_all_contestants_have_their_own_caches_and_the_same_index(bench, tmp_path):
    wanted = Wanted((("a",), ("b",)), Caches.below(tmp_path / "caches"))
    environment = tmp_path / "environment"
    pip, uv, accelerator = (
        each.command(3, environment)
        for each in (bench.pip(wanted), bench.uv(wanted, "--offline"), bench.accelerator(wanted))
    )
    interpreter = str(environment / "bin" / "python")
    assert pip.words == (interpreter, str(tmp_path / "pip"), "install", "b")
    assert uv.words == (str(tmp_path / "uv"), "pip", "install", "--python", interpreter, "--offline", "b")
    assert accelerator.words == (str(tmp_path / "pip-accel"), "--python", interpreter, "install", "b")
    caches = {"PIP_CACHE_DIR": str(tmp_path / "caches" / "pip"), "PIP_TIMEOUT": "7"}
    assert caches.items() <= pip.environ.items() and caches.items() <= accelerator.environ.items()
    assert accelerator.environ["PIP_ACCEL_CACHE"] == str(tmp_path / "caches" / "pip-accel")
    assert "PIP_ACCEL_OFFLINE" not in accelerator.environ
    assert uv.environ["UV_CACHE_DIR"] == str(tmp_path / "caches" / "uv")
    assert uv.environ["UV_DEFAULT_INDEX"] == "https://index.test/simple"


def test_a_generated_set_is_looked_for_in_its_own_index_only(bench, tmp_path):
    wanted = Wanted((("a",),), Caches.below(tmp_path), "file:///index/simple/")
    assert bench.uv(wanted).command(0, tmp_path).environ["UV_DEFAULT_INDEX"] == wanted.index
    for contestant in bench.pip(wanted), bench.accelerator(wanted):
        environ = contestant.command(0, tmp_path).environ
        assert environ["PIP_INDEX_URL"] == wanted.index and environ["PIP_CONFIG_FILE"] == os.devnull
        assert "PIP_TIMEOUT" not in environ


def test_a_first_run_has_empty_caches_of_its_own(bench, tmp_path):
    contestant = bench.pip(Wanted((("a",),)))
    places = {contestant.command(0, tmp_path / name).environ["PIP_CACHE_DIR"] for name in ("0001", "0002")}
    assert places == {str(tmp_path / "0001-caches" / "pip"), str(tmp_path / "0002-caches" / "pip")}


def test_environments_that_differ_are_found_out(bench, tmp_path, monkeypatch):
    frozen = {"pip": "a==1\nb==1\n", "uv": "a==1\n", "pip-accel": "b==1\na==1\n"}
    monkeypatch.setattr(Bench, "ask", lambda bench, *words: frozen[Path(words[1]).parts[-3]])
    environments = {name: tmp_path / name for name in frozen}
    with pytest.raises(SystemExit, match="pip and uv did not install the same: b==1"):
        bench.check(environments)
    del environments["uv"]
    bench.check(environments)


# The rounds


def test_each_begins_once():
    series = [Series(Contestant(name, lambda number, environment: python(""))) for name in "abc"]
    orders = ["".join(each.contestant.name for each in in_turn(series, number)) for number in range(4)]
    assert orders == ["abc", "bca", "cab", "abc"]


def test_rounds_are_interleaved_and_who_is_slow_leaves(tmp_path, monkeypatch):
    ran, said = [], []

    def fake_run(command):
        ran.append(command)
        return Sample(20.0 if command.startswith("slow") else 1.0, 0.5)

    monkeypatch.setattr(measuring, "run", fake_run)
    monkeypatch.setattr(os, "sync", lambda: ran.append("sync"))
    contestants = [
        Contestant(name, lambda number, environment: f"{environment.name}{number}") for name in ("quick", "slow")
    ]
    series = measure(contestants, 3, 30, lambda each: tmp_path / each.name, said.append)
    assert ran[::2] == ["sync"] * 5 and ran[1::2] == ["quick0", "slow0", "slow1", "quick1", "quick2"]
    assert said == ["round 1: quick 1.00, slow 20.00", "round 2: quick 1.00, slow 20.00", "round 3: quick 1.00"]
    assert series[1].environments == [tmp_path / "slow"] * 2
    assert series[1].result("warm", "web") == Result("warm", "web", "slow", (20.0, 20.0), (0.5, 0.5))


def test_the_processor_time_is_that_of_the_children_too():
    spin = "import time\nwhile time.process_time() < 0.05: pass"
    sample = run(python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"))
    assert sample.cpu >= 0.05


def test_a_failure_ends_it_and_shows_what_was_said():
    with pytest.raises(SystemExit, match=r"(?s)no such thing.*failed with status 3"):
        run(python("import sys; print('no such thing'); sys.exit(3)"))


# What was measured, as text


def test_the_median_is_that_of_the_clock():
    assert result("uv", 3.0, 1.0, 2.0).median == 2.0


def test_a_summary_has_all_ratios():
    lines = summary([result("pip", 8.0, 10.0, 21.0), result("uv", 0.5, 0.5, 0.5)]).splitlines()
    assert lines[3].split() == ["1", "pip", "10.0", "8.00", "21.0", "5.00", "3", "1.00", "20.00"]
    assert lines[4].split() == ["2", "uv", "0.500", "0.500", "0.500", "0.250", "3", "0.050", "1.00"]


def test_a_table_has_straight_columns():
    assert table(["who", "s"], [["pip", "10"], ["pip-accel", "1"]]).splitlines() == [
        "=========  ==",
        "who         s",
        "=========  ==",
        "pip        10",
        "pip-accel   1",
        "=========  ==",
    ]


def test_new_results_replace_those_of_the_same_scenario_and_set(tmp_path):
    path = tmp_path / "results.json"
    assert read_results(path) == []
    write_results(path, [result("pip", 1.0), result("uv", 1.0), result("pip", 3.0, name="source")])
    merged = merge(read_results(path), [result("pip", 2.0)])
    assert merged == [result("pip", 3.0, name="source"), result("pip", 2.0)]
    assert find_result(merged, "warm", "web", "uv") is None


def test_the_page_has_each_bar_and_each_median():
    first = [result("uv", 4.0, scenario="first"), result("uv", 4.0, scenario="one-pin")]
    results = [result("uv", 2.0), result("pip-accel", 1.0), *first]
    text = page(results, {"Cores": "2"}, True)
    rows = [line for line in text.splitlines() if line.startswith(("99 distr", "5 distr", "39 sdists,", "20,000"))]
    assert len(rows) == len(BARS) and sum(row.endswith("not yet") for row in rows) == len(BARS) - 1
    assert rows[0].split()[-3:] == ["uv", "0.8", "0.50"]
    assert text.index("\nfirst ") < text.index("\nwarm ")
    assert ".. image:: benchmarks.svg" in text and "Cores  2" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_page_can_be_written_before_anything_is_measured():
    text = page([], {}, False)
    assert text.count("not yet") == len(BARS) and "image" not in text and "Medians" not in text


def test_the_bars_are_about_what_is_measured():
    assert all(bar.set in SCENARIOS[bar.scenario] for bar in BARS)


def test_a_file_system_is_told_by_the_last_mount_that_has_the_path():
    mounts = "\n".join(
        [
            "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/a rw",
            "22 21 0:5 / /tmp rw - xfs /dev/b rw",
            "23 21 0:6 / /tmp rw - tmpfs tmpfs rw",
            "24 21 0:7 / /my\\040home rw - btrfs /dev/c rw",
        ]
    )
    paths = ("/tmp/x", "/tmpx", "/my home/x")
    assert [file_system(mounts, Path(path)) for path in paths] == ["tmpfs", "ext4", "btrfs"]


# The sets


def test_one_pin_takes_the_place_of_another():
    assert with_pin("a==1\n    # via b\nab==1\n", "a==0.9") == ["a==0.9", "    # via b", "ab==1"]
    with pytest.raises(ValueError, match="0 lines pin c"):
        with_pin("a==1\n", "c==1")


@pytest.mark.parametrize("pin", OLDER_PINS)
def test_the_older_pins_are_others_than_those_of_the_set(pin):
    text = WEB.read_text()
    assert pin not in text.splitlines() and pin in with_pin(text, pin)


def read_wheel(path):
    """Rows of ``RECORD``, the names of all members, and the metadata; they fit to the file's name."""
    project, version = name_and_version(path.name)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        stem = f"{project.replace('-', '_')}-1.0.dist-info"
        metadata = archive.read(f"{stem}/METADATA")
        rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(archive.read(f"{stem}/RECORD").decode()))}
        for name in names:
            if name.endswith(".py"):
                compile(archive.read(name), name, "exec")
    assert header_values(metadata, "name") == [project] and version == "1"
    return rows, names, metadata


def test_an_index_has_a_page_for_each_distribution_that_is_pinned(tmp_path):
    pins = write_index(tmp_path / "index", 12)
    assert pins[10] == "synthetic-00010==1.0" and len(pins) == 12
    wheels = sorted((tmp_path / "index" / "files").glob("*.whl"))
    for wheel, pin in zip(wheels, pins, strict=True):
        rows, names, metadata = read_wheel(wheel)
        assert sorted(rows) == sorted(names)
        assert len([name for name in names if ".dist-info/" not in name]) == 12
        assert wheel.with_name(wheel.name + ".metadata").read_bytes() == metadata
        assert f'"../../files/{wheel.name}#sha256=' in (tmp_path / "index/simple" / pin[:-5] / "index.html").read_text()
    assert header_values(metadata, "requires-dist") == ["synthetic-00003>=1", "synthetic-00005>=1"]
    assert sum("entry_points.txt" in " ".join(read_wheel(wheel)[1]) for wheel in wheels) == 3


def test_further_wheels_are_of_other_projects(tmp_path):
    write_wheels(tmp_path, 3)
    wheels = sorted(tmp_path.iterdir())
    assert [wheel.name.partition("-")[0] for wheel in wheels] == ["further_00000", "further_00001", "further_00002"]
    for wheel in wheels:
        rows, names, _ = read_wheel(wheel)
        assert sorted(rows) == sorted(names)
