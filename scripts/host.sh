#!/usr/bin/env bash
# Installs on a host what the lab needs and does not find: a Docker engine that answers, with
# compose v2 and buildx. If all three are there it changes nothing. Supports Debian and Ubuntu; on
# other systems it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/host-packages.sh

LOGS="$PWD/.logs"
DOCKERD_LOG=/var/log/dockerd.log
DOCKERD_WAIT_S=60

engine_answers() { timeout 10 docker info >/dev/null 2>&1; }
engine_installed() { command -v dockerd >/dev/null; }
plugin_works() { docker "$1" version >/dev/null 2>&1; }

# What is missing, as Debian package names. compose and buildx have different names on Debian and
# Ubuntu.
missing_packages() {
  command -v make >/dev/null || echo make
  engine_installed || engine_answers || echo docker.io
  plugin_works compose || { is_ubuntu && echo docker-compose-v2 || echo docker-compose; }
  plugin_works buildx || echo docker-buildx
}
is_ubuntu() { grep -q '^ID=ubuntu' /etc/os-release; }

may_be_root() {
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }
}

# Says what to install and stops, unless this script may and can install it.
require_rights() {
  local packages="$1"
  command -v apt-get >/dev/null ||
    fail "this host lacks: $packages" "install Docker Engine 20.10 or later with compose v2 and buildx, start it, then: make up"
  may_be_root ||
    fail "this host lacks packages, and you are neither root nor allowed to use sudo" \
      "as root: apt-get update && apt-get install -y $packages" \
      "(on Debian 12 docker-compose v2 and docker-buildx come from Debian 13: run 'make up' once as root)" \
      "as root: usermod -aG docker $(id -un), log in again, then: make up"
}

# The distribution's packages of the plugins. compose only if it is version 2: Debian 12 has version
# 1 under that name.
plugin_from_distribution() {
  local version
  version="$(apt-cache policy "$1" | sed -n 's/ *Candidate: //p')"
  case "$1 $version" in
    *' ' | *'(none)' | 'docker-compose 1.'*) return 1 ;;
  esac
}

# Debian 13's compose and buildx on Debian 12: they need only libc. Fetched and verified by apt with
# lists of its own in a temporary directory, so that no source of another release stays on the host.
install_from_trixie() {
  local mirror dir options
  mirror="$(debian_mirror)"
  [ -n "$mirror" ] || fail "no Debian mirror found in /etc/apt" "install docker compose v2 and buildx by hand, then: make up"
  dir="$(mktemp -d)"
  # shellcheck disable=SC2064 # the directory of now
  trap "rm -rf '$dir'" EXIT
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$dir/sources.list"
  options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache" -o APT::Sandbox::User=root)
  (cd "$dir" && { apt-get "${options[@]}" update || apt-get -o Acquire::Check-Valid-Until=false "${options[@]}" update; } && apt-get "${options[@]}" download "$@")
  as_root dpkg --install "$dir"/*.deb
}

install_packages() {
  local package here=() trixie=()
  # A third party's source that is out of reach must not stand in the way of Debian's.
  apt_update || true
  for package in "$@"; do
    if [ "$package" = docker.io ] || plugin_from_distribution "$package"; then here+=("$package"); else trixie+=("$package"); fi
  done
  if [ ${#here[@]} -gt 0 ]; then apt install -y --no-install-recommends "${here[@]}"; fi
  if [ ${#trixie[@]} -gt 0 ]; then install_from_trixie "${trixie[@]}"; fi
}

# Starts the daemon: by systemd where it runs the host, else by hand, detached from this terminal.
start_engine() {
  if [ -d /run/systemd/system ]; then
    as_root systemctl enable --now docker
  else
    # A daemon that was killed leaves its pid files. A new one takes any process with that number
    # for the old daemon.
    pgrep -x dockerd >/dev/null || as_root rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
    as_root sh -c "setsid nohup dockerd >>$DOCKERD_LOG 2>&1 </dev/null &"
  fi
  local deadline=$(($(date +%s) + DOCKERD_WAIT_S))
  until as_root docker info >/dev/null 2>&1; do
    [ "$(date +%s)" -lt "$deadline" ] ||
      fail "the Docker engine does not answer after $DOCKERD_WAIT_S s" "its log: $DOCKERD_LOG, or: journalctl -u docker"
    sleep 0.5
  done
}

main() {
  local packages
  packages="$(missing_packages | xargs)"
  if [ -n "$packages" ]; then
    require_rights "$packages"
    step "installing $packages …"
    # shellcheck disable=SC2086 # a list of package names
    quietly "$LOGS/host.log" install_packages $packages
  fi
  engine_answers && return
  may_be_root || fail "no Docker engine answers $(id -un)" \
    "as root: systemctl start docker; usermod -aG docker $(id -un); log in again, then: make up"
  if ! as_root docker info >/dev/null 2>&1; then
    step "starting the Docker engine …"
    start_engine
  fi
  engine_answers || fail "the Docker engine runs, but $(id -un) may not use it" \
    "sudo usermod -aG docker $(id -un), log in again, then: make up"
}

main
