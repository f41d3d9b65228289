"""The data directory stays below its limit, and the runs after a clean-up work as before."""

from __future__ import annotations

import os
import time

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import make_environment
from tests.lib.index import IndexServer
from tests.lib.runs import installed, run_pip, run_pip_accel


def size_of(directory):
    """Bytes of all files, hard links once."""
    status = [os.lstat(os.path.join(place, name)) for place, _, names in os.walk(directory) for name in names]
    return sum({(each.st_dev, each.st_ino): each.st_size for each in status}.values())


def grow_old(directory, hours):
    moment = time.time() - hours * 3600
    for place, directories, names in os.walk(directory):
        for name in (*directories, *names):
            os.utime(os.path.join(place, name), (moment, moment))


def test_what_was_removed_comes_again_when_it_is_needed(tmp_path):
    archives, data, counter = str(tmp_path / "archives"), str(tmp_path / "data"), str(tmp_path / "counter")
    for name in ("alpha", "beta", "gamma"):
        make_wheel(archives, name, "1.0", files={f"{name}.py": "", f"{name}.bin": os.urandom(200_000)})
    make_sdist(
        archives, "delta", "1.0", files={"delta.py": "", "delta.bin": os.urandom(200_000)}, counter=counter,
    )  # fmt: skip
    with IndexServer(archives) as server:

        def run(name, *words):
            environment = make_environment(str(tmp_path / name))
            variables = {"PIP_INDEX_URL": server.url, "PIP_ACCEL_MAX_CACHE_SIZE": "1 MB"}
            run_pip_accel(["install", *words], environment, data, **variables)
            assert installed(environment) == dict.fromkeys(words, "1.0")
            run_pip(["check"], environment)

        run("one", "alpha", "delta")  # about 400 kB, and 600 kB
        grow_old(data, 5)
        assert 900_000 < size_of(data) < 1_100_000
        run("two", "beta")
        assert 400_000 < size_of(data) < 1_000_000
        grow_old(data, 5)
        run("three", "gamma", "beta")
        assert 400_000 < size_of(data) < 1_000_000
        grow_old(data, 5)
        run("four", "alpha", "delta")
        assert size_of(data) < 1_050_000  # of this run alone, and what was used in the last hour stays
        server.reset()
        run("five", "alpha", "delta")
        assert server.requests == []
    with open(counter, encoding="utf-8") as stream:
        assert [line.split()[0] for line in stream].count("build_wheel") == 2
