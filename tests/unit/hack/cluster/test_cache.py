"""The test bed's cache keeps what it built until its version or its inputs change."""

from pathlib import Path

import pytest

from hack.cluster import gobuild, store
from hack.cluster.stages import StageError

VERSIONS = {"KUBERNETES": "v1.37.2", "ETCD": "v3.7.0", "COREDNS": "v1", "KIND": "v1", "HELM": "v4", "VERSITYGW": "v1"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRANSCRIPTION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_versions_are_names_and_values_and_comments_are_not() -> None:
    assert store.parse_versions("# etcd\nETCD=v3.7.0\n\nIMAGE=a:b@sha256:1=\n") == {
        "ETCD": "v3.7.0",
        "IMAGE": "a:b@sha256:1=",
    }


@pytest.mark.parametrize("line", ["ETCD", "ETCD=", "et-cd=v1", "=v1"])
def test_a_line_of_versions_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 2.*expected NAME=VALUE"):
        store.parse_versions(f"A=1\n{line}\n")


def test_the_pinned_versions_can_be_read_and_name_every_binary() -> None:
    versions = store.versions()
    assert all(gobuild.wanted_key(name, versions) for name in gobuild.NAMES)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert store.cache() == tmp_path / "cache"
    monkeypatch.delenv("TRANSCRIPTION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.cache() == tmp_path / "xdg" / "transcription-operator"


def test_a_key_changes_with_a_file_s_content_and_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("1")
    before = store.key(tmp_path / "in")
    (tmp_path / "in" / "a").write_text("2")
    changed = store.key(tmp_path / "in")
    (tmp_path / "in" / "a").rename(tmp_path / "in" / "b")
    assert len({before, changed, store.key(tmp_path / "in")}) == 3


def test_a_key_tells_two_texts_from_their_concatenation() -> None:
    assert store.key("ab", "c") != store.key("a", "bc")


def test_a_binary_is_missing_until_it_is_there_with_the_key_of_its_version(cache: Path) -> None:
    assert gobuild.missing(["etcd"], VERSIONS) == ["etcd"]
    (gobuild.folder() / "etcd").touch()
    (gobuild.folder() / ".etcd.key").write_text(gobuild.wanted_key("etcd", VERSIONS))
    assert gobuild.missing(["etcd"], VERSIONS) == []
    assert gobuild.missing(["etcd"], {**VERSIONS, "ETCD": "v3.7.1"}) == ["etcd"]


def test_another_program_s_new_version_does_not_rebuild_a_binary() -> None:
    assert gobuild.wanted_key("kubectl", VERSIONS) == gobuild.wanted_key("kubectl", {**VERSIONS, "ETCD": "v3.7.1"})


def test_an_unknown_binary_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(StageError, match="no such binary: minikube; expected one of kube-apiserver"):
        gobuild.missing(["etcd", "minikube"], VERSIONS)


def test_kubernetes_staging_modules_are_replaced_by_their_releases() -> None:
    released = "module k8s.io/kubernetes\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tk8s.io/cri-api => ./staging/x\n)\n"
    text = gobuild.kubernetes_go_mod("v1.37.2", released)
    assert "require k8s.io/kubernetes v1.37.2\n" in text
    assert "replace (\n\tk8s.io/api => k8s.io/api v0.37.2\n\tk8s.io/cri-api => k8s.io/cri-api v0.37.2\n)\n" in text


def test_a_release_without_staging_modules_is_refused() -> None:
    with pytest.raises(StageError, match=r"v2\.0\.0: no staging modules"):
        gobuild.kubernetes_go_mod("v2.0.0", "module k8s.io/kubernetes\n")


@pytest.mark.parametrize(("older", "newer"), [("1.9", "1.26"), ("1.26", "1.26.8"), ("1.26.8", "1.100rc1")])
def test_go_versions_are_compared_as_numbers(older: str, newer: str) -> None:
    assert gobuild.version_tuple(older) < gobuild.version_tuple(newer)
