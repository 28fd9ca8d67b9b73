# Sourced after setup.sh: the pinned Python environment with clients of the HTTP API, made on demand in the cache: requests,
# which the guides' examples are written with, schemathesis, and the SDKs of OpenAI and Anthropic. Sets the variable by
# which the tests find it.

API_REQUIREMENTS="$LLMOPT_ROOT/scripts/lib/api-requirements.txt"

ensure_api_clients() {
  ensure_environment api "$API_REQUIREMENTS" "clients of the API, and SDKs of others (175 MB)" --require-hashes
  export LLMOPT_TEST_API_PYTHON="$ENVIRONMENT/bin/python"
}
