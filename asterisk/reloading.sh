# Applies provider files, their secrets and the operator's dialplan to the running Asterisk. No call
# notices it: a call of a provider that changed or went goes on with what it began with. Sourced by
# entrypoint, which sets value, providers, config and state.
# shellcheck shell=bash disable=SC2154

# restart_lines: what no reload can change, a line each: KEY=value.
restart_lines() {
  local name
  # The limit that a provider's NAT=yes sets for all. Who reads this knows it as NAT.
  setting_lines | sed 's/^RTP_PROBATION=/NAT=/'
  # A contact port is a transport of its own, which calls may be using.
  for name in "${!contact_ports[@]}"; do echo "$name.env:CONTACT_PORT=${contact_ports[$name]}"; done | LC_ALL=C sort
}

# keep_what_runs: what a later reload is compared with.
keep_what_runs() {
  providers_generation >"$config/generation"
  configuration_digest >"$config/digest"
  restart_lines >"$config/restart"
  sha256sum <"$config/restart" | cut -c -32 >"$config/restart-digest"
  dialplan_text >"$config/dialplan"
  [[ -e $config/environment ]] || export -p | sed 's/^declare -x /export /' >"$config/environment"
}

# providers_generation: a digest of the providers' files, as the bridge makes it of those that it
# has read.
providers_generation() {
  local file
  while read -r file; do
    echo "${file##*/}"
    cat "$file"
  done < <(provider_files) | sha256sum | cut -d' ' -f1
}

# begin_reload: one reload at a time, and on a copy, so that nothing changes on the way.
begin_reload() {
  umask 077
  exec {reload_lock}>"$state/reload.lock"
  flock "$reload_lock"
  rm -rf "$state/next"
  mkdir -p "$state/next/files" "$state/next/etc/providers"
  find "$providers" -maxdepth 1 \( -name '*.env' -o -name '*.conf' \) -exec cp -L {} "$state/next/files" \;
  providers=$state/next/files
}

# refuse TEXT…
refuse() { printf '  - %s\n' "$@" >&2 && exit 78; }

# apply_reload [GENERATION]: of files that have been found right. With a generation only if the
# files are of that one.
apply_reload() {
  local changed what
  [[ -z $1 || $1 == "$(providers_generation)" ]] || refuse 'files of providers have changed meanwhile; reload again'
  if [[ $(configuration_digest) == "$(<"$config/digest")" ]]; then
    providers_generation >"$config/generation"
    echo 'nothing has changed'
    return
  fi
  changed=$(comm -3 <(restart_lines | LC_ALL=C sort) <(LC_ALL=C sort "$config/restart") | tr -d '\t' | cut -d= -f1 | sort -u | xargs)
  [[ -z $changed ]] || refuse "needs a restart of Asterisk (make up): $changed"
  render_next
  what=$(changes)
  cp -a "$config/providers" "$state/next/before"
  put_sections "$state/next/etc/providers"
  load_sections
  if ! are_known; then
    put_sections "$state/next/before"
    load_sections
    refuse 'Asterisk did not take the new sections; its log says why'
  fi
  mv "$state/next/etc/names" "$config/names"
  [[ $(dialplan_text) == "$(<"$config/dialplan")" ]] || cli 'dialplan reload'
  keep_what_runs
  echo "applied: $what"
}

# changes: what differs between what runs and the next sections, on one line.
changes() {
  local file name new=$state/next/etc/providers
  {
    for file in "$new"/*.conf "$config"/providers/*.conf; do
      name=${file##*/}
      if [[ ! -e $config/providers/$name ]]; then echo "${name%.conf} new"
      elif [[ ! -e $new/$name ]]; then echo "${name%.conf} removed"
      elif ! cmp -s "$new/$name" "$config/providers/$name"; then echo "${name%.conf} changed"
      fi
    done | sort -u
    [[ $(dialplan_text) == "$(<"$config/dialplan")" ]] || echo dialplan
  } | awk '{ printf "%s%s", (NR > 1 ? ", " : ""), $0 }'
}

# render_next: the sections of all providers, beside those that run.
render_next() {
  local running=$config
  config=$state/next/etc
  : >"$config/names"
  render_providers
  config=$running
}

# put_sections DIRECTORY: its files become the providers' sections.
put_sections() {
  local file
  for file in "$config"/providers/*.conf; do
    [[ -e $1/${file##*/} ]] || rm "$file"
  done
  cp "$1"/*.conf "$config/providers/"
}

cli() { timeout 10 asterisk -rx "$1" >/dev/null; }

# load_sections: endpoints first, since lines and registrations name them.
load_sections() {
  local module
  for module in res_pjsip res_pjsip_endpoint_identifier_ip res_pjsip_outbound_registration; do
    cli "module reload $module.so"
  done
}

# are_known: whether Asterisk has the endpoints of the new files, and no others.
are_known() {
  local wanted known
  wanted=$(for file in "$config"/providers/*.conf; do basename "$file" .conf; done | LC_ALL=C sort)
  known=$(timeout 10 asterisk -rx 'pjsip show endpoints' | awk '$1 == "Endpoint:" && $2 !~ /^</ { split($2, id, "/"); print id[1] }' | LC_ALL=C sort)
  [[ $known == "$wanted" ]]
}
