#!/usr/bin/env bash
# Prints a Python to build with: $PYTHON if set, else the newest of those known to work. It must have venv and headers.
#   --lacks   prints instead, for Debian's package names, whose venv and headers are missing: python3.12, or nothing
set -euo pipefail

# exit status 3: too old; else prints its path, and whether it is complete
probe='
import os, sys, sysconfig
if sys.version_info < (3, 11):
    sys.exit(3)
try:
    import ensurepip, venv
    complete = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
except ImportError:
    complete = False
print("complete" if complete else "incomplete", "python%d.%d" % sys.version_info[:2], sys.executable)
'

incomplete=
for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    read -r state name path < <("$candidate" -c "$probe" 2>/dev/null) || continue
    if [[ $state == complete ]]; then
        [[ ${1-} == --lacks ]] || echo "$path"
        exit 0
    fi
    incomplete=${incomplete:-$name}
done

if [[ ${1-} == --lacks ]]; then
    echo "${incomplete:-python3}"
    exit 0
elif [[ $incomplete ]]; then
    echo "$incomplete lacks its venv module or its C headers: install $incomplete-venv and $incomplete-dev" >&2
elif [[ ${PYTHON-} ]]; then
    echo "PYTHON=$PYTHON is no Python 3.11 or newer" >&2
else
    echo "no Python 3.11 or newer was found: install one, or name it with PYTHON=/path/to/python" >&2
fi
exit 1
