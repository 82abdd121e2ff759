#!/usr/bin/env python3
"""Tells terraform of the stand-in provider:

    provider_install.py FOLDER PYTHON

writes into FOLDER a mirror that holds the provider, run by that Python (one with the packages of
tests/standin/requirements.txt), and a configuration of the command line, and prints the latter's
path, for TF_CLI_CONFIG_FILE. `terraform init` then finds flovouin/metabase there, and nothing else."""

import os
import platform
import sys
from pathlib import Path

VERSION = "0.15.0"


def install(folder, python):
    folder = Path(folder).resolve()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    home = folder / "home"  # the framework keeps its certificate in one
    home.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).resolve().parent / "terraform-provider-metabase"
    for registry in ("registry.terraform.io", "registry.opentofu.org"):
        place = folder / f"mirror/{registry}/flovouin/metabase/{VERSION}/linux_{machine}"
        place.mkdir(parents=True, exist_ok=True)
        new = folder / "provider.new"
        new.write_text(f"#!/bin/sh\nHOME='{home}' exec '{python}' -B '{script}' \"$@\"\n")
        os.chmod(new, 0o755)
        new.replace(place / f"terraform-provider-metabase_v{VERSION}")
    file = folder / "terraform.rc"
    file.write_text("disable_checkpoint = true\nprovider_installation {\n"
                    f'  filesystem_mirror {{\n    path = "{folder}/mirror"\n  }}\n}}\n')
    return file


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(install(*sys.argv[1:]))
