"""What a failed build says is missing: its output goes in, headers, libraries, programs and the like come out.

Nothing here knows a project. The rules are about the words of tools (compilers, linkers, pkg-config, meson, CMake,
cargo, shells, Python), and about the ways in which people write that something has to be installed. What comes out is
only a guess about names: whether a package has such a thing is for :mod:`pip_accel.deps.catalogue` to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Missing", "find_missing"]


class Missing(NamedTuple):
    """Something that a build did not find."""

    #: ``header``, ``library``, ``pkgconfig``, ``cmake``, ``dependency`` (of meson), ``program``, ``file`` (perhaps a
    #: program), ``package``, ``newer`` (it is there, and too old), or ``name`` for any of them
    kind: str
    name: str  #: as it was named: ``openssl/ssl.h``, ``crypto``, ``libxml-2.0``, ``ZLIB``, ``swig``, ``Berkeley DB``

    def __str__(self) -> str:
        return {"library": f"lib{self.name}", "pkgconfig": f"{self.name}.pc"}.get(self.kind, self.name)


#: Sources that a build only compiles to see whether it can.
_PROBE = re.compile(r"_configtest|conftest|CMakeScratch|CMakeTmp|check_\w+\.c|/tmp[\w.-]*/(?:[^/:]+/)?[^/:]*\.c\b|testfile|sanitycheck")

_WORD = r"[A-Za-z0-9][\w.+-]*"
_QUOTED = rf"['\"`‘]?(?P<name>{_WORD})['\"`’]?"
_PROGRAM = r"(?:executable|binary|command|program|utility|tool|script)"

#: Programs that builds call where they can, and do without.
_ASIDES = frozenset(("bzr", "ccache", "clang", "clang++", "doxygen", "file", "git", "hg", "icc", "ldconfig", "lsb_release", "sccache", "svn", "uname", "which"))

#: What tools say, and what is missing when they do. These decide. ``%`` is a name; where the group is not called ``name``,
#: its own name is what is missing.
_CERTAIN = tuple(
    (kind, re.compile(pattern.replace("%", f"(?P<name>{_WORD})"), re.MULTILINE))
    for kind, pattern in (
        # compilers and linkers
        ("header", r"^(?P<source>\S*?):\d+(?::\d+)?: (?:fatal )?error: (?P<name>[\w./+-]+): No such file or directory"),
        ("header", r"^(?P<source>\S*?):\d+(?::\d+)?: fatal error: '(?P<name>[\w./+-]+)' file not found"),
        ("header", r"ERROR: C(?:\+\+)? header ['\"]<?(?P<name>[\w./+-]+)>?['\"] not found"),
        ("header", r"(?:No such file or directory|does not exist|not found|[Cc]annot find|[Cc]annot open).{0,20}?['\"]?/usr(?:/local)?/include/(?P<name>[\w./+-]+\.h)\b"),
        ("library", r"(?:ld|ld\.\w+|collect2|mold)(?:\.exe)?: (?:error: )?(?:cannot find|library not found:?|unable to find library) -l:?(?P<name>[\w.+-]+)"),
        ("library", r"\blib%\.so[.\d]*: cannot open shared object file"),
        ("library", r"ERROR: (?:C|C\+\+|Fortran)? ?(?:shared or static |static |shared )?library ['\"]%['\"] not found"),
        # pkg-config
        ("pkgconfig", r"Package '?(?P<name>[\w.+-]+?)'?,? (?:required by '[^']*', )?(?:was )?not found(?: in the pkg-config| *$)"),
        ("pkgconfig", r"No package '(?P<name>[\w.+-]+)' found"),
        ("pkgconfig", r"[Pp]kg-?[Cc]onfig (?:package|module|library|dependency) [`'\"]?(?P<name>[\w.+-]+?)(?:\.pc)?(?: *[<>=]+ *[\w.]+)?[`'\"]? (?:was |is )?not found"),
        ("pkgconfig", r"add the directory containing [`'](?P<name>[\w.+-]+)\.pc'"),
        ("pkgconfig", r"Package requirements \((?P<name>[\w.+-]+)"),
        ("pkgconfig", r"PackageNotFoundError: %(?: not found)?"),
        ("pkgconfig", r"The system library [`']%[`'] required by crate"),
        ("pkgconfig", r"required packages were not found:\s+- (?P<name>[\w.+-]+)"),
        # meson
        ("dependency", r"Dependency lookup for (?P<name>\S+) with method '[\w-]+' failed"),
        ("dependency", r"ERROR: (?:\w+ )?[Dd]ependency ['\"](?P<name>[^'\"]+)['\"] (?:is required but )?not found"),
        ("dependency", r"ERROR: Dependency (?P<name>[^\s'\"]+) (?:is required but )?not found"),
        ("dependency", r"ERROR: Could not get pkg-config variable .* for (?P<name>\S+)"),
        ("program", r"ERROR: Program\(?s?\)? \[?['\"](?P<name>[\w.+-]+)['\"](?:, [^\]\n]*)?\]? not found"),
        ("program", r"ERROR: Unknown compiler\(s\): \[\[?['\"](?P<name>[\w.+-]+)"),
        # CMake
        ("cmake", r"CMake Error(?:(?!\n\n\n).|\n){0,400}?(?<!-- )Could NOT find %"),
        ("cmake", r"Could not find a package configuration file provided by\s+\"(?P<name>[\w.+-]+)\""),
        ("program", r"\(find_program\):\s+Could not find \S+ using the following names: (?P<name>[\w.+-]+)"),
        ("library", r"\(find_library\):\s+Could not find \S+ using the following names: (?:lib)?(?P<name>[\w.+-]+)"),
        ("header", r"\(find_(?:path|file)\):\s+Could not find \S+ using the following (?:files|names): (?P<name>[\w./+-]+\.\w+)"),
        ("program", r"No CMAKE_(?:C|CXX)_COMPILER could be (?P<cc>found)"),
        ("program", r"(?P<gfortran>No CMAKE_Fortran_COMPILER) could be found"),
        # programs that cannot be started
        ("program", r"No such file or directory: b?['\"]/usr(?:/local)?/s?bin/(?P<name>[\w+-]+(?:\.\d+)?)['\"]"),
        ("started", r"No such file or directory: b?['\"](?P<name>[A-Za-z][\w+-]*(?:\.\d+)?)['\"]"),
        ("program", r"(?P<cc>no acceptable C compiler found|C(?:\+\+)? compiler cannot create executables)"),
        ("program", r"error: command '(?:\S*/)?(?P<name>[\w.+-]+)' failed: No such file or directory"),
        ("program", r"unable to execute '?(?P<name>[\w.+-]+)'?: No such file or directory"),
        ("program", r"^\S*sh: (?:line )?(?:\d+: )?(?P<name>[\w.+-]+): (?:command )?not found"),
        ("program", r"^(?:\S+: )?(?:line )?\d+: (?P<name>[\w.+-]+): (?:command )?not found"),
        ("program", r"^g?make(?:\[\d+\])?: (?P<name>[A-Za-z][\w+-]*): No such file or directory"),
        ("program", r"could not find (?P<name>git|hg|svn) for "),
        ("program", r"env: ['‘](?P<name>[\w.+-]+)['’]: No such file or directory"),
        ("program", r"exec: \"(?P<name>[\w.+-]+)\": executable file not found"),
        ("program", r"[Ff]ailed to (?:execute|run|spawn|start)(?: command| the)? [`'\"](?P<name>[\w.+-]+)\b[^`'\"\n]*[`'\"].*(?:No such file|not found)"),
        ("program", r"is [`'\"](?P<name>[\w.+-]+)[`'\"] not installed\?"),
        ("program", r"(?P<cargo>can't find Rust compiler|[Rr]ust(?:c| toolchain| compiler)? (?:is )?not (?:found|installed)|Cargo, the Rust package manager, is not installed)"),
        ("program", r"Could not find [`'\"]?(?P<name>protoc)\b"),
        ("library", r"Unable to find lib(?P<name>clang)\b"),
        ("pkgconfig", r"Could not find directory of (?P<openssl>OpenSSL) installation"),
        ("newer", r"(?P<cargo>lock file version [`']?\d+[`']? (?:was found, but|requires)|feature `edition\d+` is required|requires rustc \d\S* or newer|rustc \S+ is not supported|Rust \d\S* does not match)"),
    )
)

#: pkg-config itself is missing, and that it is there.
_PKG_CONFIG = re.compile(
    r"Pkg-config (?:binary )?for machine .* not found|pkg-config: (?:command )?not found"
    r"|No such file or directory: '(?:/usr/bin/)?pkg-config'|pkg-config(?: \w+)? is (?:required|needed)"
    r"|pkg-config probably not installed|requires pkg-config|pkg-config(?: and \S+)? (?:is |are )?unavailable|Could NOT find PkgConfig"
    r"|pkg-config (?:command )?(?:could not be|was not|not) found|(?:need|install|(?<!Did not )find|run|invoke|locate) [`'\"]?pkg-config"
    r"|pkg-config script could not be found|pkg-config \(?(?:is )?not installed",
)
_HAS_PKG_CONFIG = re.compile(
    r"in the pkg-config search path|required by 'virtual:world'|Found pkg-config: (?:YES|/)|Found PkgConfig: /"
    r"|with pkg-config: YES",
)

#: It is there, in a version that does not fit: no package of this distribution helps.
_TOO_OLD = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:[Dd]ependency|Program) (?P<name>\S+) found: NO\.? ?\(?[Ff]ound '?[\d.]+'? but need",
        r"(?:[Dd]ependency|Program) (?P<name>\S+) found: NO found [\d.]+ but need",
        r"Requested '(?P<name>[\w.+-]+) [<>=]+ [^']*' but version of",
        r"Package dependency requirement '(?P<name>[\w.+-]+) [<>=]+ [^']*' could not be satisfied",
        r"Could NOT find (?P<name>\w+): Found unsuitable version",
        r"Invalid version of (?:dependency|program),? need '(?P<name>[^']+)'",
    )
)

#: How people write that something has to be there. Looked at where the rules above lead to no package; line by line.
_NEED = r"(?:[Cc]ould ?n['o]t|[Cc]ould not|[Cc]annot|[Cc]an(?:no|'|’)?t|[Cc]an not|[Uu]nable to|[Ff]ailed to|[Dd]id not|[Dd]idn't|[Nn]ot able to)"
_LACKS = (
    r"(?:(?:was|were|is|are|has|have|could|can|appears?|seems?)(?: been)? ?(?:not|n't|n’t|cannot|NOT)?(?: to)?(?: be)?(?: been)? ?"
    r"(?:not |NOT )?(?:be )?(?:found|installed|available|present|located|detected)|not (?:be )?(?:found|installed|available|present|located|detected)"
    r"|NOT FOUND|(?:is|are) (?:missing|required|needed|unavailable)|missing|must be (?:pre)?installed|needs? to be installed|required)"
)
_WHAT = r"(?:(?:C|C\+\+|native|system|shared|static|client|local|dev|development|runtime|core) ){0,3}(?:headers?|header files?|include files?|librar(?:y|ies)|libs?|libs?/headers|headers/libs?|development (?:headers|files|packages?|libraries|version)|dev(?:el)? packages?|packages?|installation|toolkit|SDK|sources?|files?)"
_HEADER = r"[\"'<`‘]?(?P<name>[\w./+-]+\.(?:h|hpp|hh|hxx))[\"'>`’]?"
_PHRASE = r"[\"'<`‘]?(?P<name>(?!(?:and|or|the|a|an)\b)[A-Za-z][\w.+/-]*(?: (?!is\b|are\b|was\b|were\b|not\b|NOT\b|could\b|and\b|or\b|to\b|in\b|for\b|has\b|headers?\b|librar|development\b|installation\b)[\w.+/-]+){0,3}?)[\"'>`’]?"
_WORDED = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("header", rf"{_HEADER}(?: header| file| header file)? {_LACKS}"),
        ("header", rf"{_NEED} (?:find|locate|open|load|include|detect|read) (?:the )?(?:[\w+.-]+ )?(?:headers? |header files? |include files? |file )?{_HEADER}"),
        ("header", rf"(?:[Mm]issing|[Nn]o|without) (?:required |the )?(?:headers? |header files? |include files? )?{_HEADER}"),
        ("header", rf"[Hh]eader(?: file)?s? {_HEADER} {_LACKS}"),
        ("header", rf"(?:{_NEED}|[Mm]issing|not found).*?['\"](?P<name>[\w./+-]+\.h(?:pp)?)['\"]"),
        ("program", rf"(?:[Mm]ake sure|[Ee]nsure|[Cc]heck)(?: that)? (?:the )?['\"`]?(?P<name>{_WORD})['\"`]? {_PROGRAM}? ?is (?:in|on) (?:the |your )?[`'\"]?\$?PATH"),
        ("pkgconfig", r"(?:[Ee]nsure|[Mm]ake sure|[Ff]ind|[Ll]ocate|[Mm]issing|[Nn]eeds?|[Rr]equires?).*?\b(?P<name>[\w.+-]+)\.pc\b"),
        ("pkgconfig", r"\b(?P<name>[\w.+-]+)\.pc\b.*(?:not found|missing|could not)"),
        ("program", rf"{_QUOTED} {_PROGRAM}(?: \S+)? {_LACKS}"),
        ("program", rf"[Tt]he ['\"`]?(?P<name>{_WORD})['\"`]? {_PROGRAM} (?:appears|seems) not to be installed"),
        ("program", rf"(?:{_NEED} (?:find|locate|run|execute|call|invoke|start|detect|use)|[Mm]issing|[Rr]equires|[Nn]eeds) (?:the |a |an )?(?:{_PROGRAM} )?['\"`‘](?P<name>{_WORD})['\"`’]"),
        ("program", rf"{_NEED} (?:find|locate|run|execute|call|invoke|start) (?:the |a |an )?(?P<name>[\w.+]+[-_]config|javac|qmake|swig|cmake|gfortran|{_WORD}(?= {_PROGRAM}))"),
        ("program", r"(?P<name>[\w.+]+[-_]config)\b.{0,40}?(?:not found|failed|missing|not available)"),
        ("program", r"[Pp]ath to (?P<name>[\w.+]+[-_]config)\b"),
        ("package", r"apt(?:-get|itude)? (?:-\S+ )*install (?:-\S+ )*(?P<names>[a-z0-9][\w.+ -]+)"),
        ("package", r"\b(?P<name>(?:lib|python3?-)?[a-z0-9][a-z0-9.+-]{2,}-dev)\b(?=.*(?:Debian|Ubuntu|apt|deb\b|package|install))"),
        ("package", r"(?:Debian|Ubuntu|apt|deb|[Ii]nstall|package).*?\b(?P<name>(?:lib|python3?-)?[a-z0-9][a-z0-9.+-]{2,}-dev)\b"),
        ("names", rf"(?:make sure|ensure|[Cc]heck)(?: that)?(?: you have)?(?: the| a)? (?P<names>[\w.+/-]+(?:(?:, | and |, and )[\w.+/-]+)*)(?: {_WHAT}){{0,3}}(?: (?:and|or) {_WHAT})?(?: is| are| has been| have been)?(?: properly| correctly)? (?:installed|available)"),
        ("names", r"(?:[Pp]lease|need to|must|have to|should|[Tt]ry to|may need to|required to) (?:first )?(?:install|get) (?:the |a |an )?(?:appropriate |required |latest |relevant )?(?P<names>[\w.+/-]+(?:(?:, | and |, and )(?:the )?[\w.+/-]+)*)"),
        ("name", rf"(?:headers?(?: files?)?|librar(?:y|ies)(?: files?)?|development files)(?: or \w+ files)? (?:could not be|was not|were not|not|cannot be) found for {_PHRASE}(?:[,.;]|$)"),
        ("name", rf"{_NEED} (?:find|locate|load|detect|determine|get|link|build without)(?: or build)? (?:a |an |the |any |your |valid |suitable |usable |required |working |local |version of |location of |path to |dependency |package |library |installation of |C library )*{_PHRASE}(?: \(?(?:version|>=|v)? ?[\d.]*\)?)?(?: {_WHAT}){{0,3}}(?:[,.;:!(]|$| (?:in|on|at|with|from|is|for|using)\b)"),
        ("name", rf"{_PHRASE}(?: {_WHAT}){{0,3}} {_LACKS}"),
        ("name", rf"[Rr]equires? (?:the |a )?{_PHRASE} (?:{_WHAT})"),
        ("name", rf"{_PHRASE} (?:{_WHAT}) (?:{_LACKS})"),
        ("name", rf"[Dd]o you have (?:the )?{_PHRASE} (?:{_WHAT})"),
        ("name", rf"[Mm]issing (?:required )?(?:dependency|library|dependencies|libraries|package)[:=]? {_PHRASE}(?:[,.;:]|$)"),
        ("name", rf"{_PHRASE} {_WHAT} (?:to build|before|in order)"),
    )
)

#: The last resort: what a build looked for and did without, as far as it tells.
_HINTED = tuple(
    (kind, re.compile(pattern, re.MULTILINE))
    for kind, pattern in (
        ("program", r"Did not find (?P<name>pkg-config)"),
        ("header", r"checking for (?P<name>[\w./+-]+\.h)(?: \S+)?\.\.\. no$"),
        ("library", r"checking for \w+ in -l(?P<name>[\w.+-]+)\.\.\. no$"),
        ("name", r"checking for (?P<name>[\w.+-]+)\.\.\. no(?:t found)?$"),
        ("dependency", r"(?:[Rr]un-time|[Bb]uild-time) dependency (?P<name>\S+) found: NO"),
        ("cmake", r"-- Could NOT find (?P<name>\w+)"),
        ("library", r"Library (?P<name>[\w.+-]+) found: NO"),
    )
)

#: Modules that a build asked pkg-config for, one after the other.
_TRIED = re.compile(r"pkg-config (?:--\S+ )+['\"]?(?P<name>[A-Za-z][\w.+-]+)['\"]?.* returned non-zero exit status 1\b")


#: It failed while it looked for things.
_CONFIGURING = re.compile(r"configure: error|meson\.build:\d+:\d+: ERROR|Configuring incomplete|CMake Error")

#: Lines at the end in which sentences are read: what people write for people is not far from it.
_READ = 300
#: What is looked at of an output, and of a line of it: characters. Nothing that is said in words is longer.
_FIRST, _LAST, _LINE = 200_000, 1_000_000, 400
#: Python could not start a program, and has not only failed to open a file.
_STARTING = re.compile(r"_execute_child|child_exception_type|posix_spawn|execvp|_config_error|Could not run|via \S+:")
_CALLED_SO = re.compile(r"[-_]config$|gcc|g\+\+|^(?:cc|c\+\+)$")
_BEFORE = 1500  # characters between that and the error

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_INDENT = re.compile(r"^[ \t]*(?:[\w-]{1,40}\| )?[ \t]*", re.MULTILINE)
#: Lines that name things which are there, or which pip itself says.
_NOISE = re.compile(
    r"^(?:note: |hint: |copying |creating |adding |writing |reading |running |Collecting |Downloading |Requirement already"
    r"|warning: no |no previously|Successfully |Using cached |.*SetuptoolsDeprecationWarning|.*Warning: .*deprecat"
    r"|[\w.-]*g(?:cc|\+\+)(?:-\d+)? -|error: [Cc]ommand '?\[?'?\S*(?:gcc|g\+\+|cc)\b).*$",
    re.MULTILINE,
)


def find_missing(output: str) -> Iterator[list[Missing]]:
    """Give what a failed build says is missing: lists to try in turn, until one of them leads to packages.

    All of what is in the first list is missing; the others are guesses.

    :param output: all that the build said, in English; pip's own words around it do no harm.
    """
    text = _tidy(output)
    wrong = {found["name"].strip("'\"") for pattern in _TOO_OLD for found in pattern.finditer(text)}
    sure: list[tuple[int, Missing]] = []
    probed: list[tuple[int, Missing]] = []
    for kind, pattern in _CERTAIN:
        for found in pattern.finditer(text):
            group = next(name for name, value in found.groupdict().items() if value is not None and name != "source")
            name = found["name"] if group == "name" else group
            if name in wrong:
                continue
            each = Missing(kind, name)
            if kind == "started":
                is_program = _STARTING.search(text, max(0, found.start() - _BEFORE), found.start())
                each = Missing("program" if is_program or _CALLED_SO.search(name) else "file", name)
            aside = name in _ASIDES or each.kind == "file" or ("source" in found.groupdict() and _PROBE.search(found["source"]))
            where = probed if aside else sure
            where.append((found.start(), each))
    lacking = _PKG_CONFIG.search(text)
    if lacking is not None and not _HAS_PKG_CONFIG.search(text):
        sure.append((lacking.start(), Missing("program", "pkg-config")))
    elif lacking is not None:
        sure = [each for each in sure if each[1].name != "pkg-config"]
    yield _in_order(sure)
    yield _in_order(probed)
    for found in _TRIED.finditer(text):
        yield [Missing("pkgconfig", found["name"])]
    text = _NOISE.sub("", text)
    lines = [line for line in text.splitlines() if line and not line.startswith(("File \"", "from ", "import "))]
    worded = [each for each in _read_words(lines[-_READ:]) if each.name not in wrong and each.name != "pkg-config"]
    for kinds in (("header", "program", "pkgconfig"), ("package",), ("name",)):
        yield list(dict.fromkeys(each for each in worded if each.kind in kinds))
    if _CONFIGURING.search(text) is None:  # what it did without was not what it failed for
        return
    hinted = [
        (found.start(), Missing(kind, found["name"]))
        for kind, pattern in _HINTED
        for found in pattern.finditer(text)
        if found["name"] not in wrong
    ]
    yield _in_order(hinted)


def _tidy(output: str) -> str:
    """Give what counts of an output, without colours and indentation; what patterns have to go through is limited."""
    if len(output) > _FIRST + _LAST:
        output = f"{output[:_FIRST]}\n{output[-_LAST:]}"
    # What was captured is often shown as Python shows bytes.
    text = _ANSI.sub("", output).replace("\r\n", "\n").replace("\\n", "\n")
    return _INDENT.sub("", "\n".join(line[:_LINE] for line in text.split("\n")))


def _in_order(found: list[tuple[int, Missing]]) -> list[Missing]:
    return list(dict.fromkeys(each for _, each in sorted(found)))


def _read_words(lines: list[str]) -> Iterator[Missing]:
    """Read sentences, the last first."""
    for line in reversed(lines):
        for kind, pattern in _WORDED:
            for found in pattern.finditer(line):
                if kind == "package":
                    for word in (found.groupdict().get("names") or found["name"]).split():
                        if not word.startswith("-"):
                            yield Missing("package", word.strip(".,;:)"))
                elif kind == "names":
                    for name in re.split(r",? and |, ", found["names"]):
                        yield Missing("name", name.removeprefix("the ").strip(".,;:"))
                else:
                    yield Missing(kind, found["name"].rstrip("."))
