# Sourced after setup.sh: the pinned AWS emulators, made on demand in the cache: MiniStack (8 s, 110 MB), and where
# there is npm dynalite, a second opinion on DynamoDB. Sets the variables by which the tests find them.

LOCAL_AWS_REQUIREMENTS="$LLMOPT_ROOT/scripts/lib/local-aws-requirements.txt"

ensure_ministack() {
  local home
  home="$LLMOPT_CACHE/local-aws-$(sha256sum "$LOCAL_AWS_REQUIREMENTS" | cut -c1-12)"
  if [ ! -e "$home/.complete" ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null ||
      fail "python3 cannot make virtual environments; run: apt-get install python3-venv"
    say "installing the AWS emulator (110 MB, once) into $home"
    # A virtual environment knows its own path, so it is built in place and marked when it is whole.
    mkdir -p "$LLMOPT_CACHE"
    (
      flock 9
      [ ! -e "$home/.complete" ] || exit 0
      rm -rf "$home"
      python3 -m venv "$home" >&2
      "$home/bin/python" -m pip install --quiet --only-binary=:all: -r "$LOCAL_AWS_REQUIREMENTS" >&2 &&
        touch "$home/.complete"
    ) 9>"$home.lock" || fail "the AWS emulator could not be installed; try again, or look above for what pip said"
  fi
  export LLMOPT_TEST_MINISTACK="$home/bin/ministack"
}

DYNALITE_VERSION=3.2.2

ensure_dynalite() {
  local home="$LLMOPT_CACHE/dynalite-$DYNALITE_VERSION" staging
  if ! command -v npm >/dev/null; then
    say "no npm here: the second opinion on DynamoDB is skipped"
    return 0
  fi
  if [ ! -e "$home" ]; then
    say "installing dynalite $DYNALITE_VERSION, a second opinion on DynamoDB, into $home"
    mkdir -p "$LLMOPT_CACHE"
    staging=$(mktemp -d "$LLMOPT_CACHE/dynalite.XXXXXX")
    npm install --prefix "$staging" --silent --no-audit --no-fund --ignore-scripts "dynalite@$DYNALITE_VERSION" >&2 ||
      fail "dynalite could not be installed; try again, or look above for what npm said"
    # Another run may have been faster.
    mv -T "$staging" "$home" 2>/dev/null || rm -rf "$staging"
  fi
  export LLMOPT_TEST_DYNALITE="$home/node_modules/.bin/dynalite"
}
