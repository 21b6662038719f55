# shellcheck shell=bash
# Sourced: packages of the host, on Debian and its children.

# as_root COMMAND...: runs it as root, by sudo where need be.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# apt ARGUMENTS...: apt-get without questions; waits for its lock.
apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@"
}

# apt_update OPTION...: updates the package lists. A mirror with an expired Release file is used
# only if there is no better one.
apt_update() {
  apt "$@" update || { echo "trying again with Release files that have expired"; apt -o Acquire::Check-Valid-Until=false "$@" update; }
}

# debian_mirror: the host's own mirror of Debian, from its one-line or deb822 sources. Prints
# nothing if it has none.
debian_mirror() {
  grep -hoE '^(deb( \[[^]]*\])? +|URIs: *)https?://[^ ]+' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -oE 'https?://[^ ]+' | grep -E '/debian/?$' | head -n 1 || true
}
