# shellcheck shell=bash
# Installing Debian packages for ./start and ./check: sourced, not run.

# What a build needs; libcmocka-dev because a build folder is set up with its
# tests, so that one folder serves both.
# shellcheck disable=SC2034  # used by the scripts that source this
build_packages=(gcc libc6-dev meson ninja-build pkg-config
    libmicrohttpd-dev libcurl4-openssl-dev libsystemd-dev libfyaml-dev
    libjansson-dev libsqlite3-dev libpcre2-dev libsodium-dev libcmocka-dev)

# What the tests need besides.
# shellcheck disable=SC2034
check_packages=(clang clang-format clang-tidy libclang-rt-dev llvm shellcheck
    ccache git jq curl bc sqlite3 procps tzdata zsh fish python3-pytest
    python3-yaml python3-jsonschema prometheus prometheus-alertmanager strace)

# What packaging/build-deb needs besides, and the tests of the package.
# shellcheck disable=SC2034
package_packages=(scdoc dpkg-dev git lintian debootstrap systemd-container)

# What bench/run needs besides; it says so when one is missing.
# shellcheck disable=SC2034
bench_packages=(wrk python3)

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Those of the given packages that are not installed, one a line.
packages_missing() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" \
            2>/dev/null || true)" = installed ] || echo "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "installing packages needs root: run this as root, or install sudo"
    fi
}

# apt-get without questions; its talk goes to the log, its trouble to stderr.
apt_quietly() {
    local log=$1
    shift
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 -y "$@" </dev/null >>"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "apt-get $1 failed; the whole of it is in $log"
    }
}

# Keeps apt from starting the services of the packages it installs: they would
# hold ports. A policy that is there already is left alone.
policy=/usr/sbin/policy-rc.d
policy_ours=false
forbid_services() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    policy_ours=true
}
allow_services() {
    if $policy_ours; then
        as_root rm -f "$policy"
        policy_ours=false
    fi
}

# install_packages LOG PACKAGE...: installs those that are missing.
install_packages() {
    local log=$1 missing
    shift
    mapfile -t missing < <(packages_missing "$@")
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    command -v apt-get >/dev/null ||
        die "no apt-get here; please install: ${missing[*]}"
    echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    : >"$log"
    echo "  apt-get update ..."
    apt_quietly "$log" update
    echo "  apt-get install ... (a few minutes on a new machine)"
    trap allow_services EXIT
    forbid_services
    apt_quietly "$log" install --no-install-recommends "${missing[@]}"
    # Enabled by their packages for the next boot, which nobody asked for.
    local service
    for service in prometheus prometheus-alertmanager; do
        if [[ " ${missing[*]} " == *" $service "* ]] &&
            [ -d /run/systemd/system ]; then
            as_root systemctl disable --now -q "$service" >>"$log" 2>&1 || true
        fi
    done
    allow_services
    trap - EXIT
    echo "  done"
}

# Was the build folder set up for a source tree in another place? Meson cannot
# go on with one that was moved or copied.
moved_build() {
    local info=$1/meson-info/meson-info.json
    [ -f "$info" ] && ! grep -qF "\"source\": \"$PWD\"" "$info"
}

# set_up_build DIR LOG [MESON OPTION...]: a build folder, set up or brought up
# to date.
set_up_build() {
    local dir=$1 log=$2
    shift 2
    local how=()
    if moved_build "$dir"; then
        echo "$dir was set up for another place: it is made anew."
        rm -rf "$dir"
    elif [ -f "$dir/build.ninja" ]; then
        how=(--reconfigure)
    fi
    mkdir -p "$(dirname "$log")"
    meson setup "${how[@]}" "$@" "$dir" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "meson setup $dir failed; the whole of it is in $log"
    }
}

# What ninja says, from stdin: its count on one line of a terminal, else now
# and then; everything else as it is.
build_progress() {
    local line
    while IFS= read -r line; do
        if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
            if [ -t 1 ]; then
                printf '\r  %s of %s' "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
            elif ((BASH_REMATCH[1] % 50 == 0)); then
                echo "  ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
            fi
        elif [[ $line != "INFO: "* && $line != "ninja: Entering"* &&
            $line != "ninja: no work"* ]]; then
            printf '%s\n' "$line"
        fi
    done
    [ ! -t 1 ] || printf '\n'
}
