# The same recipes as CI; each is a script that also runs without `just`.

# Lists the recipes.
default:
    @just --list

# Sets the machine up and runs the main job: trains, evaluates, serves.
quickstart *arguments:
    scripts/quickstart {{ arguments }}

# Sets the machine up and passes the tests.
test *arguments:
    scripts/test {{ arguments }}

# Formatting, lints, dependency rules.
check:
    scripts/check

# Lints template.yaml; `--build` also builds every function for arm64.
check-deploy *arguments:
    scripts/check-deploy {{ arguments }}

# Opens our artifacts in transformers and peft, and compares the fixtures with them.
test-interop:
    scripts/test-interop

# Everything CI runs.
ci:
    .ci/run

# Regenerates docs/CONFIGURATION.md, .env.example and other committed outputs of tests.
bless:
    UPDATE_EXPECT=1 cargo test --workspace

# Speed and memory beside transformers + peft.
bench *arguments:
    scripts/bench-training {{ arguments }}

# Speed of answers beside llama.cpp.
bench-generate *arguments:
    scripts/bench-generate {{ arguments }}

# Start, memory and requests a second of the server.
bench-serve:
    scripts/bench-serve

# Training on a GPU against training on the processor; skips where there is none.
check-gpu *arguments:
    scripts/check-gpu {{ arguments }}

# Line coverage of crates/ and trainer/.
coverage:
    scripts/coverage

# Fuzzes the parsers of bytes from outside.
fuzz *arguments:
    scripts/fuzz {{ arguments }}

# Cold starts beside hello-world functions.
bench-lambda *arguments:
    scripts/bench-lambda {{ arguments }}
