"""Installs the runtime from a finished build and builds programs against the package: run.py --build FOLDER --out FOLDER."""

import argparse
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    sdk, build = os.path.join(args.out, "sdk"), os.path.join(args.out, "build")
    subprocess.run(["cmake", "--install", args.build, "--prefix", sdk, "--component", "runtime"], check=True,
                   stdout=subprocess.DEVNULL)
    headers = sorted(os.listdir(os.path.join(sdk, "include", "npuport")))
    assert headers == ["npuport_runtime.h", "npuport_runtime.hpp", "npuport_runtime_host.h"], headers
    subprocess.run(["cmake", "-S", HERE, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={sdk}",
                    f"-DEXAMPLE={ROOT}/examples/device.cpp"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([os.path.join(build, "consumer")], check=True)
    usage = subprocess.run([os.path.join(build, "example")], capture_output=True, text=True)
    assert usage.returncode == 2 and "usage" in usage.stderr, usage
    return 0


if __name__ == "__main__":
    sys.exit(main())
