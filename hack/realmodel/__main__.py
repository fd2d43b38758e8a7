"""Write the converted model to a file: `python -m hack.realmodel tiny.en.pt`."""

import argparse
import sys
from pathlib import Path

from hack.realmodel.conversion import convert
from hack.realmodel.package import MissingModelError, model_bin


def main() -> None:
    """Convert the model."""
    parser = argparse.ArgumentParser(prog="python -m hack.realmodel", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="the file to write, in a folder that exists")
    checkpoint: Path = parser.parse_args().checkpoint
    try:
        convert(model_bin(), checkpoint)
    except (MissingModelError, ValueError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {checkpoint}: cannot be written: {error.strerror}; expected a file in a folder that exists")


if __name__ == "__main__":
    main()
