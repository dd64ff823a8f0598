#!/usr/bin/env bash
# Puts Fashion-MNIST (31 MB, Debian's package dataset-fashion-mnist) into
# ${XDG_CACHE_HOME:-$HOME/.cache}/halftone/fashion-mnist, without root and without installing it.
# The four files are verified by SHA-256. Idempotent; picks up where it was interrupted.
#   HALFTONE_FASHION_MNIST_INSTALLED  where the installed package is looked for
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
sums=$here/fashion_mnist.sha256
package=dataset-fashion-mnist
installed=${HALFTONE_FASHION_MNIST_INSTALLED:-/usr/share/datasets/fashion-mnist}
say() { printf '\033[2m[data]\033[0m %s\n' "$*"; }
die() { printf '[data] %s\n' "$*" >&2; exit 1; }

[[ -n ${XDG_CACHE_HOME:-${HOME:-}} ]] || die 'neither HOME nor XDG_CACHE_HOME is set: nowhere to put Fashion-MNIST'
cache=${XDG_CACHE_HOME:-$HOME/.cache}/halftone
target=$cache/fashion-mnist
stamp=$target/verified.sha256  # a copy of the sums, written last
work=$cache/fashion-mnist.part
files=(); while read -r _ name; do files+=("$name"); done < "$sums"

complete() {  # four files that were verified against these sums
  local name
  [[ -f $stamp && $(< "$stamp") == "$(< "$sums")" ]] || return 1
  for name in "${files[@]}"; do [[ -s $target/$name ]] || return 1; done
}

# Names the first of the four files in a directory that is missing or wrong; empty where none is.
first_wrong() {
  local sum name found
  while read -r sum name; do
    found=$(sha256sum "$1/$name" 2>/dev/null) || { echo "$name is missing"; return; }
    [[ ${found%% *} == "$sum" ]] || { echo "$name has SHA-256 ${found%% *}; expected $sum"; return; }
  done < "$sums"
}

finish() {
  cp "$sums" "$stamp.new"
  mv "$stamp.new" "$stamp"
  rm -rf "$work"
  say "Fashion-MNIST is in $target"
  exit 0
}

if complete; then
  say "Fashion-MNIST: $target"
  exit 0
fi

mkdir -p "$target" "$work" || die "cannot write to $cache"
if command -v flock >/dev/null; then  # two at once would write the same files
  exec 9> "$cache/fashion-mnist.lock"
  flock 9
  if complete; then say "Fashion-MNIST: $target"; exit 0; fi
  mkdir -p "$work"
fi

# --- there already? --------------------------------------------------------------------------------
[[ -z $(first_wrong "$target") ]] && finish
if [[ -d $installed && -z $(first_wrong "$installed") ]]; then
  say "Debian's $package is installed: linking to $installed"
  for name in "${files[@]}"; do ln -sf "$installed/$name" "$target/$name"; done
  finish
fi

# --- Debian's package ------------------------------------------------------------------------------
for tool in apt-get dpkg-deb; do
  command -v $tool >/dev/null || die "$tool not found: put ${files[*]} into $target by hand"
done

# The package lists may be missing, or another user's: then they are fetched into $work.
own_lists=(-o "Dir::State=$work/state" -o "Dir::State::status=/var/lib/dpkg/status"
           -o "Dir::Cache=$work/cache" -o Debug::NoLocking=1)
apt() { apt-get -o APT::Sandbox::User= "$@" 2> "$work/errors"; }
reason() { grep -m1 '^E:' "$work/errors" || echo 'no reason given'; }

download() {
  cd "$work"
  rm -f -- *.deb
  apt download "$package" && return
  say 'fetching the package lists'
  mkdir -p state/lists/partial cache/archives/partial
  apt "${own_lists[@]}" update || die "apt-get cannot fetch the package lists: $(reason)"
  apt "${own_lists[@]}" download "$package" ||
    die "apt-get cannot download $package: $(reason)"
}

unpack() {  # fails where the archive is not whole
  rm -rf "$work/unpacked"
  dpkg-deb -x "$work"/*.deb "$work/unpacked" 2> "$work/errors"
}

if ! compgen -G "$work/*.deb" >/dev/null || ! unpack; then
  say "downloading $package (31 MB)"
  (download)
  say 'unpacking'
  unpack || die "dpkg-deb cannot unpack $package: $(tail -n 1 "$work/errors")"
fi
content=$work/unpacked/usr/share/datasets/fashion-mnist
wrong=$(first_wrong "$content")
if [[ -n $wrong ]]; then
  rm -rf "$work"
  die "$package: $wrong"
fi
for name in "${files[@]}"; do mv -f "$content/$name" "$target/$name"; done
finish
