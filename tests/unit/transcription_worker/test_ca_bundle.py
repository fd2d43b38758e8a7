"""Certificates that the administrator gave are checked before anything is fetched."""

from pathlib import Path

import certifi
import pytest
from transcription_api import names, reasons
from transcription_worker.ca_bundle import check_ca_bundle
from transcription_worker.errors import WorkerError


@pytest.fixture(autouse=True)
def _no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names.CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_without_a_bundle_the_images_own_certificates_are_used() -> None:
    check_ca_bundle()


@pytest.mark.parametrize("variable", names.CA_VARIABLES)
def test_a_bundle_that_is_there_is_used(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, certifi.where())
    check_ca_bundle()


def test_a_config_map_that_is_missing_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "trusted/ca-bundle.crt"))
    with pytest.raises(WorkerError) as caught:
        check_ca_bundle()
    assert caught.value.reason is reasons.CA_BUNDLE_UNUSABLE
    assert "trusted/ca-bundle.crt, which does not exist" in caught.value.message


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nbroken\n"])
def test_a_file_without_a_certificate_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ca-bundle.crt"
    path.write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(WorkerError, match="which holds no certificate"):
        check_ca_bundle()
