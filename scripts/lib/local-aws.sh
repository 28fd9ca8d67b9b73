# Sourced after setup.sh: the pinned AWS emulators, made on demand in the cache: MiniStack (8 s, 110 MB), and where
# there is npm dynalite, a second opinion on DynamoDB. Sets the variables by which the tests find them.

LOCAL_AWS_REQUIREMENTS="$LLMOPT_ROOT/scripts/lib/local-aws-requirements.txt"

ensure_ministack() {
  ensure_environment local-aws "$LOCAL_AWS_REQUIREMENTS" "the AWS emulator (110 MB)" --require-hashes
  export LLMOPT_TEST_MINISTACK="$ENVIRONMENT/bin/ministack"
}

DYNALITE="$LLMOPT_ROOT/scripts/lib/dynalite"

ensure_dynalite() {
  local home staging
  home="$LLMOPT_CACHE/dynalite-$(sha256sum "$DYNALITE/package-lock.json" | cut -c1-12)"
  if ! command -v npm >/dev/null; then
    say "no npm here: the second opinion on DynamoDB is skipped"
    return 0
  fi
  if [ ! -e "$home" ]; then
    say "installing dynalite, a second opinion on DynamoDB (14 MB, once), into $home"
    mkdir -p "$LLMOPT_CACHE"
    staging=$(mktemp -d "$LLMOPT_CACHE/dynalite.XXXXXX")
    cp "$DYNALITE/package.json" "$DYNALITE/package-lock.json" "$staging"
    npm ci --prefix "$staging" --silent --no-audit --no-fund --ignore-scripts >&2 ||
      fail "dynalite could not be installed; try again, or look above for what npm said"
    # Another run may have been faster.
    mv -T "$staging" "$home" 2>/dev/null || rm -rf "$staging"
  fi
  export LLMOPT_TEST_DYNALITE="$home/node_modules/.bin/dynalite"
}
