#!/usr/bin/env bash
# Runs a command as root: through sudo where needed, and without root, saying so, where there is no way to it.
set -euo pipefail

if [[ $EUID -eq 0 ]]; then
    exec "$@"
elif sudo -n true 2>/dev/null || [[ -t 0 && -t 2 ]] && command -v sudo >/dev/null; then
    echo "using sudo: only root may load kernel programs and see every process's sockets" >&2
    status=0
    sudo -E env "PATH=$PATH" PYTHONDONTWRITEBYTECODE=1 "$@" || status=$?
    [[ ! -d build ]] || sudo chown -R "$(id -u):$(id -g)" build
    exit "$status"
else
    echo "running without root: there is no sudo to be used here" >&2
    exec "$@"
fi
