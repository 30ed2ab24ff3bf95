#!/usr/bin/env bash
# Makes or refreshes the virtual environment that the Makefile's targets run in.
#
#     tools/environment.sh VENV LOCK     LOCK: requirements.txt, or requirements-dev.txt for the tests
#
# PYTHON names the interpreter; without it, the first of python3.11, python3.12, python3, python that fits is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 lock=$2

fail() { printf 'fairgen: %s\n' "$*" >&2; exit 1; }
fits() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; }
pip() { "$venv/bin/python" -m pip --disable-pip-version-check -qq "$@"; }

if [ -e "$venv" ] && ! fits "$venv/bin/python"; then
    fail "$venv holds no working Python 3.11 or 3.12: remove that folder (make distclean), then run make again."
fi
if ! pip --version >/dev/null 2>&1; then # no environment yet, or one whose making was interrupted
    candidates=${PYTHON:-python3.11 python3.12 python3 python}
    python=
    for candidate in $candidates; do
        if fits "$candidate"; then python=$candidate; break; fi
    done
    [ -n "$python" ] || fail "needs Python 3.11 or 3.12 and found neither as ${candidates// /, }:" \
        "install one, or name one, as in: make PYTHON=/path/to/python3.12"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        fail "this Python cannot make virtual environments: run apt-get install $package, then make again."
    fi
    echo "fairgen: making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
fi

echo "fairgen: installing $lock into $venv (2.6 GB on disk with torch; some minutes the first time)"
pip install -r "$lock" || fail "the packages in $lock could not be installed: the lines above say why."

# MediaPipe asks for the full OpenCV, whose window functions need libGL and libglib from the system. fairgen opens no
# window: where they are missing, the headless build of the same version takes its place.
if ! "$venv/bin/python" -c 'import cv2' 2>/dev/null; then
    opencv=$(sed -n 's/^opencv-contrib-python==//p' requirements.txt)
    echo "fairgen: no libGL or libglib here: taking the headless build of OpenCV $opencv"
    pip uninstall -y opencv-contrib-python opencv-contrib-python-headless
    pip install --no-deps "opencv-contrib-python-headless==$opencv"
    "$venv/bin/python" -c 'import cv2' ||
        fail "OpenCV does not load: run apt-get install libgl1 libglib2.0-0, then make distclean and make again."
fi

pip install --no-deps -e . || fail "the checkout could not be installed: the lines above say why."
