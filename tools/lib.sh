# Shared by tools/*: stages with times, Debian packages, the Python environment of the tests. Sourced, not run.
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
jobs=${NPUPORT_JOBS:-$(nproc)}
export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=time_macros

packages_build="cmake ninja-build g++ ccache mold libdnnl-dev ocl-icd-opencl-dev zlib1g-dev libssl-dev libflatbuffers-dev
  flatbuffers-compiler libtomlplusplus-dev libcli11-dev nlohmann-json3-dev libfmt-dev libonnx-dev libprotobuf-dev protobuf-compiler
  libsndfile1-dev libsoxr-dev libkissfft-dev libpng-dev libjpeg62-turbo-dev
  libsentencepiece-dev pkg-config"
packages_test="libgtest-dev libgmock-dev clang-16 libclang-rt-16-dev python3-torch python3-torchvision python3-numpy python3-venv
  python3-sentencepiece libopenblas0-pthread g++-aarch64-linux-gnu qemu-user"

stage_name=
stage_start=0
# stage NAME: ends the stage before it (printing its seconds) and starts a new one; no name ends the last.
stage() {
  now=$(date +%s)
  if [ -n "$stage_name" ]; then echo "==> $stage_name: $((now - stage_start)) s"; fi
  stage_name=${1:-}
  stage_start=$now
  if [ -n "$stage_name" ]; then echo "==> $stage_name"; fi
}

fail() {
  echo "error: $1" >&2
  exit "${2:-1}"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "not root and no sudo: run as root: $*" 3
  fi
}

# install PACKAGE...: by apt-get, only what is missing.
install() {
  missing=
  for p in "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
  done
  if [ -z "$missing" ]; then
    echo "all $# packages are installed"
    return
  fi
  command -v apt-get >/dev/null || fail "no apt-get here; install these by hand:$missing" 3
  echo "installing:$missing"
  # shellcheck disable=SC2086
  {
    as_root apt-get update -qq || fail "apt-get update failed" 3
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >build-packages.log 2>&1 ||
      { tail -n 20 build-packages.log; fail "apt-get install failed, see build-packages.log" 3; }
  }
  rm -f build-packages.log
}

# python_environment: build/venv with LiteRT and ONNX Runtime, the runtimes the tests compare against.
python_environment() {
  venv=build/venv
  wanted="ai-edge-litert==2.3.0 numpy onnxruntime==1.31.1 onnx==1.23.2 ethos-u-vela==5.2.0"
  if [ "$(cat $venv/installed 2>/dev/null)" = "$wanted" ]; then
    echo "$venv is complete"
  else
    mkdir -p build
    rm -rf $venv
    /usr/bin/python3 -m venv $venv
    # None of these depends on PyTorch, so nothing is installed twice.
    # shellcheck disable=SC2086
    $venv/bin/pip install --quiet --disable-pip-version-check $wanted ||
      fail "pip could not install $wanted (NPUPORT_NO_LITERT=1 runs the tests without these comparisons)" 3
    echo "$wanted" >$venv/installed
  fi
}
