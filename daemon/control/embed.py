"""Writes the interface files as a C source of byte arrays: embed.py FILE..."""
import os
import sys

print('/* Made by embed.py. */')
print('#include "daemon/control/interfaces.h"')
for path in sys.argv[1:]:
    with open(path, "rb") as f:
        data = f.read()
    name = os.path.basename(path).removesuffix(".varlink").replace(".", "_").lower()
    print(f"const char interface_{name}[] = {{")
    for i in range(0, len(data), 16):
        print("\t" + ", ".join(str(b) for b in data[i : i + 16]) + ",")
    print("\t0,\n};")
