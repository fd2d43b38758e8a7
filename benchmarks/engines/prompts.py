"""Bring recordings of a person who reads English, with what she says: the voice prompts of Asterisk, packages of Debian.

They are Creative Commons BY-SA 3.0 (c) Digium, read by Allison Smith, and are downloaded for benchmarks alone. Of the prompts
whose text is known those of MIN_SECONDS and more are taken, but of the many below SHORT_SECONDS one of SHORT_EVERY.
"""

import gzip
import hashlib
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

from benchmarks.engines.corpus import Recording
from tests.support.cached_files import project_cache, write_whole

# Packages with their SHA-256: the sound, and the text.
VERSION = "1.6.1-1"
SOUNDS, TEXTS = "asterisk-core-sounds-en-g722", "asterisk-core-sounds-en"
DIGESTS = {
    SOUNDS: "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
    TEXTS: "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
}
FOLDER, TEXT_FILE = "usr/share/asterisk/sounds/en_US_f_Allison", f"usr/share/doc/{TEXTS}/core-sounds-en.txt.gz"
MIN_SECONDS = 2.0
SHORT_SECONDS, SHORT_EVERY = 5.0, 12
# Its text is in brackets: monkeys scream.
NO_SPEECH = ("tt-monkeys",)


def prompt_recordings(count: int) -> list[Recording]:
    """Return up to `count` of 58 recordings of 2 to 73 s as WAV files, the longest first, as a shard has its files.

    Where fewer are wanted than there are, every n-th is taken, and the longest.

    Raises:
        FileNotFoundError, subprocess.CalledProcessError: not on Debian, or the packages are not to be had.
        ValueError: a package is another one.
    """
    folder = project_cache() / "prompts" / VERSION
    if not folder.exists():
        write_whole(folder, _unpack)
    texts = _texts(folder)
    read = [Recording(path, _seconds(path), texts[path.stem]) for path in folder.glob("*.wav") if path.stem in texts]
    read.sort(key=lambda one: (-one.seconds, one.path))
    found = [one for one in read if one.seconds >= SHORT_SECONDS]
    found += [one for one in read if MIN_SECONDS <= one.seconds < SHORT_SECONDS][::SHORT_EVERY]
    return [found[number * len(found) // count] for number in range(count)] if count < len(found) else found


def _unpack(folder: Path) -> None:
    folder.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        for name in DIGESTS:
            subprocess.run(["dpkg-deb", "-x", str(_download(name, Path(scratch))), scratch], check=True)
        shutil.copy(Path(scratch) / TEXT_FILE, folder)
        for path in (Path(scratch) / FOLDER).glob("*.g722"):
            target = str(folder / f"{path.stem}.wav")
            subprocess.run(["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path), target], check=True)


def _download(name: str, folder: Path) -> Path:
    command = ["apt-get", "download", "-q", f"{name}={VERSION}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    path = folder / f"{name}_{VERSION}_all.deb"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != DIGESTS[name]:
        raise ValueError(f"{path.name}: SHA-256 {found}; expected {DIGESTS[name]}")
    return path


def _texts(folder: Path) -> dict[str, str]:
    """Return what is said, by the name of the prompt. A line is `name: text`; a text in brackets describes a sound."""
    lines = gzip.decompress((folder / Path(TEXT_FILE).name).read_bytes()).decode("utf-8", "replace").splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line and not line.startswith(";"))
    return {name.strip(): text.strip() for name, text in pairs if text.strip() and name.strip() not in NO_SPEECH}


def _seconds(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())
