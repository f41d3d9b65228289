"""What pip itself makes of words, variables and files: asked in one subprocess for many cases, nothing is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from packaging.markers import Marker

from pip_accel._plan.arguments import Request, Root

__all__ = ["Case", "ask_pip", "check_request", "describe_options"]

_ASK = r"""
import contextlib, io, json, os, sys, types
from pip._internal.cli import cmdoptions
from pip._internal.cli.main_parser import parse_command
from pip._internal.commands import create_command
from pip._vendor.packaging.utils import canonicalize_name

DESTS = '''index_url extra_index_urls no_index trusted_hosts upgrade upgrade_strategy force_reinstall ignore_installed
ignore_dependencies compile require_hashes warn_script_location warn_about_conflicts progress_bar root_user_action
override_externally_managed no_input proxy retries resume_retries timeout exists_action cert client_cert no_color
disable_pip_version_check keyring_provider use_user_site verbose quiet prefer_binary'''.split()

def root(wanted):
    hashes = [f"{kind}:{digest}" for kind, digests in wanted.hash_options.items() for digest in digests]
    return dict(
        name=canonicalize_name(wanted.req.name),
        extras=sorted({canonicalize_name(extra) for extra in wanted.extras}),
        specifier="" if wanted.req.url else ",".join(sorted(map(str, wanted.req.specifier))),
        marker=str(wanted.markers or ""),
        hashes=hashes,
        source=str(wanted.comes_from or ""),
        direct=wanted.link.file_path if wanted.link else "",
    )

def answer(case):
    os.chdir(case["cwd"])
    os.environ.clear()
    os.environ.update(case["environ"])
    name, words = parse_command(list(case["words"]))
    if name != "install":
        return {"command": name}
    command = create_command(name, isolated="--isolated" in words)
    options, args = command.parse_args(words)
    cmdoptions.check_release_control_exclusive(options) if hasattr(options, "release_control") else None
    values = {dest: getattr(options, dest, None) for dest in DESTS}
    session = types.SimpleNamespace(
        add_trusted_host=lambda host, source=None: values["trusted_hosts"].append(host),
        update_index_urls=lambda urls: None,
    )
    finder = command._build_package_finder(options=options, session=session)
    wanted = command.get_requirements(args, options, finder, session)
    for each in wanted:
        assert not each.constraint or not each.extras
    pre = finder.release_control and ":all:" in finder.release_control.all_releases if hasattr(
        finder, "release_control") else finder.allow_all_prereleases
    return values | dict(
        default_index=cmdoptions.index_url().default,
        require_hashes=options.require_hashes,
        no_index=finder.search_scope.no_index,
        index_urls=finder.index_urls,
        find_links=finder.find_links,
        no_binary=sorted(finder.format_control.no_binary),
        only_binary=sorted(finder.format_control.only_binary),
        prefer_binary=finder.prefer_binary,
        pre=bool(pre),
        constraints=[root(each) for each in wanted if each.constraint],
        requirements=[root(each) for each in wanted if not each.constraint],
        editable=any(each.editable for each in wanted),
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
    assert ours == {name: theirs[name] for name in ours}


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
        "upgrade": request.upgrade,
        "upgrade_strategy": request.upgrade_strategy,
        "force_reinstall": request.force_reinstall,
        "ignore_installed": request.ignore_installed,
        "ignore_dependencies": request.no_deps,
        "compile": request.compile,
        "require_hashes": request.require_hashes,
        "warn_script_location": request.warn_script_location,
        "warn_about_conflicts": request.warn_conflicts,
        "progress_bar": request.progress_bar,
        "root_user_action": request.root_user_action,
        "override_externally_managed": request.break_system_packages,
        "verbosity": request.verbosity,
        "proxy": request.options.get("proxy") or None,
        "exists_action": list(request.options.get("exists_action", ())),
    }


def _root(root: Root, sign: str) -> dict[str, Any]:
    path, _colon, line = root.source.rpartition(":")
    return {
        "name": root.name,
        "extras": list(root.extras),
        "specifier": root.specifier,
        "marker": str(Marker(root.marker)) if root.marker else "",
        "hashes": list(root.hashes),
        "source": f"{sign} {path} (line {line})" if path else "",
        "direct": root.direct,
    }


def _without_defaults(answer: Mapping[str, Any], cwd: str) -> dict[str, Any]:
    """Give an answer of pip with its default index unnamed, paths absolute, and flags false that nobody set."""
    answer = {
        name: bool(value) if value is None and name not in _HANDED_ON else value for name, value in answer.items()
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
        each["source"] = f"{sign} {os.path.join(cwd, path)}" if path else ""
    return answer


def _run(python: str, code: str, questions: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environ |= {"PIP_CONFIG_FILE": os.devnull, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [python, "-c", code], input=questions, capture_output=True, text=True, env=environ, check=True
    ).stdout
