# Sourced after setup.sh: the pinned tools that check and build template.yaml (cfn-lint, SAM, cargo-lambda with zig;
# 790 MB), made on demand in the cache and put before everything else on the PATH.

DEPLOY_REQUIREMENTS="$LLMOPT_ROOT/scripts/lib/deploy-requirements.txt"

ensure_deploy_tools() {
  ensure_environment deploy "$DEPLOY_REQUIREMENTS" "cfn-lint, SAM and cargo-lambda (790 MB)" --no-deps --require-hashes
  export PATH="$ENVIRONMENT/bin:$PATH"
  # Neither tells anyone anything, nor asks AWS.
  export SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-us-east-1}
}

# Builds every function for arm64, as `sam build` does anywhere, into the cache.
build_functions() {
  if command -v rustup >/dev/null; then
    rustup --quiet target add aarch64-unknown-linux-gnu
  fi
  # A folder of its own: cargo-lambda builds with zig, and what gcc built would be built anew. Small code starts
  # sooner, and llama.cpp takes its own optimisation level.
  CARGO_PROFILE_RELEASE_OPT_LEVEL=s CARGO_TARGET_DIR="$LLMOPT_CACHE/lambda-target" \
    sam build --build-dir "$LLMOPT_CACHE/sam-build" >&2
}
