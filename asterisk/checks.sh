# What values have to look like: one is_… a kind, and how a message names it. Sourced by entrypoint.
# shellcheck shell=bash

declare -rA expected=(
  [name]='a name of letters, digits, - and _ (at most 40)'
  [secret]='a secret of 8 to 128 printable characters without spaces'
  [password]='a password of 1 to 128 printable characters without spaces'
  [address]='an IPv4 address'
  [optional_address]='an IPv4 address, or empty'
  [port]='a port number, 1 to 65535'
  [networks]='a comma-separated list of IPv4 addresses or networks (a.b.c.d/8 to /32)'
  [host]='host or host:port'
  [hostname]='a host name or an IPv4 address'
  [user]='a SIP user name'
  [proxy]='sip:host or sip:host:port'
  [fallback]='context,extension, or empty'
  [verbosity]='a number, 0 to 9'
  [count]='a number, 0 to 99999'
  [turn_away]='503 or fallback'
  [auth]='ip or registration'
  [transport]='udp or tcp'
  [codecs]='a comma-separated list of ulaw, alaw, g722, opus'
  [dtmf]='rfc4733, info, inband or auto'
  [yesno]='yes or no'
  [nat]='yes, contact or no'
  [modules]='a comma-separated list of app_… and func_… modules, without those that run programs or read their argument twice'
)

is_name() { [[ $1 =~ ^[A-Za-z][A-Za-z0-9_-]{0,39}$ ]]; }
is_secret() { [[ $1 =~ ^[[:graph:]]{8,128}$ ]]; }
# A provider's password is the provider's choice, so a short one is taken.
is_password() { [[ $1 =~ ^[[:graph:]]{1,128}$ ]]; }
is_port() { [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] && (($1 <= 65535)); }
is_count() { [[ $1 =~ ^(0|[1-9][0-9]{0,4})$ ]]; }
is_turn_away() { [[ $1 == 503 || $1 == fallback ]]; }
is_verbosity() { [[ $1 =~ ^[0-9]$ ]]; }
is_hostname() { [[ $1 =~ ^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$ ]]; }
is_user() { [[ $1 =~ ^[A-Za-z0-9+._-]{1,64}$ ]]; }
is_auth() { [[ $1 == ip || $1 == registration ]]; }
is_transport() { [[ $1 == udp || $1 == tcp ]]; }
is_dtmf() { [[ $1 == rfc4733 || $1 == info || $1 == inband || $1 == auto ]]; }
is_yesno() { [[ $1 == yes || $1 == no ]]; }
is_modules() {
  [[ -z $1 || $1 =~ ^(app|func)_[a-z0-9_]+(,(app|func)_[a-z0-9_]+)*$ ]] || return
  [[ ! ,$1, =~ ,(app_(exec|system|externalivr|originate)|func_(shell|eval|env)), ]]
}
is_nat() { [[ $1 == yes || $1 == contact || $1 == no ]]; }
is_codecs() { [[ $1 =~ ^(ulaw|alaw|g722|opus)(,(ulaw|alaw|g722|opus))*$ ]]; }
is_fallback() { [[ -z $1 || $1 =~ ^[A-Za-z0-9_-]+,[A-Za-z0-9+*#_-]+$ ]]; }
is_proxy() { [[ $1 == sip:* ]] && is_host "${1#sip:}"; }

is_host() {
  is_hostname "${1%%:*}" || return
  [[ $1 != *:* ]] || is_port "${1#*:}"
}

is_address() {
  local IFS=. part parts
  [[ $1 =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ ]] || return
  read -ra parts <<<"$1"
  for part in "${parts[@]}"; do ((10#$part <= 255)) || return; done
}

is_optional_address() { [[ -z $1 ]] || is_address "$1"; }

is_networks() {
  local IFS=, item items
  # `read` would look at the first line only.
  [[ $1 =~ ^[0-9./,]+$ ]] || return
  read -ra items <<<"$1"
  ((${#items[@]} > 0)) || return
  for item in "${items[@]}"; do
    is_address "${item%%/*}" || return
    [[ $item != */* ]] || { [[ ${item#*/} =~ ^[0-9]{1,2}$ ]] && ((10#${item#*/} >= 8 && 10#${item#*/} <= 32)); } || return
  done
}

# read_secret WHERE FILE VARIABLE [KIND]: reads the file's first line into the variable. Error
# messages name WHERE. KIND is `secret` or `password`.
read_secret() {
  local secret='' kind=${4:-secret}
  if [[ ! -r $2 ]]; then problem "$1" "can't read the file '$2'"; return; fi
  read -r secret <"$2" || true
  "is_$kind" "$secret" || problem "$1" "the file '$2' does not hold ${expected[$kind]}"
  printf -v "$3" '%s' "$secret"
}

# check_free WHERE ADDRESS PORT: reports a problem if a process listens there already. Asterisk
# itself would only log it, and run without that transport.
check_free() {
  is_address "$2" && is_port "$3" || return 0
  local octets address port local_address status
  IFS=. read -ra octets <<<"$2"
  # The kernel's tables are in hexadecimal, addresses with the last octet first.
  printf -v address '%02X%02X%02X%02X' "${octets[3]}" "${octets[2]}" "${octets[1]}" "${octets[0]}"
  printf -v port '%04X' "$3"
  # State 0A is a listening TCP socket, 07 an unconnected UDP one.
  while read -r _ local_address _ status _; do
    [[ $status =~ ^(0A|07)$ && $local_address == *:"$port" ]] || continue
    if [[ $address == 00000000 || ${local_address%:*} == 00000000 || ${local_address%:*} == "$address" ]]; then
      problem "$1" "another program listens on $2:$3 already"
      return
    fi
  done < <(cat /proc/net/udp /proc/net/tcp)
}

# networks_overlap A B: whether two addresses or networks (a.b.c.d/n) have an address in common.
networks_overlap() {
  local a=${1%%/*} b=${2%%/*} bits=32 other=32
  [[ $1 == */* ]] && bits=$((10#${1#*/}))
  [[ $2 == */* ]] && other=$((10#${2#*/}))
  ((other < bits)) && bits=$other
  (($(address_number "$a") >> (32 - bits) == $(address_number "$b") >> (32 - bits)))
}

address_number() {
  local octets
  IFS=. read -ra octets <<<"$1"
  echo $(((10#${octets[0]} << 24) + (10#${octets[1]} << 16) + (10#${octets[2]} << 8) + 10#${octets[3]}))
}

# is_within ADDRESS NETWORKS: whether one of the comma-separated networks has the address.
is_within() {
  local item
  for item in ${2//,/ }; do networks_overlap "$1/32" "$item" && return; done
  return 1
}

readonly private_networks=10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,169.254.0.0/16

# own_addresses: the IPv4 addresses of this host without loopback, from the kernel's table of local
# addresses.
own_addresses() {
  awk '/\|--/ { address = $2 } /\/32 host LOCAL/ && address !~ /^127\./ { print address }' "${1:-/proc/net/fib_trie}" | sort -u
}

# check_own_address WHERE ADDRESS: reports a problem if this host does not have the address (yet):
# Asterisk would run without a transport. Docker repeats a failed start, so the start succeeds once
# the address is there.
check_own_address() {
  is_address "$2" && [[ $2 != 0.0.0.0 && $2 != 127.* ]] || return 0
  local address
  while read -r address; do
    [[ $address != "$2" ]] || return 0
  done < <(own_addresses)
  problem "$1" "'$2' is no address of this host"
}

# check_local_networks EXTERNAL_ADDRESS LOCAL_NETS SIP_ADDRESS: Asterisk announces the external
# address only if its own address is in LOCAL_NETS. Otherwise the SDP keeps the private address, and
# the caller hears nothing.
check_local_networks() {
  [[ $1 ]] && is_networks "$2" && is_address "$3" || return 0
  local address addresses=("$3")
  [[ $3 != 0.0.0.0 ]] || mapfile -t addresses < <(own_addresses)
  for address in "${addresses[@]}"; do
    if [[ $address != "$1" ]] && is_within "$address" "$private_networks" && ! is_within "$address" "$2"; then
      problem LOCAL_NETS "does not hold $address, an address of this host: callers beyond the NAT would be told it instead of EXTERNAL_ADDRESS"
    fi
  done
}
