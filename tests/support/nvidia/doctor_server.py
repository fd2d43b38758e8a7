"""Run the doctor again and again with another driver each time, importing torch once.

Each line of standard input is a Case as JSON. For each a child is forked, in which CUDA has not been started; it runs
`doctor --json` and the line of its answer is the doctor's report with the exit code.
"""

import io
import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from transcription_api.spec import DevicePolicy
from transcription_worker import cuda_driver, device, nvml
from transcription_worker.doctor import run_doctor


def main() -> None:
    """Answer cases until standard input ends."""
    for line in sys.stdin:
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, json.dumps(answer(json.loads(line)), allow_nan=False).encode())
            os._exit(0)  # a call that hangs does not hold it up
        os.close(writer)
        with os.fdopen(reader) as answered:
            print(answered.read(), flush=True)
        os.wait()


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Return the doctor's report on a case."""
    os.environ.update(case["environment"])
    nvml.DEV, nvml.PROC_VERSION = Path(case["dev"]), Path(case["proc"])
    observe = device.observe_device
    if (torch_says := case["torch"]) is not None:
        replay(torch_says)
    run_doctor.__globals__["observe_device"] = lambda: observe(case["limit"])
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = run_doctor(DevicePolicy.REQUIRE_GPU, as_json=True)
    report: dict[str, Any] = json.loads(printed.getvalue())
    return report | {"exitCode": code, "hangs": cuda_driver.hangs()}


def replay(recorded: dict[str, Any]) -> None:
    """Have torch say what it said on a real GPU, where the stand-in has no answer for it.

    recorded: cuda and built_for of torch's build, where it is another one than that which is installed; gpus, which torch
    started; init_error or kernel_error, its words.
    """
    if "built_for" in recorded:
        torch._C._cuda_getArchFlags = lambda: recorded["built_for"]
        torch.version.cuda = recorded["cuda"]

    def init() -> None:
        if recorded.get("init_error"):
            raise RuntimeError(recorded["init_error"])

    torch.cuda.init = init
    torch.cuda.device_count = lambda: len(recorded.get("gpus", ()))
    device._gpu = lambda index: nvml.GPU(*recorded["gpus"][index])
    device.kernel_error = lambda device: recorded.get("kernel_error")  # noqa: ARG005 - called by its name


if __name__ == "__main__":
    main()
