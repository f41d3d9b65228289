"""A throw-away Debian with a real apt, where pip-accel runs as for somebody who has Python and a compiler."""

from __future__ import annotations

import glob
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.lib.environments import MACHINE_ENVIRON, cache_directory, fetching
from tests.lib.runs import CHECKOUT, Run

__all__ = ["DebianRoot", "make_deb", "opened_root", "why_not"]

SUITE = "bookworm"
#: What a machine has that can build extensions, and no more.
PACKAGES = "build-essential,ca-certificates,python3-dev,python3-venv"
VENV = "/opt/venv"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
APT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def why_not() -> str:
    """The reason why there can be no such root here; empty if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root"
    for program in ("apt-get", "chroot", "dpkg-deb", "mount", "unshare"):
        if shutil.which(program) is None:
            return f"needs {program}"
    return ""


@dataclass(frozen=True, slots=True)
class DebianRoot:
    """One of these roots: it starts as all do, and whatever happens in it is gone afterwards."""

    path: str  #: absolute

    def inside(self, path: str) -> str:
        """The path of a file in it, as it is seen from outside."""
        return self.path + path

    def call(self, words: Sequence[str], *, before: Sequence[str] = (), user: str = "", **variables: str) -> Run:
        """Run a program in it.

        :param before: words in front of ``chroot``, such as ``unshare --net``.
        :param user: who runs it, root by default.
        """
        started = time.monotonic()
        command = [*before, *self._command(words, user)]
        environ = _environ(variables)
        done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def _command(self, words: Sequence[str], user: str = "") -> list[str]:
        return ["chroot", *([f"--userspec={user}"] if user else []), self.path, *words]

    def install(self, *words: str, **options: str) -> Run:
        """Run ``pip-accel install WORDS`` in it; options are those of :meth:`call`."""
        return self.call([f"{VENV}/bin/pip-accel", "install", *words], **options)

    def install_on_terminal(self, *words: str, answer: str, **variables: str) -> tuple[int, str]:
        """Run ``pip-accel install WORDS`` on a terminal; when a question comes, answer it.

        :param answer: what is typed; ``\\x03`` is Ctrl-C.
        :returns: the exit status, and all that was to be seen.
        """
        process, terminal = pty.fork()
        if process == 0:
            command = self._command([f"{VENV}/bin/pip-accel", "install", *words])
            try:
                os.execvpe(command[0], command, _environ(variables))
            finally:
                os._exit(127)
        said, answered = b"", False
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 1.0)[0]:
                try:
                    data = os.read(terminal, 65536)
                except OSError:  # the other side is closed
                    break
                if not data:
                    break
                said += data
            if not answered and b"[y/N] " in said:
                answered = True
                os.write(terminal, answer.encode())
        else:
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), said.decode("utf-8", "replace")

    def installed(self) -> set[str]:
        """Names of the packages that are installed."""
        listing = self.call(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package}\n"]).stdout
        return {line.split()[1] for line in listing.splitlines() if line.startswith("ii")}

    def write(self, path: str, text: str) -> None:
        """Write a file in it."""
        os.makedirs(os.path.dirname(self.inside(path)), exist_ok=True)
        with open(self.inside(path), "w", encoding="utf-8") as stream:
            stream.write(text)

    def add_repository(self, *debs: str) -> None:
        """Let apt know packages in files beside those of the distribution, without network."""
        place = self.inside("/opt/packages")
        os.makedirs(place)
        for deb in debs:
            shutil.copy(deb, place)
        listing = self.call(["sh", "-c", "cd /opt/packages && dpkg-scanpackages . > Packages"])
        assert listing.status == 0, listing.stderr
        self.write("/etc/apt/sources.list.d/own.list", "deb [trusted=yes] file:/opt/packages ./\n")
        words = ["apt-get", "update", "-o", "Dir::Etc::SourceList=/etc/apt/sources.list.d/own.list", "-o"]
        done = self.call([*words, "Dir::Etc::SourceParts=-", "-o", "APT::Get::List-Cleanup=0"], **APT)
        assert done.status == 0, done.stderr


def make_deb(
    directory: str, name: str, *, files: dict[str, str] | None = None, section: str = "libdevel", **fields: str
) -> str:
    """Make a Debian package; give its path.

    :param files: contents by path; those of ``DEBIAN/`` are scripts.
    :param fields: of its control file, such as ``Conflicts``.
    """
    with tempfile.TemporaryDirectory() as tree:
        control = {"Package": name, "Version": "1.0", "Architecture": "all", "Section": section}
        control |= {"Maintainer": "Nobody <nobody@example.com>", "Description": "for tests", **fields}
        contents = {"DEBIAN/control": "".join(f"{key}: {value}\n" for key, value in control.items()), **(files or {})}
        for path, text in contents.items():
            os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
            with open(os.path.join(tree, path), "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(os.path.join(tree, path), 0o755 if path.startswith("DEBIAN/p") else 0o644)
        os.chmod(tree, 0o755)
        path = os.path.join(directory, f"{name}_1.0_all.deb")
        os.makedirs(directory, exist_ok=True)
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, path], check=True, **QUIET)
    return path


@contextmanager
def opened_root(directory: str) -> Iterator[DebianRoot]:
    """A root of one's own.

    :param directory: for what changes in it.
    """
    base = _base()
    upper, work, merged = (os.path.join(directory, name) for name in ("upper", "work", "merged"))
    for path in (upper, work, merged):
        os.makedirs(path)
    options = f"lowerdir={base},upperdir={upper},workdir={work}"
    mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, merged], **QUIET).returncode == 0
    if not mounted:  # inside of another overlay, say
        subprocess.run(["cp", "-a", f"{base}/.", merged], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", f"{merged}/proc"], check=True)
    try:
        _update_pip_accel(merged)
        yield DebianRoot(merged)
    finally:
        for path in (f"{merged}/proc", *([merged] if mounted else [])):
            subprocess.run(["umount", "--lazy", path], check=True)


def _environ(variables: dict[str, str]) -> dict[str, str]:
    """The process environment inside: the machine's settings for the package index, and no others."""
    kept = {name: value for name, value in MACHINE_ENVIRON.items() if name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")}
    fixed = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    certificates = {"PIP_CERT": CERTIFICATES} if os.path.exists(CERTIFICATES) else {}
    return {**kept, **certificates, **fixed, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}


def _base() -> str:
    """The root that all start with: made once, and never changed."""
    cache = cache_directory("debian")
    base = os.path.join(cache, f"{SUITE}-1")
    with fetching(os.path.basename(base)):
        if not os.path.isdir(base):
            shutil.rmtree(f"{base}.new", ignore_errors=True)
            _bootstrap(f"{base}.new", cache)
            _install_pip_accel(f"{base}.new")
            os.rename(f"{base}.new", base)
    return base


def _bootstrap(root: str, cache: str) -> None:
    with _debootstrap(cache) as (command, variables, mirror):
        words = ["--variant=minbase", f"--include={PACKAGES}", SUITE, root, mirror]
        environ = {**os.environ, **variables, **APT}
        subprocess.run([*command, *words], env=environ, check=True, stdout=subprocess.DEVNULL)
    if os.path.exists(CERTIFICATES):
        shutil.copyfile(CERTIFICATES, f"{root}{CERTIFICATES}")
    shutil.copyfile("/etc/resolv.conf", f"{root}/etc/resolv.conf")
    for name in ("http_proxy", "https_proxy"):
        if name in MACHINE_ENVIRON:
            with open(f"{root}/etc/apt/apt.conf.d/90proxy", "a", encoding="utf-8") as stream:
                stream.write(f'Acquire::{name.partition("_")[0]}::Proxy "{MACHINE_ENVIRON[name]}";\n')
    for words in (["apt-get", "update"], ["apt-get", "clean"]):
        subprocess.run(["chroot", root, *words], env=_environ(APT), check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _debootstrap(cache: str) -> Iterator[tuple[list[str], dict[str, str], str]]:
    """How ``debootstrap`` is called, and the mirror it asks: that of this machine if it is a Debian."""
    mirror = ""
    listing = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)", "Identifier: Packages"]
    for line in subprocess.run(listing, capture_output=True, text=True).stdout.splitlines():
        uri, _, origin = line.partition(" ")
        if origin == "Debian" and "security" not in uri:
            mirror = uri
            break
    installed = shutil.which("debootstrap")
    if installed is not None:
        yield [installed], {}, mirror
        return
    # Its package, taken apart: nothing is installed on this machine.
    with tempfile.TemporaryDirectory(dir=cache) as place:
        for name in ("lists/partial", "archives/partial"):
            os.makedirs(os.path.join(place, name))
        words = ["-o", f"Dir::State::Lists={place}/lists", "-o", f"Dir::Cache={place}", "-o", "APT::Sandbox::User=root"]
        for command in (["update"], ["download", "debootstrap"]):
            subprocess.run(["apt-get", *command, *words], cwd=place, check=True, **QUIET)
        [deb] = glob.glob(f"{place}/debootstrap_*.deb")
        subprocess.run(["dpkg-deb", "--extract", deb, f"{place}/tree"], check=True)
        yield [f"{place}/tree/usr/sbin/debootstrap"], {"DEBOOTSTRAP_DIR": f"{place}/tree/usr/share/debootstrap"}, mirror


def _install_pip_accel(base: str) -> None:
    """Install pip-accel and what it runs on into a virtual environment."""
    with tempfile.TemporaryDirectory() as place:
        wheels = os.path.join(place, "wheels")
        words = ["wheel", "--quiet", "--wheel-dir", wheels, CHECKOUT]
        subprocess.run([sys.executable, "-m", "pip", *words], env=MACHINE_ENVIRON, check=True, **QUIET)
        shutil.copytree(wheels, f"{base}/opt/wheels")
    install = ["install", "--no-index", "--find-links=/opt/wheels", "--upgrade", "pip", "pip-accel"]
    for words in ["python3", "-m", "venv", VENV], [f"{VENV}/bin/python", "-m", "pip", *install]:
        subprocess.run(["chroot", base, *words], env=_environ({}), check=True, stdout=subprocess.DEVNULL)


def _update_pip_accel(root: str) -> None:
    """Put the checkout as it is now in place of the pip-accel that was installed."""
    [installed] = glob.glob(f"{root}{VENV}/lib/python3*/site-packages/pip_accel")
    shutil.rmtree(installed)
    shutil.copytree(os.path.join(CHECKOUT, "pip_accel"), installed, ignore=shutil.ignore_patterns("__pycache__"))
