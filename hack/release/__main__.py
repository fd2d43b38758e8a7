"""Keep the code, the resource definition and the chart of the commit that hack/versions.env calls LAST_RELEASE.

The archive is in the repository, since a clone may lack the commit. Run it after a release: python -m hack.release.
"""

import lzma
import subprocess

from hack.release.archive import ARCHIVE, CONTENTS, ROOT, last_release

if __name__ == "__main__":
    command = ["git", "archive", "--format=tar", last_release(), *CONTENTS]
    packed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    ARCHIVE.write_bytes(lzma.compress(packed, preset=9))
    print(f"wrote {ARCHIVE}")
