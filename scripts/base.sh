#!/usr/bin/env bash
# The base of all our images: pulled if a registry can be reached, else made here from the host's
# own Debian mirror. A base made here carries a label: `make clean` removes it, but never a base
# that was pulled.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/host-packages.sh

BASE=debian:forky-slim
PULL_LIMIT_S=15
LOG="$PWD/.logs/base.log"
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

# Makes the tree of a minimal system in DIR. debootstrap may not know the suite's name yet; its
# `sid` script fits all of testing. Signatures are checked against the host's Debian keys.
make_tree() {
  local dir="$1" mirror="$2" include=()
  case "$mirror" in https:*) include=(--include=ca-certificates) ;; esac
  as_root debootstrap --variant=minbase --keyring="$KEYS" "${include[@]}" forky "$dir" "$mirror" /usr/share/debootstrap/scripts/sid
}

# Removes what a container never needs, now and from packages installed later. dpkg need not sync a
# layer to disk.
slim_tree() {
  local dir="$1"
  as_root tee "$dir/etc/dpkg/dpkg.cfg.d/container" >/dev/null <<'DPKG'
force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
DPKG
  as_root tee "$dir/etc/apt/apt.conf.d/container" >/dev/null <<'APT'
Acquire::Languages "none";
Binary::apt-get::APT::Keep-Downloaded-Packages "false";
APT
  as_root find "$dir/usr/share/doc" -type f ! -name copyright -delete
  as_root sh -c 'cd "$1" && rm -rf usr/share/man/* usr/share/info/* usr/share/locale/* var/cache/apt/* var/lib/apt/lists/* var/log/*' - "$dir"
}

import_tree() {
  as_root tar --create --directory "$1" --exclude './dev/*' --exclude './proc/*' --exclude './sys/*' . |
    docker import --change 'CMD ["bash"]' --change 'LABEL pipecat-bridge.base="made here"' - "$BASE"
}

make_base() {
  local mirror dir
  mirror="$(debian_mirror)"
  dir="$(mktemp -d)"
  # shellcheck disable=SC2064 # the directory of now
  trap "as_root rm -rf '$dir'" EXIT
  command -v debootstrap >/dev/null || { apt_update && apt install -y --no-install-recommends debootstrap; }
  make_tree "$dir/base" "$mirror"
  slim_tree "$dir/base"
  import_tree "$dir/base"
}

main() {
  docker image inspect "$BASE" >/dev/null 2>&1 && return
  step "fetching the base image $BASE …"
  timeout "$PULL_LIMIT_S" docker pull "$BASE" >/dev/null 2>&1 && return
  [ -n "$(debian_mirror)" ] && [ -r "$KEYS" ] ||
    fail "no registry in reach, and this host has no Debian mirror to make the base image from" \
      "docker pull $BASE on a host with a registry, docker save it, docker load it here"
  step "no registry in reach: making the base image from this host's Debian mirror …"
  quietly "$LOG" make_base
}

main
