# Sourced after setup.sh: the gateways of others that ours is measured beside, pinned and made on demand in the cache.

GATEWAYS_REQUIREMENTS="$LLMOPT_ROOT/scripts/lib/gateways-requirements.txt"
GATEWAYS_NODE="$LLMOPT_ROOT/scripts/lib/gateways"

# Sets LITELLM, its program.
ensure_litellm() {
  ensure_environment gateways "$GATEWAYS_REQUIREMENTS" "LiteLLM's proxy (800 MB)" --require-hashes
  LITELLM="$ENVIRONMENT/bin/litellm"
}

# Sets PORTKEY, the file that node runs. Its streams fail under Node 20 with the newest of what it says it needs, so that
# two of these are pinned to what its own tree has.
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

# What a question costs is the same everywhere: dollars for a million tokens of input and of output.
GATEWAY_MODEL=gpt-5.6-luna INPUT_USD=0.20 OUTPUT_USD=1.20
# The same, whose answers come as slowly as a model writes.
STREAMED_MODEL=gpt-5.6-terra

# A port that was free a moment ago.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Waits until a URL answers: await_url URL PID LOG.
await_url() {
  local _
  for _ in $(seq 1200); do
    ! curl --silent --output /dev/null "$1" || return 0
    kill -0 "$2" 2>/dev/null || fail "it ended: $(tail -n 5 "$3")"
    sleep 0.1
  done
  fail "it does not answer at $1: $(tail -n 5 "$3")"
}

# Each of these starts one process, whose id it adds to `started`, and sets where it is, as HOST:PORT.
started=()
stop_started() {
  [ ${#started[@]} = 0 ] || kill "${started[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  started=()
}

# Sets MOCK and MOCK_PID, what stands in for OpenAI.
start_mock() {
  local port
  port=$(free_port)
  "$LLMOPT_TARGET/release/llmopt-provider-mock" --port "$port" >"$work/mock.log" 2>&1 &
  MOCK_PID=$! MOCK=127.0.0.1:$port
  started+=("$MOCK_PID")
  await_url "http://$MOCK/v1/models" "$MOCK_PID" "$work/mock.log"
}

# Says how a model answers from now on: mock_answers MODEL BEHAVIOUR.
mock_answers() {
  curl --silent --fail --output /dev/null -X PUT -H 'content-type: application/json' -d "$2" "http://$MOCK/mock/models/$1"
}

# Sets LITELLM_AT and LITELLM_PID. It counts what was spent in memory, against this budget: with a budget for each key it
# needs PostgreSQL.
start_litellm() {
  local port budget_usd=$1 model
  port=$(free_port)
  {
    echo "model_list:"
    for model in "$GATEWAY_MODEL" "$STREAMED_MODEL"; do
      printf '  - model_name: %s\n    litellm_params:\n      model: openai/%s\n' "$model" "$model"
      printf '      api_base: http://%s/v1\n      api_key: sk-upstream\n' "$MOCK"
      printf '      input_cost_per_token: %se-6\n      output_cost_per_token: %se-6\n' "$INPUT_USD" "$OUTPUT_USD"
    done
    printf 'router_settings:\n  provider_budget_config:\n    openai:\n      budget_limit: %s\n      time_period: 1d\n' "$budget_usd"
    # It asks for what is asked as of Anthropic by OpenAI's newer API else, which the stand-in has not.
    printf 'litellm_settings:\n  use_chat_completions_url_for_anthropic_messages: true\n'
    printf 'general_settings:\n  master_key: sk-master\n'
  } >"$work/litellm.yaml"
  env -i PATH="$PATH" HOME="$work" LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_MODE=PRODUCTION LITELLM_LOG=ERROR \
    "$LITELLM" --config "$work/litellm.yaml" --host 127.0.0.1 --port "$port" --num_workers 1 >"$work/litellm.log" 2>&1 &
  LITELLM_PID=$! LITELLM_AT=127.0.0.1:$port
  started+=("$LITELLM_PID")
  await_url "http://$LITELLM_AT/health/liveliness" "$LITELLM_PID" "$work/litellm.log"
}

# Sets PORTKEY_AT and PORTKEY_PID.
start_portkey() {
  local port
  port=$(free_port)
  env -i PATH="$PATH" HOME="$work" NODE_ENV=production TRUSTED_CUSTOM_HOSTS=127.0.0.1 \
    node "$PORTKEY" "--port=$port" --headless >"$work/portkey.log" 2>&1 &
  PORTKEY_PID=$! PORTKEY_AT=127.0.0.1:$port
  started+=("$PORTKEY_PID")
  await_url "http://$PORTKEY_AT/" "$PORTKEY_PID" "$work/portkey.log"
}

# Sets OURS_AT, OURS_PID, OURS_KEY and OURS_ADMIN_KEY. Arguments are variables of its environment. Limits count every request
# and refuse none of these.
start_ours() {
  local llmopt="$LLMOPT_TARGET/release/llmopt" data="$work/data" _
  OURS_KEY=$("$llmopt" keys create --data-dir "$data" --name bench --scope generate 2>/dev/null)
  OURS_ADMIN_KEY=$("$llmopt" keys create --data-dir "$data" --name admin --scope admin 2>/dev/null)
  : >"$work/ours.out"
  env LLMOPT_REQUESTS_PER_MINUTE=6000000 LLMOPT_KEY_REQUESTS_PER_MINUTE=6000000 \
    LLMOPT_LOG=info LLMOPT_LOG_FORMAT=json "$@" \
    "$llmopt" serve --json --listen 127.0.0.1:0 --data-dir "$data" >"$work/ours.out" 2>"$work/ours.log" &
  OURS_PID=$!
  started+=("$OURS_PID")
  for _ in $(seq 200); do
    [ ! -s "$work/ours.out" ] || break
    kill -0 "$OURS_PID" 2>/dev/null || fail "the server ended: $(tail -n 5 "$work/ours.log")"
    sleep 0.05
  done
  OURS_AT=$(sed -n 's|.*"url":"http://\([^"]*\)".*|\1|p' "$work/ours.out")
}

# OpenAI's API is the stand-in's, and may be asked as often as anybody wants.
openai_is_mock() { echo "OPENAI_API_KEY=sk-upstream" "OPENAI_BASE_URL=http://$MOCK/v1" "LLMOPT_OPENAI_REQUESTS_PER_MINUTE=6000000"; }

# Sets a budget of our server's: set_budget SCOPE USD_A_DAY.
set_budget() {
  curl --silent --fail --output /dev/null -X PUT "http://$OURS_AT/api/v1/commercial/budgets" \
    -H "authorization: Bearer $OURS_ADMIN_KEY" -H 'content-type: application/json' \
    -d "{\"scope\": \"$1\", \"daily_usd\": \"$2\"}" || fail "the budget could not be set: $(tail -n 3 "$work/ours.log")"
}
