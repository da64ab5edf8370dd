#!/usr/bin/env bash
# One large model over several GPUs of one machine, for many callers: see docs/pool.md.
# usage: vllm.sh [ARGUMENT…]        POOL_SERVER_KEY, and for TLS POOL_TLS_KEY and POOL_TLS_CERTIFICATE, in the environment; further arguments
#                                   go to vLLM
set -euo pipefail

gpus=${POOL_GPUS:-2}
model=${POOL_MODEL:-Qwen/Qwen3-Coder-30B-A3B-Instruct}
address=${POOL_ADDRESS:-127.0.0.1}

[ -n "${POOL_SERVER_KEY:-}" ] || {
    echo "vllm.sh: POOL_SERVER_KEY is not set; it is the key that callers must have" >&2
    exit 1
}
tls=()
if [ -n "${POOL_TLS_KEY:-}" ]; then
    tls=(--ssl-keyfile "$POOL_TLS_KEY" --ssl-certfile "${POOL_TLS_CERTIFICATE:?is not set}")
fi
# In the environment, the key is in no list of processes. The parser is that of the model: an agent's calls are read by it.
export VLLM_API_KEY=$POOL_SERVER_KEY
exec vllm serve "$model" --served-model-name local --tensor-parallel-size "$gpus" --host "$address" --port 8080 \
    --enable-prefix-caching --enable-auto-tool-choice --tool-call-parser qwen3_coder \
    ${tls[@]+"${tls[@]}"} "$@"
