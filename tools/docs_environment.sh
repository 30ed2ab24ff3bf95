#!/usr/bin/env bash
# Makes or refreshes the environment that `make docs` builds the documentation in: 100 MB, without torch.
#
#     tools/docs_environment.sh VENV
#
# PYTHON names the interpreter, 3.11 or later; without it, the first of python3.11, python3.12, python3 is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1

fail() { printf 'fairgen: %s\n' "$*" >&2; exit 1; }

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=
    for candidate in ${PYTHON:-python3.11 python3.12 python3}; do
        if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || fail "needs Python 3.11 or later with its venv module: install python3-venv, or name one, as in:" \
        "make docs PYTHON=/path/to/python3.12"
    "$python" -m venv "$venv"
fi
echo "fairgen: installing requirements-docs.txt into $venv"
"$venv/bin/python" -m pip --disable-pip-version-check -qq install -r requirements-docs.txt ||
    fail "the packages in requirements-docs.txt could not be installed: the lines above say why."
