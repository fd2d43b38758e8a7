"""Write the converted model to a file: `python -m hack.realmodel tiny.en.pt`."""

import argparse
from pathlib import Path

from hack.realmodel.conversion import convert
from hack.realmodel.package import model_bin


def main() -> None:
    """Convert the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    convert(model_bin(), parser.parse_args().checkpoint)


if __name__ == "__main__":
    main()
