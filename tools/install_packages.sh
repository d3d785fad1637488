#!/usr/bin/env bash
# Installs what is missing of the given groups of tools/packages.txt, or says the one line to run. Asks apt nothing when
# all is there. Services that come with a package are neither started nor switched on.
set -euo pipefail
cd "$(dirname "$0")"

readonly POLICY=/usr/sbin/policy-rc.d SAVED=/usr/sbin/policy-rc.d.before-whyreset
readonly OPTIONS=(-y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold)

if ! command -v dpkg-query >/dev/null; then
    echo "no dpkg here: what tools/packages.txt lists must be installed by hand" >&2
    exit 0
fi

declare -A installed=()
while read -r state package; do
    [[ $state != installed ]] || installed[$package]=1
done < <(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n')

missing=() services=() python=
while read -r group alternatives service; do
    [[ " $* " == *" $group "* ]] || continue
    if [[ $alternatives == python3-* ]]; then
        # an environment that stands was made by a Python with both
        [[ ! -x ../.venv/bin/python || ${PYTHON-} ]] || continue
        python=${python:-$(./find_python.sh --lacks </dev/null)}
        [[ $python ]] || continue
        alternatives=$python-${alternatives#python3-}
    fi
    for package in ${alternatives//|/ }; do
        [[ ! ${installed[$package]-} ]] || continue 2
    done
    missing+=("$alternatives")
    services+=("${service:--}")
done < <(grep -v '^#' packages.txt)
[[ ${#missing[@]} -gt 0 ]] || exit 0

# the first of the alternatives that apt knows
choose() {
    local package
    for package in ${1//|/ }; do
        if [[ $(apt-cache policy "$package" 2>/dev/null) == *Candidate:\ [0-9]* ]]; then
            echo "$package"
            return
        fi
    done
    return 1
}

choose_all() {
    local alternatives
    packages=()
    for alternatives in "${missing[@]}"; do
        packages+=("$(choose "$alternatives")") || return 1
    done
}

if [[ $EUID -eq 0 ]]; then
    as_root=(env)
elif sudo -n true 2>/dev/null; then
    as_root=(sudo env)
else
    choose_all || packages=("${missing[@]%%|*}")
    echo "system packages are missing; run: sudo apt-get install --no-install-recommends ${packages[*]}" >&2
    exit 1
fi

log=$(mktemp)
run_apt() {
    # standard input is closed to questions, also debconf's and needrestart's
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get "$@" </dev/null >>"$log" 2>&1
}

restore() {
    rm -f "$log"
    "${as_root[@]}" rm -f "$POLICY"
    [[ ! -e $SAVED ]] || "${as_root[@]}" mv "$SAVED" "$POLICY"
}
trap restore EXIT
# a file saved by a run that was killed is the original
[[ ! -e $POLICY || -e $SAVED ]] || "${as_root[@]}" mv "$POLICY" "$SAVED"
printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$POLICY" >/dev/null
"${as_root[@]}" chmod 755 "$POLICY"

updated=
if ! choose_all; then
    echo "reading the lists of packages" >&2
    run_apt update || { cat "$log" >&2; exit 1; }
    updated=1
    choose_all || { echo "apt has no candidate for one of: ${missing[*]}" >&2; exit 1; }
fi
echo "installing ${packages[*]}" >&2
if ! run_apt install "${OPTIONS[@]}" "${packages[@]}"; then
    # lists that are too old name files that are gone
    if [[ $updated ]] || ! run_apt update || ! run_apt install "${OPTIONS[@]}" "${packages[@]}"; then
        cat "$log" >&2
        echo "apt could not install: ${packages[*]}" >&2
        exit 1
    fi
fi

for service in "${services[@]}"; do
    [[ $service != - ]] || continue
    if command -v systemctl >/dev/null; then
        "${as_root[@]}" systemctl --quiet disable "$service" >/dev/null 2>&1 || true
    fi
    "${as_root[@]}" update-rc.d "$service" disable >/dev/null 2>&1 || true
done
