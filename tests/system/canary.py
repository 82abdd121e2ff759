#!/usr/bin/python3
"""What a careless program does with its secrets: prints them in every form, writes them down, puts
them into names. The first argument says which carelessness; run by test_canary.py."""

import base64
import json
import os
import sys
import urllib.parse

NAMES = ("PLAIN", "TRICKY", "LINES", "KEY")


def forms(secret):
    """Every form that the design names, as bytes."""
    raw = secret.encode()
    yield raw
    yield raw.replace(b"\n", b"\r\n")
    for line in raw.split(b"\n"):
        yield b"> " + line + b" <"
    for shift in (b"", b"x", b"xx"):
        for tail in (b"", b"y", b"yy"):
            yield base64.b64encode(shift + raw + tail)
            yield base64.urlsafe_b64encode(shift + raw + tail).rstrip(b"=")
            for line in raw.split(b"\n"):
                yield base64.b64encode(shift + line + tail)
    yield base64.encodebytes(raw)
    for quote in (urllib.parse.quote, urllib.parse.quote_plus):
        for safe in ("", "/", "!~*'()"):
            yield quote(secret, safe=safe).encode()
            yield lower_hex(quote(secret, safe=safe)).encode()
    for ascii_only in (True, False):
        text = json.dumps({"msg": secret}, ensure_ascii=ascii_only)
        yield text.encode()
        yield text.replace("/", "\\/").encode()
        yield text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()
    if secret.startswith("{"):
        for value in json.loads(secret).values():
            yield value.encode()
            yield json.dumps(value).encode()
            yield base64.b64encode(b"Authorization: " + value.encode())


def lower_hex(text):
    parts = text.split("%")
    return parts[0] + "".join("%" + p[:2].lower() + p[2:] for p in parts[1:])


def secrets():
    return [os.environ[name] for name in NAMES]


def shout(fd, data, at_once=4096):
    for i in range(0, len(data), at_once):
        os.write(fd, data[i:i + at_once])


def say():
    for secret in secrets():
        for form in forms(secret):
            for fd in (1, 2):
                shout(fd, b"form: " + form + b" end\n")
    for secret in secrets():
        shout(1, b"slowly " + secret.encode() + b" " + base64.b64encode(secret.encode()) + b"\n", 1)


def keep():
    with open(os.environ["NIGHTJAR_OUTPUT"], "wb") as out:
        out.write(b"harmless=yes\n")
        for i, secret in enumerate(secrets()):
            for k, form in enumerate(forms(secret)):
                out.write(b"S%d_%d=%s\n" % (i, k, form.replace(b"\n", b"|")))
                out.write(b"R%d_%d=%s\n" % (i, k, form))
    with open("notes.bin", "wb") as notes:
        for secret in secrets():
            for form in forms(secret):
                notes.write(b"\0\xff" + form)
    os.mkdir("name " + os.environ["PLAIN"])
    open("name " + os.environ["PLAIN"] + "/file " + os.environ["PLAIN"], "w").close()
    os.chmod("notes.bin", 0)


def fail():
    print("connection to postgres://app:" + urllib.parse.quote(os.environ["TRICKY"]) +
          "@db refused for " + os.environ["PLAIN"], file=sys.stderr)
    sys.exit(3)


def key():
    """Where the file with the key is, what it is, and whether it is the secret."""
    path = os.environ["KEYFILE"]
    kind = os.statvfs(path)
    with open(os.environ["REPORT"] + ".new", "w") as out:
        json.dump({"path": path, "mode": os.stat(path).st_mode & 0o7777, "fs": kind.f_fsid,
                   "folder": os.stat(os.path.dirname(path)).st_mode & 0o7777,
                   "pid": os.getpid(), "shim": os.getppid(),
                   "same": open(path).read() == os.environ["KEY"]}, out)
    os.rename(os.environ["REPORT"] + ".new", os.environ["REPORT"])
    if "HOLD" in os.environ:
        with open(os.environ["HOLD"]) as hold:
            hold.read()


def dbt():
    """As dbt prints and writes, with a secret in every message."""
    invocation = "6f1c1a5e-0000-4000-8000-000000000001"
    text = " ".join(secrets())
    os.makedirs(os.environ["DBT_TARGET_PATH"], exist_ok=True)
    os.makedirs(os.environ["DBT_LOG_PATH"], exist_ok=True)
    now = "2026-11-21T06:00:00.000000Z"
    node = {"unique_id": "model.shop.orders", "resource_type": "model", "node_status": "error",
            "node_name": "orders", "node_path": "orders.sql", "materialized": "table",
            "node_started_at": now, "node_finished_at": now}
    info = {"invocation_id": invocation, "ts": now, "level": "error", "msg": text}
    lines = [{"info": info | {"name": "LogModelResult", "code": "Q012"},
              "data": {"node_info": node, "index": 1, "total": 1, "status": "error",
                       "description": text}},
             {"info": info | {"name": "RunResultError", "code": "Z024"},
              "data": {"msg": text, "node_info": node}}]
    for line in lines:
        print(json.dumps(line), flush=True)
    with open(os.environ["DBT_LOG_PATH"] + "/dbt.log", "w") as log:
        log.write(text + "\n" + json.dumps(lines))
    with open(os.environ["DBT_TARGET_PATH"] + "/run_results.json", "w") as results:
        json.dump({"metadata": {"invocation_id": invocation, "generated_at": now,
                                "env": {"DBT_ENV": text}},
                   "results": [{"unique_id": "model.shop.orders", "status": "error",
                                "message": "Database Error " + text, "timing": [],
                                "execution_time": 0.1, "adapter_response": {"_message": text},
                                "failures": None, "relation_name": '"db"."s"."orders"'}],
                   "elapsed_time": 1, "args": {"vars": text}}, results)
    sys.exit(1)


if __name__ == "__main__":
    # as dbt it is called with dbt's arguments
    globals().get(sys.argv[1] if sys.argv[1] in ("say", "keep", "fail", "key") else "dbt")()
