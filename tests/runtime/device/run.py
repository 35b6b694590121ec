"""Cross-builds for 64-bit ARM and runs the result under qemu.

    run.py --worker FILE --build FOLDER                          the device's libraries alone
    run.py --npuport FILE --build FOLDER --sysroot FOLDER        executor and pipelines: a sound to its text, a picture to a
                                                                 larger one, held against this machine's
    run.py --npuport FILE --build FOLDER --sysroot FOLDER --worker FILE --ncc FILE      the same pipelines without the executor:
                                                                 the Neuron stand-in computes, by the build machine's
                                                                 reference kernels
"""

import argparse
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib

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


def cross_build(args, definitions, targets):
    subprocess.run(["cmake", "-S", ROOT, "-B", args.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
                    f"-DCMAKE_TOOLCHAIN_FILE={args.toolchain}", "-DNPUPORT_TESTS=ON", *definitions], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", args.build, *targets], check=True)


def check_machine(program):
    with open(program, "rb") as f:
        machine = struct.unpack_from("<H", f.read(20), 18)[0]
    assert machine == 183, f"the program is for machine {machine}, not for AArch64 (183)"


def port_of(args, demo, out, *options):
    """Without samples: this is about the files, other tests prove them."""
    project = os.path.join(ROOT, "demo", demo, "port.toml")
    with open(project, encoding="utf-8") as f:
        lines = ["samples = []\n" if line.startswith("samples") else line for line in f]
    folder = os.path.join(args.build, demo)
    shutil.copytree(os.path.dirname(project), folder, dirs_exist_ok=True)
    with open(os.path.join(folder, "plain.toml"), "w", encoding="utf-8") as f:
        f.writelines(lines)
    subprocess.run([args.npuport, "--quiet", "port", os.path.join(folder, "plain.toml"), "--target", "mt8371", "-o", out,
                    *options], check=True, stdout=subprocess.DEVNULL)


def write_picture(path, width, height):
    """A PNG of colour ramps."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes((7 * x + 3 * y) % 256 for x in range(3 * width)) for y in range(height))
    write(path, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
          chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def translate_there(args, on_device, backend, options):
    """One bundled sentence, greedily and with two beams: PyTorch's text both times."""
    port = os.path.join(args.build, "text-port")
    port_of(args, "marian-nano", port, *options)
    with open(os.path.join(ROOT, "demo", "marian-nano", "sentences.tsv"), encoding="utf-8") as f:
        sentence, wanted = f.read().splitlines()[1].split("\t")[1:3]
    text = on_device("text", port, sentence, backend)
    assert text == f"{wanted} | {wanted}\n", text
    return text.strip()


def pipelines(args):
    if not os.path.isdir(args.sysroot):
        print(f"SKIPPED: {args.sysroot} is not there (tools/arm64-sysroot fetches it)")
        return 0
    if not args.worker and not os.environ.get("NPUPORT_TEST_ARM_EXECUTOR"):
        print("SKIPPED: the executor takes minutes to compile; NPUPORT_TEST_ARM_EXECUTOR=1 (tools/check-all arm) does it")
        return 0
    libraries = os.path.join(args.sysroot, "usr", "lib", "aarch64-linux-gnu")
    definitions, options, environment, backend = [f"-DNPUPORT_SYSROOT={args.sysroot}"], [], [], "host"
    if args.worker:
        definitions += ["-DNPUPORT_RUNTIME_ONLY=ON", f"-DNPUPORT_STANDIN_WORKER={args.worker}"]
        options = ["--tool", "ncc-tflite=" + args.ncc]
        environment = ["-E", "NPUPORT_NEURON_LIBRARY=" + os.path.join(args.build, "tests", "runtime", "device", "libstandin_neuron.so")]
        backend = "neuron"
    else:
        definitions.append("-DNPUPORT_ONEDNN=OFF")
    cross_build(args, definitions, ["device_pipelines", *(["standin_neuron"] if args.worker else [])])
    program = os.path.join(args.build, "device_pipelines")
    check_machine(program)
    speech, picture = os.path.join(args.build, "speech-port"), os.path.join(args.build, "picture-port")
    port_of(args, "whisper-nano", speech, *options)
    port_of(args, "edsr-nano", picture, *options)
    sound = os.path.join(ROOT, "demo", "whisper-nano", "clip001.wav")
    small = os.path.join(args.build, "small.png")
    write_picture(small, 40, 30)  # one tile: the emulated processor takes its time
    there, here = os.path.join(args.build, "there.png"), os.path.join(args.build, "here.png")
    def on_device(*words):
        done = subprocess.run(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-E", "LD_LIBRARY_PATH=" + libraries, *environment, program,
                               *words], capture_output=True, text=True, timeout=2400)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    on_device("picture", picture, small, backend, there)
    said = on_device("speech", speech, sound, backend)
    with open(os.path.join(ROOT, "demo", "whisper-nano", "baseline", "baseline_clip001.json"), encoding="utf-8") as f:
        wanted = json.load(f)
    assert said == f"{wanted['language']}: {wanted['text']}\n", said
    told = subprocess.run([args.npuport, "--json", "upscale", small, "--model", picture, "--backend", "host", "--reference", there,
                           "-o", here], check=True, capture_output=True, text=True)
    psnr = float(json.loads(told.stdout)[0]["reference"]["psnr"])
    assert psnr > 60, f"PSNR {psnr} dB between the two machines' pictures"
    translated = "no translation: the folder of libraries has no SentencePiece"
    if os.path.exists(os.path.join(libraries, "libsentencepiece.so")):
        translated = translate_there(args, on_device, backend, options)
    print("pipelines ok on", backend + ":", said.strip(), "PSNR", psnr, translated)
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker")
    parser.add_argument("--npuport")
    parser.add_argument("--sysroot")
    parser.add_argument("--ncc")
    parser.add_argument("--build", required=True)
    parser.add_argument("--toolchain", default=os.path.join(ROOT, "cmake", "aarch64-linux-gnu.cmake"))
    args = parser.parse_args()
    for tool in ("aarch64-linux-gnu-g++", "qemu-aarch64", "ninja"):
        if not shutil.which(tool):
            print(f"SKIPPED: {tool} is not installed")
            return 0
    if args.sysroot:
        return pipelines(args)
    cross_build(args, ["-DNPUPORT_RUNTIME_ONLY=ON", f"-DNPUPORT_STANDIN_WORKER={args.worker}"], [])
    port = os.path.join(args.build, "port")
    make_port(port)
    program = os.path.join(args.build, "device_smoke")
    check_machine(program)
    library = os.path.join(args.build, "tests", "runtime", "device", "libstandin_neuron.so")
    subprocess.run(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", program, port, library], check=True, timeout=300)
    return 0


if __name__ == "__main__":
    sys.exit(main())
