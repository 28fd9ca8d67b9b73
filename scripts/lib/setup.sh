# Sourced by the other scripts: brings a bare Debian or Ubuntu x86-64 machine with Rust and Python 3
# to where `cargo build` works. Idempotent; says what it does; leaves nothing half done.

set -euo pipefail
LLMOPT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LLMOPT_CACHE=${LLMOPT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/llmopt}
LIBTORCH_VERSION=2.11.0

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Compiled dependencies outlive a clean clone in CI, where they are most of the time.
if [ -n "${CI:-}" ] && [ -z "${CARGO_TARGET_DIR:-}" ]; then
  export CARGO_TARGET_DIR="$LLMOPT_CACHE/ci-target"
fi
LLMOPT_TARGET=${CARGO_TARGET_DIR:-$LLMOPT_ROOT/target}
# What the scripts run: programs as users have them, or, with `dev`, as the tests do, which then share every library.
BUILD_PROFILE=${BUILD_PROFILE:-release}
case $BUILD_PROFILE in
  release) LLMOPT_PROGRAMS="$LLMOPT_TARGET/release" ;;
  dev) LLMOPT_PROGRAMS="$LLMOPT_TARGET/debug" ;;
  *) fail "BUILD_PROFILE is \`$BUILD_PROFILE\`: expected \`release\` or \`dev\`" ;;
esac

# Bindings to llama.cpp are generated with libclang, and with clang's own headers, which its development
# package brings; the library alone is not enough.
has_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] || compgen -G '/usr/lib/llvm-*/lib/libclang.so' >/dev/null ||
    compgen -G '/usr/lib*/libclang.so' >/dev/null
}

# The build packages that are not there yet, by the command or header each of them brings.
missing_packages() {
  command -v g++ >/dev/null || echo g++
  command -v make >/dev/null || echo make
  command -v pkg-config >/dev/null || echo pkg-config
  command -v curl >/dev/null || echo curl
  command -v git >/dev/null || echo git
  command -v cmake >/dev/null || echo cmake
  has_libclang || echo libclang-dev
  python3 -c 'import ensurepip' 2>/dev/null || python3 -m pip --version >/dev/null 2>&1 || echo python3-venv
}

ensure_packages() {
  command -v cargo >/dev/null || fail "cargo is not on the PATH; install Rust from https://rustup.rs and try again"
  command -v python3 >/dev/null || fail "python3 is not on the PATH; install it with: apt-get install python3"
  [ "$(uname -sm)" = "Linux x86_64" ] || [ -n "${LIBTORCH:-}" ] ||
    fail "$(uname -sm) is not covered by the pinned libtorch; set LIBTORCH to a libtorch $LIBTORCH_VERSION folder and try again"
  local missing sudo=()
  missing=$(missing_packages | tr '\n' ' ')
  [ -n "${missing// /}" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || fail "missing build packages; run: sudo apt-get install $missing"
    sudo=(sudo)
  fi
  command -v apt-get >/dev/null || fail "missing build packages and no apt-get here; install: $missing"
  say "installing build packages: $missing"
  "${sudo[@]}" apt-get update -qq
  # shellcheck disable=SC2086 # a list of words
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# A pip that works also where Debian forbids or lacks the system-wide one.
pip_python() {
  if python3 -m pip --version >/dev/null 2>&1; then
    echo python3
  else
    [ -x "$LLMOPT_CACHE/pip/bin/python" ] || python3 -m venv "$LLMOPT_CACHE/pip" >&2
    echo "$LLMOPT_CACHE/pip/bin/python"
  fi
}

# Makes the Python environment NAME of pinned requirements in the cache, once for each state of them:
# ensure_environment NAME REQUIREMENTS "WHAT (SIZE)" [PIP ARGUMENTS]. Sets ENVIRONMENT.
ensure_environment() {
  local name=$1 requirements=$2 what=$3
  shift 3
  ENVIRONMENT="$LLMOPT_CACHE/$name-$(sha256sum "$requirements" | cut -c1-12)"
  [ ! -e "$ENVIRONMENT/.complete" ] || return 0
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$what needs Python 3.11 or newer; this is $(python3 --version)"
  python3 -c 'import ensurepip, venv' 2>/dev/null ||
    fail "python3 cannot make virtual environments; run: apt-get install python3-venv"
  say "installing $what, once, into $ENVIRONMENT"
  mkdir -p "$LLMOPT_CACHE"
  # A virtual environment knows its own path, so it is built in place and marked when it is whole.
  (
    flock 9
    [ ! -e "$ENVIRONMENT/.complete" ] || exit 0
    rm -rf "$ENVIRONMENT"
    python3 -m venv "$ENVIRONMENT" >&2
    "$ENVIRONMENT/bin/python" -m pip install --quiet --only-binary=:all: "$@" -r "$requirements" >&2 &&
      touch "$ENVIRONMENT/.complete"
  ) 9>"$ENVIRONMENT.lock" || fail "$what could not be installed; try again, or look above for what pip said"
}

# Fetches libtorch into the cache: about 540 MB down, 500 MB kept. The wheels are checked against
# the digests in libtorch-requirements.txt before anything is unpacked.
fetch_libtorch() {
  local home="$LLMOPT_CACHE/libtorch-$LIBTORCH_VERSION" staging python
  if [ ! -e "$home/torch/build-version" ]; then
    say "fetching libtorch $LIBTORCH_VERSION (540 MB, once) into $home"
    mkdir -p "$LLMOPT_CACHE"
    staging=$(mktemp -d "$LLMOPT_CACHE/libtorch.XXXXXX")
    python=$(pip_python)
    "$python" -m pip download --quiet --no-deps --require-hashes --only-binary=:all: \
      --python-version 3.11 --implementation cp --abi cp311 --abi none --platform manylinux_2_28_x86_64 \
      --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 \
      --dest "$staging/wheels" -r "$LLMOPT_ROOT/scripts/lib/libtorch-requirements.txt"
    python3 "$LLMOPT_ROOT/scripts/lib/unpack_libtorch.py" "$staging/wheels" "$staging/out"
    echo "$LIBTORCH_VERSION" >"$staging/out/torch/build-version"
    rm -rf "$home"
    mv "$staging/out" "$home"
    rm -rf "$staging"
  fi
  LIBTORCH="$home/torch"
}

# Every cargo call must see the same variables: one without LIBTORCH would build torch-sys again, and
# llama.cpp silently leaves AVX2 out where SOURCE_DATE_EPOCH is set. Its library is the same, optimised
# and without debug information, in every profile of cargo; other processors ignore the GGML lines. SQLite
# has the disk write what a file holds and not when it was changed too, which takes another write each time.
write_cargo_config() {
  local want
  want=$(
    printf '[env]\nLIBTORCH = "%s"\nLLAMA_LIB_PROFILE = "Release"\n' "$LIBTORCH"
    printf 'GGML_%s = "ON"\n' SSE42 AVX AVX2 FMA F16C BMI2
    printf 'LIBSQLITE3_FLAGS = "-DHAVE_FDATASYNC=1"\n'
  )
  mkdir -p "$LLMOPT_ROOT/.cargo"
  [ "$(cat "$LLMOPT_ROOT/.cargo/config.toml" 2>/dev/null)" = "$want" ] ||
    printf '%s\n' "$want" >"$LLMOPT_ROOT/.cargo/config.toml"
}

# Builds `llmopt` and its trainer, and what cargo is told beside them, into LLMOPT_PROGRAMS. All packages are named at
# once: cargo gives the libraries of one alone other features, and would compile them again.
build_programs() {
  case $BUILD_PROFILE in
    release) cargo build --release --locked -p llmopt-cli -p llmopt-trainer "$@" ;;
    # As `cargo test` has them.
    dev) cargo build --locked --workspace --bins --examples ;;
  esac
}

setup() {
  ensure_packages
  if [ -n "${LIBTORCH:-}" ]; then
    [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] || fail "LIBTORCH is \`$LIBTORCH\`, which has no lib/libtorch_cpu.so"
  else
    fetch_libtorch
  fi
  export LIBTORCH
  write_cargo_config
}
