"""Cross-builds the device's libraries for 64-bit ARM and runs them under qemu: run.py --worker FILE --build FOLDER."""

import argparse
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

MODEL = """graph "p" {
  input %token_embeddings: f32[1,2,3]
  input %image: f32[1,1,3,2]
  %t: f32[1,3,2] = transpose(%token_embeddings) perm=[0,2,1]
  %r: f32[1,1,3,2] = reshape(%t) shape=[1,1,3,2]
  %y: f32[1,1,3,2] = add(%image, %r)
  output %y
}
"""


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return hashlib.sha256(data).hexdigest()


def make_port(folder):
    """The port of the runtime's tests: ids and an image behind an embedding table and an NHWC border."""
    os.makedirs(folder, exist_ok=True)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }".ljust(117) + b"\n"
    rows = [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32]
    table = write(os.path.join(folder, "token_embedding.npy"),
                  b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<12f", *rows))
    model = MODEL.encode()
    dla = write(os.path.join(folder, "p.dla"), b"STANDIN-DLA".ljust(16, b"\0") + struct.pack("<Q", len(model)) + model)
    image = {"name": "image", "dtype": "float32", "shape": [1, 1, 3, 2], "permutation": [0, 2, 3, 1]}
    part = {"name": "p", "file": "p.dla", "sha256": dla,
            "inputs": [{"name": "token_embeddings", "dtype": "float32", "shape": [1, 2, 3]}, image],
            "outputs": [dict(image, name="y")],
            "io": {"version": 1,
                   "inputs": [{"name": "ids", "dtype": "int64", "shape": [1, 2]},
                              {"name": "image", "dtype": "float32", "shape": [1, 2, 1, 3]}],
                   "outputs": [{"name": "y", "dtype": "float32", "shape": [1, 2, 1, 3]}],
                   "file_inputs": [{"name": "token_embeddings"}, {"name": "image", "permutation": [0, 2, 3, 1]}],
                   "file_outputs": [{"name": "y", "permutation": [0, 2, 3, 1]}],
                   "host_steps": [{"kind": "embedding_lookup", "when": "before", "inputs": ["ids"],
                                   "outputs": ["token_embeddings"], "module": "e", "file": "token_embedding.npy",
                                   "sha256": table}]}}
    metadata = {"version": 1, "name": "p", "parts": [part], "task": {"kind": "asr"}}
    write(os.path.join(folder, "p_metadata.json"), json.dumps(metadata).encode())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--toolchain", default=os.path.join(ROOT, "cmake", "aarch64-linux-gnu.cmake"))
    args = parser.parse_args()
    for tool in ("aarch64-linux-gnu-g++", "qemu-aarch64", "ninja"):
        if not shutil.which(tool):
            print(f"SKIPPED: {tool} is not installed")
            return 0
    subprocess.run(["cmake", "-S", ROOT, "-B", args.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                    "-DCMAKE_CXX_FLAGS_RELEASE=-O1", f"-DCMAKE_TOOLCHAIN_FILE={args.toolchain}", "-DNPUPORT_RUNTIME_ONLY=ON",
                    "-DNPUPORT_TESTS=ON", f"-DNPUPORT_STANDIN_WORKER={args.worker}"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", args.build], check=True)
    port = os.path.join(args.build, "port")
    make_port(port)
    program = os.path.join(args.build, "device_smoke")
    with open(program, "rb") as f:
        machine = struct.unpack_from("<H", f.read(20), 18)[0]
    assert machine == 183, f"the program is for machine {machine}, not for AArch64 (183)"
    library = os.path.join(args.build, "tests", "runtime", "device", "libstandin_neuron.so")
    subprocess.run(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", program, port, library], check=True, timeout=300)
    return 0


if __name__ == "__main__":
    sys.exit(main())
