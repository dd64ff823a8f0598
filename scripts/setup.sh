#!/usr/bin/env bash
# Makes the tree ready to build: Debian packages, LibTorch. Idempotent; picks up where it was
# interrupted. Usage: scripts/setup.sh [demo|test]
#   CMAKE_PREFIX_PATH     an existing LibTorch: nothing is installed for it
#   HALFTONE_TORCH_INDEX  the package index that the torch wheel comes from
set -euo pipefail
cd "$(dirname "$0")/.."

goal=${1:-demo}
torch_wheel=torch==2.13.0
say() { printf '\033[2m[setup]\033[0m %s\n' "$*"; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }

# --- Debian packages -----------------------------------------------------------------------------
missing_packages() {
  local name
  while read -r name; do
    [[ -z $name || $name == \#* ]] && continue
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || echo "$name"
  done < scripts/packages.txt
}

if command -v dpkg-query >/dev/null; then
  mapfile -t missing < <(missing_packages)
  if ((${#missing[@]})); then
    if [[ $(id -u) == 0 ]]; then
      say "installing ${#missing[@]} Debian packages: ${missing[*]}"
      apt-get update -qq
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >/dev/null || die "apt-get could not install: ${missing[*]}"
    else
      die "Debian packages are missing; run: sudo apt-get install ${missing[*]}"
    fi
  fi
else
  for tool in cmake g++ ninja python3; do
    command -v $tool >/dev/null || die "$tool not found; scripts/packages.txt lists what is needed"
  done
fi

# --- LibTorch ------------------------------------------------------------------------------------
# Prints the version of the torch that this Python has, without importing it.
torch_version() {
  "$1" -c 'import importlib.metadata as m; print(m.version("torch").split("+")[0])' 2>/dev/null
}

usable() {  # 2.11 to 2.14
  [[ $1 =~ ^2\.(11|12|13|14)(\.|$) ]]
}

if [[ -n ${CMAKE_PREFIX_PATH:-} ]]; then
  say "LibTorch: CMAKE_PREFIX_PATH=$CMAKE_PREFIX_PATH"
elif version=$(torch_version python3) && usable "$version"; then
  say "LibTorch: torch $version of the active Python"
elif [[ -x .venv/bin/python ]] && version=$(torch_version .venv/bin/python) && usable "$version" &&
     [[ -f .venv/torch-complete ]]; then
  :  # there already: say nothing, a second run starts at once
else
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    say "creating .venv/"
    python3 -m venv --clear .venv
  fi
  say "installing $torch_wheel into .venv/ (some hundred MB; once)"
  index=()
  [[ -n ${HALFTONE_TORCH_INDEX:-} ]] && index=(--index-url "$HALFTONE_TORCH_INDEX")
  .venv/bin/python -m pip install --disable-pip-version-check "${index[@]}" $torch_wheel ||
    die "pip could not install $torch_wheel; HALFTONE_TORCH_INDEX names another index (README, Set-up)"
  touch .venv/torch-complete
fi

# --- what only the tests need ----------------------------------------------------------------------
if [[ $goal == test && -x .venv/bin/python ]] &&
   ! cmp -s tests/requirements.txt .venv/tests-complete; then
  say "installing the Python packages of the tests into .venv/"
  if .venv/bin/python -m pip install -q --disable-pip-version-check -r tests/requirements.txt; then
    cp tests/requirements.txt .venv/tests-complete
  else
    say "not all could be installed: the tests that need them will be skipped"
  fi
fi
