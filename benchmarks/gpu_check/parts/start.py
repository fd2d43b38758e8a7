"""Measure the seconds from the start of a process to its first window: imports, the model's load, kernels, CUDA graphs.

A checkpoint with random weights in float16 is written first, and is in the page cache then, as on a node that keeps models.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

FIRST_WINDOW = "--first-window"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the checkpoint, and have a new process load it and transcribe a window, and then one more."""
    import torch

    from benchmarks.engines.random_models import SIZES, dimensions
    from benchmarks.gpu_check.parts.options import begin, part_parser
    from benchmarks.model_load import write_checkpoint

    parser = part_parser(__doc__)
    parser.add_argument("--size", choices=list(SIZES), required=True)
    parser.add_argument("--context", type=int, default=448, help="of the text; half of it are a window's tokens")
    run = begin(parser, arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        write_checkpoint(path, torch.float16, dimensions(run.options.size, run.options.context))
        began = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.gpu_check.parts.start", FIRST_WINDOW, str(path), run.device.type]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                name, _, seconds = line.rpartition("\t")
                run.figures.add(name, float(seconds), "s")
    run.figures.add("the whole process, both windows", time.monotonic() - began, "s")
    return process.returncode


def first_window(path: Path, device: str) -> None:
    """Print the seconds of each stage once it is over. Imports are measured too, so that they are inside."""
    marks = [time.monotonic()]

    def mark(name: str) -> None:
        marks.append(time.monotonic())
        print(f"{name}\t{marks[-1] - marks[-2]:.3f}", flush=True)

    from transcription_api.spec import Precision
    from transcription_worker.engines.batched.engine import BatchedEngine
    from transcription_worker.engines.checkpoints import weights
    from transcription_worker.engines.triton_link import use_prebuilt_link

    from benchmarks.engines.gpu import greedy_options, inputs_of, noise

    mark("imports")
    if device == "cuda":
        use_prebuilt_link()
    model = weights.load(path, "", device, "random", Precision.AUTO)
    mark("the model's load")
    engine = BatchedEngine(model)
    mark("kernels tried and chosen")
    for name in ("the first window, graphs recorded", "the second window"):
        for outcome in engine.transcribe(inputs_of(noise(1), greedy_options())):
            outcome.value()
        mark(name)


if __name__ == "__main__":
    if sys.argv[1:2] == [FIRST_WINDOW]:
        first_window(Path(sys.argv[2]), sys.argv[3])
    else:
        raise SystemExit(main())
