"""Entry point of `python -m transcription_operator`: reads the settings, then runs until it is told to stop."""

import asyncio
import logging
import os
import sys

from transcription_operator.config import ConfigError, parse_config
from transcription_operator.observability.logs import configure_logs
from transcription_operator.startup import LeaseLostError, run_operator

logger = logging.getLogger("transcription_operator")

# EX_CONFIG of sysexits.h: the settings cannot be used.
EXIT_CONFIG = 78


def main() -> int:
    """Run the operator. The exit status is 0 after a signal, 1 if the lease was lost, and 78 for invalid settings."""
    try:
        config = parse_config(os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging is not configured without settings
        return EXIT_CONFIG
    configure_logs(config.log_format, config.log_level)
    status = 0
    try:
        asyncio.run(run_operator(config))
    except* LeaseLostError as lost:
        logger.error("%s", lost.exceptions[0])  # noqa: TRY400 - a traceback would look like a defect
        status = 1
    except* asyncio.CancelledError:
        logger.info("stopped before the watches began")
    return status


if __name__ == "__main__":
    sys.exit(main())
