#!/bin/sh
# Issues identities for a fleet: makes the domain's folder when there is none yet, then provisions into it.
# For the technician at a terminal; everything it does is `sealbus pki provision --domain`.
set -eu

usage() {
  cat <<'TEXT'
usage: pki/provision.sh DIR DOMAIN --count N --prefix PREFIX --role ROLE
       pki/provision.sh DIR DOMAIN --csv FILE

  DIR      the domain's folder; made when it is not there
  DOMAIN   its name: 1 to 64 of A-Z a-z 0-9 . _ -
  --csv    a list with the columns name,role

What follows DOMAIN goes to `sealbus pki provision`; see its --help for more.
The passphrase of the CA keys is asked for, or read from --passphrase-file FILE
or from the variable SEALBUS_CA_PASSPHRASE. A second run changes nothing.

example: pki/provision.sh ./field field --count 1000 --prefix heh- --role heh
TEXT
}

fail() {
  printf 'provision.sh: %s\n' "$1" >&2
  exit 1
}

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
esac
if [ "$#" -lt 3 ]; then
  usage >&2
  exit 1
fi

command -v node >/dev/null 2>&1 || fail 'Node.js 20.19 or newer is needed, found none: see https://nodejs.org'
node -e '
  const [major, minor] = process.versions.node.split(".").map(Number)
  process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)
' || fail "Node.js 20.19 or newer is needed, found $(node --version)"

# the clone is where this script lies, whatever the current folder is, also when it is reached by a link
script=$0
while [ -h "$script" ]; do
  target=$(readlink "$script")
  case "$target" in
    /*) script=$target ;;
    *) script=$(dirname -- "$script")/$target ;;
  esac
done
clone=$(CDPATH='' cd -- "$(dirname -- "$script")/.." && pwd)
sealbus=$clone/bin/sealbus.mjs
[ -f "$sealbus" ] || fail "expected a clone of sealbus around this script, found no $sealbus"

dir=$1
domain=$2
shift 2

exec node "$sealbus" pki provision --dir "$dir" --domain "$domain" "$@"
