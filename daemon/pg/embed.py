#!/usr/bin/env python3
"""embed.py OUTPUT.c MIGRATION.sql...: the texts as C strings."""
import json
import sys


def main():
    output, sources = sys.argv[1], sys.argv[2:]
    with open(output, "w", encoding="utf-8") as out:
        out.write('#include "daemon/pg/migrations.h"\n\nconst char *const pg_migrations[] = {\n')
        for source in sources:
            with open(source, encoding="utf-8") as sql:
                for line in sql:
                    out.write("\t" + json.dumps(line, ensure_ascii=False) + "\n")
            out.write("\t,\n")
        out.write(f"}};\nconst size_t pg_n_migrations = {len(sources)};\n")


main()
