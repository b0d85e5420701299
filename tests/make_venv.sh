#!/bin/sh
# Makes the virtual environment $1; Debian and Ubuntu keep what that needs in a package of its own.
set -eu
python=${PYTHON:-python3}

"$python" -m venv "$1" >/dev/null 2>&1 && exit 0
rm -rf "$1"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing python3-venv"
    apt-get update -q >/dev/null 2>&1 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >/dev/null 2>&1 || true
fi
"$python" -m venv "$1" || {
    rm -rf "$1"
    echo "A virtual environment cannot be made: sudo apt-get install python3-venv"
    exit 1
}
