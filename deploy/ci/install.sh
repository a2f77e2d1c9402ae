#!/usr/bin/env bash
# Installs what `cargo xtask ci --full` needs beyond Rust and a C compiler, on Debian or Ubuntu.
# What is there already is left as it is.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

from_pypi() {
  if ! python3 -m pip --version >/dev/null 2>&1; then
    as_root apt-get update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-pip
  fi
  python3 -m pip install --quiet --break-system-packages "$@"
}

# A browser opens the report, takes its picture and listens for errors of its scripts.
if ! has chromium; then
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends chromium fonts-dejavu-core
fi

# A Vulkan driver that is software: the GPU's path is tested on it.
if ! ldconfig -p | grep -q 'libvulkan\.so\.1' || ! ls /usr/share/vulkan/icd.d/lvp_icd* >/dev/null 2>&1; then
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers
fi

# Schemas of Kubernetes, JobSet and Kubeflow Trainer: deploy/kubernetes is held against them.
if ! python3 -c 'import kubernetes_validate, kubeflow_trainer_api, yaml' 2>/dev/null; then
  from_pypi kubernetes-validate kubeflow-trainer-api pyyaml
fi

# A model of somebody else: an ONNX network behind the Open Inference Protocol, which Lifecast explains.
if ! python3 -c 'import onnx, onnxruntime, tritonclient.grpc' 2>/dev/null; then
  from_pypi onnx onnxruntime 'tritonclient[grpc]'
fi

# MPI with headers, and libclang, which reads them: feature `lifecast/mpi`.
if ! has mpirun || ! has mpicc || ! ldconfig -p | grep -q libclang; then
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends openmpi-bin libopenmpi-dev libclang-dev
fi

# Bans, licences and sources of all dependencies. Unoptimised: it runs for a second.
if ! has cargo-deny; then
  cargo install cargo-deny --locked --profile dev
fi

# Faster tests with better output; `ci` does without it where it is missing.
if ! has cargo-nextest; then
  cargo install cargo-nextest --locked --profile dev
fi

chromium --version
cargo deny --version
cargo nextest --version
