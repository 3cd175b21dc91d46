#!/bin/sh
# Installs the hostroom agent from its hub, as a service where systemd runs, otherwise in the foreground.
#   curl -fsSL https://hub.example.net/agent.sh | ENROLMENT_TOKEN=... sh
# It asks for root by sudo where it needs it. Run it again without a token to update. Remove everything: ... | sh -s -- --uninstall
set -eu

HUB_URL=${HUB_URL:-http://localhost:8080}

ENROLMENT_TOKEN=${ENROLMENT_TOKEN:-}
INSECURE=${INSECURE:-}
# Tests install below another root and start nothing.
DESTDIR=${DESTDIR:-}
DRY_RUN=${DRY_RUN:-}

say() { printf '%s\n' "$*"; }
fail() {
  printf 'hostroom agent: %s\n' "$*" >&2
  exit 1
}
# A text as one word of a shell.
word() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
# A value for a systemd environment file.
quoted() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }

fetch() {
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --retry 3 "$1" -o "$2"
  elif command -v wget >/dev/null 2>&1; then
    wget -q "$1" -O "$2"
  else
    fail 'neither curl nor wget is here; install one of them.'
  fi
}

is_root() { [ "$(id -u)" = 0 ]; }
has_systemd() { [ -z "$DRY_RUN" ] && [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; }

if is_root; then
  home=/opt/hostroom-agent
  state=/var/lib/hostroom-agent
else
  home=${XDG_DATA_HOME:-$HOME/.local/share}/hostroom-agent
  state=$home/state
fi
settings=/etc/hostroom-agent.env
unit=/etc/systemd/system/hostroom-agent.service

# Only a service needs root, so nobody is asked where there is none to install or to remove.
wants_root() {
  is_root && return 1
  [ -n "$DRY_RUN" ] && return 1
  command -v sudo >/dev/null 2>&1 || return 1
  if [ "${1:-}" = --uninstall ]; then [ -f "$unit" ]; else has_systemd; fi
}

# Not through sudo's command line, which is logged: the token would be in it.
run_as_root() {
  again=$(mktemp -d)
  trap 'rm -rf "$again"' EXIT
  trap 'exit 1' HUP INT TERM
  fetch "$HUB_URL/agent.sh" "$again/agent.sh" || fail "the script could not be fetched again from $HUB_URL/agent.sh"
  {
    printf 'HUB_URL=%s ENROLMENT_TOKEN=%s INSECURE=%s\n' "$(word "$HUB_URL")" "$(word "$ENROLMENT_TOKEN")" "$(word "$INSECURE")"
    cat "$again/agent.sh"
  } >"$again/root.sh"
  sudo sh "$again/root.sh" "$@"
}

uninstall() {
  if is_root; then
    if has_systemd; then
      systemctl disable --now hostroom-agent.service 2>/dev/null || true
    fi
    rm -f "$DESTDIR$unit" "$DESTDIR$settings"
    rm -rf "$DESTDIR$home" "$DESTDIR$state" "$DESTDIR/var/lib/private/hostroom-agent"
    if has_systemd; then systemctl daemon-reload; fi
  else
    rm -rf "$DESTDIR$home"
  fi
  say 'The hostroom agent and its key are removed. Delete the host in the hub to remove its history too.'
}

check_node() {
  node=$(command -v node || true)
  [ -n "$node" ] || fail 'Node.js 20 or newer is needed. Install it (https://nodejs.org, or the nodejs package of a current distribution) and run this again.'
  major=$("$node" -p 'process.versions.node.split(".")[0]') || fail "$node does not run."
  [ "$major" -ge 20 ] || fail "Node.js 20 or newer is needed; $node is version $major. Install a newer one and run this again."
  node=$("$node" -p 'process.execPath')
  flags='--max-semi-space-size=1 --expose-gc'
  # Without optimizing compilers it takes less memory; older versions complain about that.
  if [ -z "$("$node" --lite-mode -e 0 2>&1)" ]; then flags="--lite-mode $flags"; fi
}

unpack() {
  parent=$(dirname "$DESTDIR$home")
  mkdir -p "$parent"
  work=$(mktemp -d "$parent/.hostroom-agent.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  fetch "$HUB_URL/agent.tgz" "$work/agent.tgz" || fail "the agent could not be fetched from $HUB_URL/agent.tgz"
  tar -xzf "$work/agent.tgz" -C "$work" || fail 'what the hub sent is not the agent; check its address.'
  version=$("$node" "$work/package/agent/main.js" --version) || fail 'the agent does not run with this Node.js.'
  chmod -R u=rwX,go=rX "$work/package"
  # A service may not look into home folders: a Node.js that lives there is copied.
  case $node in
    /root/* | /home/*)
      if is_root; then
        mkdir -p "$work/package/bin"
        cp "$node" "$work/package/bin/node"
        node=$home/bin/node
      fi
      ;;
  esac
  # An agent without root keeps its state below its home.
  if [ -d "$DESTDIR$home/state" ]; then mv "$DESTDIR$home/state" "$work/package/state"; fi
  rm -rf "$DESTDIR$home"
  mv "$work/package" "$DESTDIR$home"
  rm -rf "$work"
}

write_settings() {
  mkdir -p "$DESTDIR/etc"
  # Made empty with its final rights before the token goes in.
  (umask 077 && : >"$DESTDIR$settings.new")
  {
    printf 'HUB_URL=%s\n' "$(quoted "$HUB_URL")"
    if [ -n "$INSECURE" ]; then printf 'INSECURE=1\n'; fi
    if [ -n "$ENROLMENT_TOKEN" ]; then printf 'ENROLMENT_TOKEN=%s\n' "$(quoted "$ENROLMENT_TOKEN")"; fi
  } >"$DESTDIR$settings.new"
  mv "$DESTDIR$settings.new" "$DESTDIR$settings"
}

write_unit() {
  mkdir -p "$DESTDIR$(dirname "$unit")"
  cat >"$DESTDIR$unit" <<UNIT
[Unit]
Description=hostroom agent
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
EnvironmentFile=$settings
Environment=STATE_DIR=$state
Environment=NODE_COMPILE_CACHE=$state/cache
ExecStart="$node" $flags $home/agent/main.js
Restart=always
RestartSec=5
RestartPreventExitStatus=78
TimeoutStopSec=10
DynamicUser=yes
StateDirectory=hostroom-agent
StateDirectoryMode=0700
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=multi-user.target
UNIT
}

start_service() {
  systemctl daemon-reload
  systemctl enable hostroom-agent.service
  systemctl restart hostroom-agent.service
  tries=0
  until grep -q '"hostId"' "$state/identity.json" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 20 ] || systemctl is-failed --quiet hostroom-agent.service; then
      journalctl -u hostroom-agent.service -n 20 --no-pager -o cat >&2 || true
      fail 'the agent is installed but not enrolled yet; the lines above say why. Follow it with: journalctl -fu hostroom-agent'
    fi
    sleep 1
  done
  say "The agent $version runs and sends this machine's figures to $HUB_URL."
}

run_in_foreground() {
  say "The agent $version is in $home. It runs here until Ctrl-C; as a service it needs root and systemd. To start it again:"
  say "  HUB_URL='$HUB_URL' STATE_DIR='$state'${INSECURE:+ INSECURE=1} '$node' $flags '$home/agent/main.js'"
  if [ -n "$DRY_RUN" ]; then return 0; fi
  mkdir -p "$state"
  export HUB_URL ENROLMENT_TOKEN INSECURE
  STATE_DIR=$state NODE_COMPILE_CACHE=$state/cache exec "$node" $flags "$home/agent/main.js"
}

# All of it is read before any of it runs, so that a broken download does nothing.
main() {
  HUB_URL=${HUB_URL%/}
  if wants_root "$@"; then
    say 'The service needs root; sudo may ask for your password.'
    if sudo -v; then
      run_as_root "$@"
      return 0
    fi
    say 'Not as root, then.'
  fi
  if [ "${1:-}" = --uninstall ]; then
    uninstall
    return 0
  fi
  check_node
  unpack
  if is_root && { has_systemd || [ -n "$DRY_RUN" ]; }; then
    if [ -n "$ENROLMENT_TOKEN" ] || [ ! -f "$DESTDIR$settings" ]; then write_settings; fi
    write_unit
    if has_systemd; then start_service; else say "The agent $version is in place; nothing was started."; fi
  else
    run_in_foreground
  fi
}

main "$@"
