"""What pip itself makes of words, variables and files: asked in one subprocess for many cases, nothing is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.markers import Marker

from pip_accel._plan.arguments import Request, Root

__all__ = ["Case", "ask_pip", "check_request", "describe_options"]

_ASK = r"""
import contextlib, functools, io, json, os, site, sys
from pip._internal.cli import cmdoptions
from pip._internal.cli.main_parser import parse_command
from pip._internal.commands import create_command, install
from pip._internal.network.session import PipSession
from pip._internal.utils.temp_dir import global_tempdir_manager, tempdir_registry
from pip._vendor.packaging.utils import canonicalize_name
from pip._vendor.requests import Response

DESTS = '''index_url extra_index_urls no_index trusted_hosts upgrade upgrade_strategy force_reinstall ignore_installed
ignore_dependencies compile require_hashes warn_script_location warn_about_conflicts progress_bar root_user_action
override_externally_managed no_input proxy retries resume_retries timeout exists_action cert client_cert no_color
disable_pip_version_check keyring_provider verbose quiet prefer_binary dry_run'''.split()

# Whatever the environment is that pip is asked in, it may be installed into, and has a user site.
install.check_externally_managed = lambda: None
install.virtualenv_no_global = lambda: False
site.ENABLE_USER_SITE = True

class Reached(Exception):
    pass

class Session(PipSession):
    # has the pages of a case, and no network

    def __init__(self, pages, trusted_hosts):
        super().__init__()
        self.pages, self.trusted = pages, trusted_hosts

    def add_trusted_host(self, host, *more, **options):
        self.trusted.append(host)

    def get(self, url, *more, **options):
        if url.startswith("file:"):
            return super().get(url, *more, **options)
        response = Response()
        response.url, response.status_code = url, 200 if url in self.pages else 404
        response._content = self.pages.get(url, "").encode("latin-1")
        return response

def kind_of(link):
    if link.is_vcs:
        return "vcs"
    if link.scheme != "file":
        return "archive"
    return "directory" if link.is_existing_dir() else "wheel" if link.is_wheel else "sdist"

def root(wanted):
    hashes = [f"{kind}:{digest}" for kind, digests in wanted.hash_options.items() for digest in digests]
    kind = kind_of(wanted.link) if wanted.link else ""
    return dict(
        name=canonicalize_name(wanted.req.name) if wanted.req else "",
        extras=sorted({canonicalize_name(extra) for extra in wanted.extras}),
        specifier=",".join(sorted(map(str, wanted.req.specifier))) if wanted.req and not wanted.req.url else "",
        marker=str(wanted.markers or ""),
        hashes=hashes,
        source=str(wanted.comes_from or ""),
        direct=wanted.link.file_path if kind in ("directory", "wheel", "sdist") else "",
        url=wanted.link.url if kind in ("vcs", "archive") else "",
        kind=kind,
        editable=wanted.editable,
        config_settings=wanted.config_settings or {},
    )

def answer(case):
    os.chdir(case["cwd"])
    os.environ.clear()
    os.environ.update(case["environ"])
    for each in vars(cmdoptions).values():  # what words and files add to such a list stays there
        if isinstance(each, functools.partial) and isinstance(each.keywords.get("default"), list):
            each.keywords["default"].clear()
    name, words = parse_command(list(case["words"]))
    if name != "install":
        return {"command": name}
    command = create_command(name, isolated="--isolated" in words)
    options, args = command.parse_args(words)
    values = {dest: getattr(options, dest, None) for dest in DESTS}
    values["user"] = options.use_user_site

    session = Session(case["pages"], values["trusted_hosts"])
    command.get_default_session = lambda options: session
    read, found = command.get_requirements, []

    def get_requirements(args, options, finder, session):
        found.append(finder)
        found.extend(read(args, options, finder, session))
        raise Reached

    command.get_requirements = get_requirements
    with command.main_context():
        command.tempdir_registry = command.enter_context(tempdir_registry())
        command.enter_context(global_tempdir_manager())
        with contextlib.suppress(Reached):
            command.run(options, args)
    finder, *wanted = found
    for each in wanted:
        assert not each.constraint or not each.extras
    pre = finder.release_control and ":all:" in finder.release_control.all_releases if hasattr(
        finder, "release_control") else finder.allow_all_prereleases
    return values | dict(
        default_index=cmdoptions.index_url().default,
        ignore_installed=options.ignore_installed,
        require_hashes=options.require_hashes,
        no_index=finder.search_scope.no_index,
        index_urls=finder.index_urls,
        find_links=finder.find_links,
        no_binary=sorted(finder.format_control.no_binary),
        only_binary=sorted(finder.format_control.only_binary),
        prefer_binary=finder.prefer_binary,
        pre=bool(pre),
        destination=[
            os.path.abspath(each) if each is not None else ""
            for each in (options.target_dir, options.prefix_path, options.root_path)
        ],
        report=options.json_report_file or "",
        log=os.path.abspath(options.log) if options.log else "",
        no_cache=not options.cache_dir,
        constraints=[root(each) for each in wanted if each.constraint],
        requirements=[root(each) for each in wanted if not each.constraint],
    )

answers = []
for case in json.load(sys.stdin):
    streams = io.StringIO()
    try:
        with contextlib.redirect_stdout(streams), contextlib.redirect_stderr(streams):
            answers.append(answer(case))
    except (Exception, SystemExit) as error:
        answers.append({"error": f"{type(error).__name__}: {error} {streams.getvalue()}"})
json.dump(answers, sys.stdout)
"""

_DESCRIBE = r"""
import json, sys
from pip._internal.cli.main_parser import create_main_parser
from pip._internal.commands import create_command
from pip._internal.req.req_file import build_parser

KINDS = {"store_true": "flag", "store_false": "off", "store": "value", "append": "append", "count": "count"}
parsers = {
    "m": create_main_parser().option_list_all,
    "i": create_command("install").parser.option_list_all,
    "d": create_command("download").parser.option_list_all,
    "f": build_parser().option_list,
}
json.dump(
    {
        command: [
            dict(
                dest=option.dest,
                kind=KINDS.get(option.action, option.action),
                spellings=option._short_opts + option._long_opts,
                takes_value=option.takes_value(),
                type=option.type,
                choices=option.choices,
            )
            for option in options
        ]
        for command, options in parsers.items()
    },
    sys.stdout,
)
"""


class Case(NamedTuple):
    """What pip is called with."""

    words: Sequence[str]  #: behind the program's name
    environ: Mapping[str, str]
    cwd: str
    pages: Mapping[str, str] = {}  #: what lies at URLs


def ask_pip(cases: Sequence[Case], python: str = sys.executable) -> list[dict[str, Any]]:
    """The answers of pip: option values by dest, requirements, and the state of its finder; or an ``error``."""
    questions = [case._asdict() for case in cases]
    answers: list[dict[str, Any]] = json.loads(_run(python, _ASK, json.dumps(questions)))
    return answers


def describe_options(python: str = sys.executable) -> dict[str, list[dict[str, Any]]]:
    """All options of pip by who knows them: ``m`` pip before the command, install, download, requirement files."""
    described: dict[str, list[dict[str, Any]]] = json.loads(_run(python, _DESCRIBE, ""))
    return described


def check_request(request: Request, answer: Mapping[str, Any], cwd: str) -> None:
    """Compare a request with the answer of pip, in every value that both have."""
    assert "error" not in answer, answer
    ours, theirs = _as_answer(request), _without_defaults(answer, cwd)
    differences = {name: (value, theirs[name]) for name, value in ours.items() if value != theirs[name]}
    assert not differences, differences


#: what pip-accel hands on without a field of its own, and pip's defaults for it
_HANDED_ON = {
    "proxy": None,
    "retries": 5,
    "timeout": 15,
    "exists_action": [],
    "cert": None,
    "client_cert": None,
    "no_input": False,
    "no_color": False,
}


def _as_answer(request: Request) -> dict[str, Any]:
    """Give a request in the form of an answer of pip."""
    index = request.index
    handed_on = {name: request.options.get(name, default) for name, default in _HANDED_ON.items()}
    return handed_on | {
        "requirements": [_root(each, "-r") for each in request.requirements],
        "constraints": [_root(each, "-c") for each in request.constraints],
        "index_urls": [] if index.no_index else [index.index_url, *index.extra_index_urls],
        "find_links": list(index.find_links),
        "no_index": index.no_index,
        "trusted_hosts": list(index.trusted_hosts),
        "no_binary": sorted(request.format_control.no_binary),
        "only_binary": sorted(request.format_control.only_binary),
        "prefer_binary": request.prefer_binary,
        "pre": request.pre,
        "upgrade": request.manner.upgrade,
        "upgrade_strategy": request.upgrade_strategy,
        "force_reinstall": request.force_reinstall,
        "ignore_installed": request.manner.ignore_installed,
        "ignore_dependencies": request.manner.no_deps,
        "compile": request.manner.compile,
        "require_hashes": request.manner.require_hashes,
        "warn_script_location": request.manner.warn_script_location,
        "warn_about_conflicts": request.manner.warn_conflicts,
        "progress_bar": request.manner.progress_bar,
        "root_user_action": request.manner.root_user_action,
        "override_externally_managed": request.manner.break_system_packages,
        "verbosity": request.manner.verbosity,
        "user": request.manner.destination.user,
        "destination": [getattr(request.manner.destination, name) for name in ("target", "prefix", "root")],
        "dry_run": request.manner.dry_run,
        "report": request.manner.report,
        "log": request.manner.log,
        "no_cache": request.manner.no_cache,
        "proxy": request.options.get("proxy") or None,
        "exists_action": list(request.options.get("exists_action", ())),
    }


def _root(root: Root, sign: str) -> dict[str, Any]:
    path, _colon, line = root.source.rpartition(":")
    # Of an sdist given by its path alone, pip knows the name when it has its metadata.
    known = root.kind != "sdist" or "@" in root.text
    return {
        "name": root.name if known else "",
        "extras": list(root.extras),
        "specifier": root.specifier,
        "marker": str(Marker(root.marker)) if root.marker else "",
        "hashes": list(root.hashes),
        "source": f"{sign} {path} (line {line})" if path else "",
        "direct": root.direct,
        "url": root.url,
        "kind": root.kind,
        "editable": root.editable,
        "config_settings": {
            key: value if isinstance(value, str) else list(value) for key, value in root.config_settings
        },
    }


def _without_defaults(answer: Mapping[str, Any], cwd: str) -> dict[str, Any]:
    """Give an answer of pip with its default index unnamed, paths absolute, and flags false that nobody set."""
    answer = {
        name: bool(value) if value is None and name not in (*_HANDED_ON, "user") else value
        for name, value in answer.items()
    }
    answer["verbosity"] = answer["verbose"] - answer["quiet"]
    answer["proxy"] = answer["proxy"] or None
    answer["index_urls"] = ["" if url == answer["default_index"] else url for url in answer["index_urls"]]
    paths = [os.path.join(cwd, link) for link in answer["find_links"]]
    answer["find_links"] = [
        path if os.path.exists(path) else link for path, link in zip(paths, answer["find_links"], strict=True)
    ]
    for each in [*answer["requirements"], *answer["constraints"]]:
        sign, _blank, path = each["source"].partition(" ")
        if path.startswith("file:"):
            path, _blank, line = path.rpartition(" (")
            path = f"{url2pathname(urlsplit(path).path)} ({line}"
        if path and "://" not in path:
            path = os.path.join(cwd, path)
        each["source"] = f"{sign} {path}" if path else ""
    return answer


def _run(python: str, code: str, questions: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environ |= {"PIP_CONFIG_FILE": os.devnull, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [python, "-c", code], input=questions, capture_output=True, text=True, env=environ, check=True
    ).stdout
