# Every recipe uses the environment that `just build` makes; `pip install rust-just` brings just itself.

set positional-arguments

python := env("PYTHON", "python3")
bin := ".venv/bin"

# list the recipes
default:
    @just --list

# an environment to work in
build:
    {{python}} -m venv .venv
    {{bin}}/pip install -q -e ".[dev]"

# the same, with the kernels compiled ahead into the cache
build-release: build
    #!/usr/bin/env bash
    set -euo pipefail
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for backend in crystal openblas; do
        for options in "--batch-size 1 --positions learned --activation relu --no-token-shift" \
            "--batch-size 4 --positions rope --activation relu2 --token-shift"; do
            # shellcheck disable=SC2086
            {{bin}}/microgpt train data/input.txt --backend "$backend" $options --steps 1 \
                --val-fraction 0.01 --out "$work/$backend-${options:13:1}" >/dev/null
        done
    done

# the same with the backend `cublas`, for an NVIDIA driver of CUDA 13, or 12: `just build-cuda 12`
build-cuda cuda="13":
    {{python}} -m venv .venv
    {{bin}}/pip install -q -e ".[dev,cuda{{cuda}}]"
    {{bin}}/microgpt backends

# train with positional arguments: FILE STEPS HEADS BACKEND SEQ_LEN, inside `ulimit -v` (KiB) where there is one
run file="data/input.txt" steps="1000" heads="uniform" backend="crystal" seq_len="128" limit="8388608":
    ulimit -v {{limit}} 2>/dev/null || echo "ulimit -v {{limit}} is refused here: training without that limit" >&2; \
        {{bin}}/microgpt train "{{file}}" --steps {{steps}} --heads "{{heads}}" \
        --backend {{backend}} --seq-len {{seq_len}}

# the tests; `just test -k attention` for some
test *arguments:
    {{bin}}/pytest "$@"

# the tests of one backend
test-backend name:
    {{bin}}/pytest -k {{name}}

# what must not cost a user anything, in large numbers, for hours; `just test-faults kills --tries 100` for some
test-faults *arguments:
    {{bin}}/python -m tests.faults "$@"

# all that needs a GPU: the tests, NVIDIA's checks of memory and races, and the speeds
test-gpu:
    #!/usr/bin/env bash
    set -euo pipefail
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    {{bin}}/microgpt train data/input.txt --backend cublas --batch-size 16 --val-fraction 0.01 --out "$work/run"
    {{bin}}/microgpt generate "$work/run" --backend cublas --length 100
    {{bin}}/microgpt eval "$work/run" data/input.txt --backend cublas
    {{bin}}/microgpt backends
    {{bin}}/pytest -m gpu
    if command -v compute-sanitizer >/dev/null; then
        for tool in memcheck racecheck; do
            compute-sanitizer --tool $tool --error-exitcode 1 {{bin}}/python -m benchmarks.gpu_steps --sanitize
        done
    else
        echo "compute-sanitizer, which checks memory and races, is not here: it comes with the CUDA toolkit" >&2
    fi
    {{bin}}/python -m benchmarks.gpu_steps
    {{bin}}/python -m benchmarks.peers --gpu

# formatting, lint and types
lint:
    {{bin}}/ruff format --check .
    {{bin}}/ruff check .
    {{bin}}/mypy

# beside PyTorch and JAX; needs `pip install -e ".[peers]"`, and `--help` tells what there is to choose
bench-peers *arguments:
    {{bin}}/python -m benchmarks.peers "$@"

# every head layout on every backend, STEPS steps each
bench steps="100":
    {{bin}}/microgpt bench {{steps}}

# the figures of docs/scaling.md but for what replicas learn, in less than three minutes; needs `pip install -e ".[mpi]"`
scaling:
    {{bin}}/microgpt bench --scale
    {{bin}}/microgpt bench --scale --seq-len 64 --batch-size 12 --d-model 128 --n-layers 4 --d-ff 512 --heads 4x32
    {{bin}}/mpiexec -n 2 {{bin}}/microgpt bench --scale
    {{bin}}/python -m benchmarks.scaling
    {{bin}}/mpiexec -n 2 {{bin}}/python -m benchmarks.delays

# whether this checkout computes what COMMIT did, bit for bit; `--only resumed` for some of the runs
same-results commit *arguments:
    {{bin}}/python -m benchmarks.same_results "$@"
