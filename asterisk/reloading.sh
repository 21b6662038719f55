# Applies provider files, their secrets and the operator's dialplan to the running Asterisk. No call
# notices it: a call of a provider that changed or went goes on with what it began with. Sourced by
# entrypoint, which sets value, providers, config and state.
# shellcheck shell=bash disable=SC2154

lock_s=10           # longest wait for another reload, and for `watch`
load_tries=10       # while Asterisk reloads something else; one each second
reason=''           # why Asterisk has not taken what it was given

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
  flock -w "$lock_s" "$reload_lock" || give_up 'another reload has not ended; reload again'
  rm -rf "$state/next"
  mkdir -p "$state/next/files" "$state/next/etc/providers"
  copy_files "$state/next/files"
  operators=$providers
  providers=$state/next/files
}

# copy_files DIRECTORY: the operator's files into it. Whatever else has such a name, as a pipe that
# nobody writes to, is no file. After -L only a link that leads nowhere is one of type l.
copy_files() {
  local said
  said=$(find -L "$providers" -maxdepth 1 \( -name '*.env' -o -name '*.conf' \) -type f,l -exec cp -L -t "$1" {} + 2>&1) ||
    refuse "a file cannot be read: $said"
}

# refuse TEXT…: the files have a fault, or need a restart. Exit status 78.
refuse() { printf '  - %s\n' "$@" >&2 && exit 78; }

# give_up TEXT…: the same files may be applied another time. Exit status 75 (EX_TEMPFAIL).
give_up() { printf '  - %s\n' "$@" >&2 && exit 75; }

# apply_reload [GENERATION]: of files that have been found right. With a generation only if the
# files are of that one, and the bridge still waits for them.
apply_reload() {
  local changed what
  [[ -z $1 || $1 == "$(providers_generation)" ]] || give_up 'files of providers have changed meanwhile; reload again'
  if [[ $(configuration_digest) == "$(<"$config/digest")" ]]; then
    providers_generation >"$config/generation"
    echo 'nothing has changed'
    return
  fi
  changed=$(comm -3 <(restart_lines | LC_ALL=C sort) <(LC_ALL=C sort "$config/restart") | tr -d '\t' | cut -d= -f1 | sort -u | xargs)
  [[ -z $changed ]] || refuse "needs a restart of Asterisk (make up): $changed"
  render_next
  what=$(changes)
  is_asked "$1" || give_up 'the bridge does not wait for it any more'
  load_next
  keep_what_runs
  echo "applied: ${what:-what ran before}"
}

# is_asked GENERATION: whether the bridge still waits. Without a generation a person does.
is_asked() { [[ -z $1 ]] || "${BASH_SOURCE[0]%/*}/reloads" --asked "$1"; }

# load_next: the next sections and the dialplan, into Asterisk. Where it does not take all of it,
# or this script ends half-way, the sections that ran come back. Until all is loaded, no digest is
# that of any files: the next reload loads all, whatever the files say then.
load_next() {
  generation_before=$(<"$config/generation")
  cp -a "$config/providers" "$state/next/before"
  echo changing >"$config/digest"
  echo changing >"$config/generation"
  trap take_back EXIT
  put_sections "$state/next/etc/providers"
  load_sections || give_up "$reason"
  are_known || give_up 'Asterisk did not take the new sections; its log says why'
  load_dialplan || give_up "$reason"
  mv "$state/next/etc/names" "$config/names"
  trap - EXIT
}

# take_back: loads the sections again that ran, and ends with the status that the script had.
take_back() {
  local status=$?
  trap - EXIT
  if put_sections "$state/next/before" && load_sections && are_known; then
    echo "$generation_before" >"$config/generation"
  else
    printf '  - %s\n' "nor what ran before (${reason:-its log says why}); the next reload loads all" >&2
  fi
  exit "$status"
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

cli() { timeout 10 asterisk -rx "$1"; }

# load_module MODULE: has it read its files again; fails, with a reason, where it has not. The exit
# status of `asterisk -rx` is 0 whatever became of it: only the words tell.
load_module() {
  local said='' try
  for ((try = 0; try < load_tries; try++)); do
    said=$(cli "module reload $1.so") || said='it does not answer'
    case $said in
      *'reloaded successfully'*) return 0 ;;
      *'already in progress'*) sleep 1 ;;
      *) break ;;
    esac
  done
  reason="Asterisk did not reload $1: ${said//$'\n'/ }"
  return 1
}

# load_sections: endpoints first, since lines and registrations name them.
load_sections() {
  local module
  for module in res_pjsip res_pjsip_endpoint_identifier_ip res_pjsip_outbound_registration; do
    load_module "$module" || return
  done
}

# load_dialplan: where the operator's has changed. `dialplan reload` does the same as this module's
# reload, and says that it is done where it is not.
load_dialplan() {
  [[ $(dialplan_text) != "$(<"$config/dialplan")" ]] || return 0
  echo changing >"$config/dialplan"
  load_module pbx_config || return
  # Asterisk reads the operator's files, not the copies.
  [[ $(dialplan_text) == "$(providers=$operators && dialplan_text)" ]] || {
    reason='the dialplan has changed meanwhile; reload again'
    return 1
  }
}

# are_known: whether Asterisk has the endpoints of the new files, and no others.
are_known() {
  local wanted known
  wanted=$(for file in "$config"/providers/*.conf; do basename "$file" .conf; done | LC_ALL=C sort)
  known=$(cli 'pjsip show endpoints' | awk '$1 == "Endpoint:" && $2 !~ /^</ { split($2, id, "/"); print id[1] }' | LC_ALL=C sort)
  [[ $known == "$wanted" ]]
}
