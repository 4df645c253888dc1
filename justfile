# What a developer types. `just` alone lists it; tests/install.sh brings just itself and the rest, to
# /var/tmp/brownie-parts/tools.

parts := env("BROWNIE_PARTS", "/var/tmp/brownie-parts")
export PATH := parts / "tools:" + env("PATH")

_list:
    @just --list --unsorted

# Format, and lints of the whole workspace; warnings are refused
check:
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings

# The tests of one crate: `just test domain`
test crate *options:
    cargo nextest run --locked -p brownie-{{ trim_start_match(crate, "brownie-") }} {{ options }}

# One suite of tests/, or a part of it: `just it http`, `just it http::limits`
it suite *options:
    tests/it.sh {{ suite }} {{ options }}

# Write every generated file anew: docs/openapi.json, env.example, docs/metrics.md, ...
bless:
    BROWNIE_BLESS=yes tests/it.sh architecture::generated

# All tests, as CI runs them
test-all:
    tests/run.sh

# A suite, a part of one, a crate or `all`, so many times beside a busy core: `just stress store 10`
stress suite times="10":
    tests/stress.sh {{ suite }} {{ times }}

# What a change must pass to land
ci:
    .ci/run
