#!/usr/bin/env python3
"""Holds the floors: who may include whom, and that lib/ does no I/O.

    tests/floors.py SOURCE_FOLDER
"""
import pathlib
import re
import sys

FLOORS = ["base", "time", "spec", "kinds", "core"]
ADAPTERS = ["pg", "proc", "http", "control", "config", "journal", "notify"]
FOREIGN = re.compile(r"uv\.h|curl/.*|libpq-fe\.h|libconfig\.h|systemd/.*")
# Calls of the outside world, and ambient time and chance. (snprintf and the like are no I/O.)
IO_HEADERS = {
    "fcntl.h", "unistd.h", "dirent.h", "pthread.h", "sys/stat.h", "sys/socket.h", "sys/types.h", "poll.h", "sys/epoll.h",
    "sys/file.h", "sys/mman.h", "sys/uio.h", "netdb.h", "spawn.h", "sys/wait.h", "sys/random.h",
}
IO_CALLS = re.compile(
    r"(?<![\w.>])(fopen|fdopen|fread|fwrite|fprintf|printf|puts|putchar|perror|open|openat|read|write|close|socket|connect"
    r"|getenv|setenv|system|popen|fork|exec[lv]p?e?|time|gettimeofday|clock_gettime|localtime|rand|random|srand|syslog)\s*\("
)
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r'"(\\.|[^"\\])*"', lambda m: m.group() if "/" in m.group() or ".h" in m.group() else '""', text)


def complaints(top):
    for path in sorted(top.glob("lib/**/*.[ch]")):
        floor = path.relative_to(top / "lib").parts[0]
        for n, line in enumerate(strip_comments(path.read_text()).splitlines(), 1):
            where = f"{path.relative_to(top)}:{n}"
            found = INCLUDE.match(line)
            if found:
                bracket, name = found.groups()
                first = name.split("/")[0]
                if bracket == "<" and (FOREIGN.fullmatch(name) or name in IO_HEADERS):
                    yield f"{where}: lib/ does not include <{name}>"
                if bracket == '"' and first in FLOORS and FLOORS.index(first) > FLOORS.index(floor):
                    yield f"{where}: lib/{floor} is below lib/{first}"
                if bracket == '"' and first in ("daemon", "client", "shim", "tests"):
                    yield f"{where}: lib/ is below {first}/"
            elif not (floor == "base" and path.name.startswith("memory")):
                call = IO_CALLS.search(line)
                if call and "->" not in line[: call.start() + 1][-2:] and "." not in line[: call.start()][-1:]:
                    yield f"{where}: lib/ does no I/O: {call.group(1)}()"
    for path in sorted(top.glob("daemon/*/*.[ch]")):
        own = path.parent.name
        for n, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if not found or not found.group(2).startswith("daemon/"):
                continue
            other = found.group(2).split("/")[1]
            where = f"{path.relative_to(top)}:{n}"
            if other in ADAPTERS and other != own:
                yield f"{where}: the adapter {own} includes the adapter {other}"
            if own == "loop" and other != "loop":
                yield f"{where}: daemon/loop is below {other}"
    for path in sorted(top.glob("shim/*.[ch]")):
        for n, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if found and (FOREIGN.fullmatch(found.group(2)) or "cjson" in found.group(2)):
                yield f"{path.relative_to(top)}:{n}: the shim links no library"


def main():
    found = list(complaints(pathlib.Path(sys.argv[1])))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
