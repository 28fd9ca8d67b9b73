# Sourced after setup.sh: the gateways of others that ours is measured beside, pinned and made on demand in the cache.

GATEWAYS_REQUIREMENTS="$LLMOPT_ROOT/scripts/lib/gateways-requirements.txt"
GATEWAYS_NODE="$LLMOPT_ROOT/scripts/lib/gateways"

# Sets LITELLM, its program.
ensure_litellm() {
  ensure_environment gateways "$GATEWAYS_REQUIREMENTS" "LiteLLM's proxy (800 MB)" --require-hashes
  LITELLM="$ENVIRONMENT/bin/litellm"
}

# Sets PORTKEY, the file that node runs.
ensure_portkey() {
  command -v npm >/dev/null || fail "npm is not on the PATH; install it with: apt-get install npm"
  local home staging
  home="$LLMOPT_CACHE/portkey-$(sha256sum "$GATEWAYS_NODE/package-lock.json" | cut -c1-12)"
  if [ ! -e "$home" ]; then
    say "installing Portkey's gateway (once) into $home"
    mkdir -p "$LLMOPT_CACHE"
    staging=$(mktemp -d "$LLMOPT_CACHE/portkey.XXXXXX")
    cp "$GATEWAYS_NODE/package.json" "$GATEWAYS_NODE/package-lock.json" "$staging"
    npm ci --prefix "$staging" --silent --no-audit --no-fund --ignore-scripts >&2 ||
      fail "Portkey's gateway could not be installed; try again, or look above for what npm said"
    # Another run may have been faster.
    mv -T "$staging" "$home" 2>/dev/null || rm -rf "$staging"
  fi
  PORTKEY="$home/node_modules/@portkey-ai/gateway/build/start-server.js"
}
