# Sourced after setup.sh: the pinned Python environment that holds the reference libraries, built on
# demand into the cache and never on the way to a build. Sets REFERENCE_PYTHON.

REFERENCE_REQUIREMENTS="$LLMOPT_ROOT/scripts/lib/reference-requirements.txt"

ensure_reference() {
  local hash home staging
  hash=$(sha256sum "$REFERENCE_REQUIREMENTS" | cut -c1-12)
  home="$LLMOPT_CACHE/reference-$hash"
  if [ ! -e "$home/.complete" ]; then
    require_reference_python
    say "building the reference environment (2.7 GB down, 5.2 GB kept, once) in $home"
    # A virtual environment knows its own path, so it is built in place and marked when it is whole.
    mkdir -p "$LLMOPT_CACHE"
    (
      flock 9
      [ ! -e "$home/.complete" ] || exit 0
      rm -rf "$home"
      python3 -m venv "$home" >&2
      "$home/bin/python" -m pip install --quiet --only-binary=:all: -r "$REFERENCE_REQUIREMENTS" >&2 &&
        touch "$home/.complete"
    ) 9>"$home.lock" || fail "the reference environment could not be built; try again, or look above for what pip said"
  fi
  export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
  REFERENCE_PYTHON="$home/bin/python"
}

require_reference_python() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "the reference libraries need Python 3.11 or newer; this is $(python3 --version)"
  python3 -c 'import ensurepip, venv' 2>/dev/null ||
    fail "python3 cannot make virtual environments; run: apt-get install python3-venv"
  local free_gb
  free_gb=$(df --output=avail -BG "$(dirname "$LLMOPT_CACHE")" 2>/dev/null | tail -1 | tr -dc 0-9)
  [ "${free_gb:-99}" -ge 9 ] ||
    fail "the reference environment needs 9 GB while it is built; $LLMOPT_CACHE has $free_gb GB free; free some or set LLMOPT_CACHE"
}

# Runs one of the programs in scripts/reference. Its libraries' notices of things to come are of no use here.
reference() {
  local program=$1
  shift
  "$REFERENCE_PYTHON" -W ignore::FutureWarning "$LLMOPT_ROOT/scripts/reference/$program" "$@"
}
