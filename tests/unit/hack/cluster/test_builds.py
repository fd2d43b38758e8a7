"""Builds reach the package registries as the machine does, and stages report their failures correctly."""

import json
import sys
from pathlib import Path

import pytest

from hack.cluster import __main__ as commands
from hack.cluster import builds, gobuild, stages
from hack.cluster.stages import StageError


def test_a_machine_without_settings_of_its_own_gives_a_build_no_secrets() -> None:
    assert builds.secrets_of({"PATH": "/bin"}, False, (), ()) == {}


def test_an_index_in_pip_s_file_reaches_pip_and_uv(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://mirror.test/simple\ncert = /etc/machine.pem\n")
    assert builds.secrets_of({}, False, (file,), ()) == {
        "pip.conf": "[global]\nindex-url = https://mirror.test/simple\n",
        "uv.toml": '[[index]]\nurl = "https://mirror.test/simple"\ndefault = true\n',
    }


def test_the_environment_wins_over_pip_s_file(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.test\n")
    found = builds.secrets_of(
        {"PIP_INDEX_URL": "https://env.test", "UV_DEFAULT_INDEX": "https://uv.test"}, False, (file,), ()
    )
    assert "https://env.test" in found["pip.conf"]
    assert "https://uv.test" in found["uv.toml"]


def test_uv_s_own_file_is_passed_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "uv.toml"
    file.write_text("native-tls = true\n")
    assert builds.secrets_of({}, False, (), (tmp_path / "none", file)) == {"uv.toml": "native-tls = true\n"}


def test_uv_is_told_to_trust_the_system_where_the_machine_has_its_own_certificates() -> None:
    assert builds.secrets_of({}, True, (), ()) == {"uv.toml": "system-certs = true\n"}


def test_proxies_are_passed_by_name_so_that_no_value_is_in_the_command() -> None:
    assert builds.proxy_arguments({"https_proxy": "http://user:secret@proxy.test", "HTTP_PROXY": ""}) == [
        "--build-arg",
        "https_proxy",
    ]


def test_only_stages_from_the_base_image_are_rebased() -> None:
    text = "FROM debian:trixie-slim AS a\nfrom --platform=linux/amd64 debian:trixie-slim\nFROM debian:trixie-slim-x\nFROM a\n"
    assert builds.rebased(text, "debian:trixie-slim", "ours/base") == (
        "FROM ours/base AS a\nfrom --platform=linux/amd64 ours/base\nFROM debian:trixie-slim-x\nFROM a\n"
    )


def test_a_failed_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    code = "print('\\n'.join(f'line {n}' for n in range(99))); raise SystemExit(3)"
    with pytest.raises(StageError) as caught:
        stages.run([sys.executable, "-c", code], tmp_path / "log")
    message = str(caught.value)
    assert "ended with exit code 3" in message
    assert "line 98" in message
    assert "line 50" not in message


def test_a_command_that_takes_too_long_is_ended_and_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"(?s)took more than 2 s.*\nstarted$"):
        stages.run(
            [sys.executable, "-c", "print('started', flush=True); import time; time.sleep(60)"],
            tmp_path / "log",
            timeout=2,
        )


def test_a_command_that_is_not_installed_is_named() -> None:
    with pytest.raises(StageError, match="no-such-program is not installed"):
        stages.output(["no-such-program"])


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(StageError, match="the engine answers: not so after 0 s"):
        stages.wait_for("the engine answers", lambda: False, 0.01, step=0.005)


def test_a_command_line_with_too_few_words_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["load", "image"]) == 2
    assert commands.main(["nosuch"]) == 2
    assert commands.main([]) == 2
    assert "usage:" in capsys.readouterr().err


def test_an_unknown_kind_of_cluster_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLUSTER", "minikube")
    assert commands.main(["up"]) == 1
    assert "CLUSTER=minikube: expected kind or existing" in capsys.readouterr().err


def test_an_existing_cluster_is_neither_started_nor_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLUSTER", "existing")
    assert commands.main(["down"]) == 0
    assert commands.main(["load", "image", "gpu"]) == 1
    assert "push image to a registry" in capsys.readouterr().err


def test_the_shell_text_for_an_existing_cluster_leaves_its_kubeconfig(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TRANSCRIPTION_CACHE", str(tmp_path / "a b"))
    commands.main(["env"])
    assert (
        f"export KUBECONFIG={json.dumps(str(tmp_path / 'a b' / 'kubeconfig'))}".replace('"', "'")
        in capsys.readouterr().out
    )
    monkeypatch.setenv("CLUSTER", "existing")
    commands.main(["env"])
    shown = capsys.readouterr().out
    assert "KUBECONFIG" not in shown
    assert shown.startswith("export PATH=$PATH:")  # the user's own kubectl fits that cluster


def test_the_clients_that_demo_and_tests_call_are_binaries_that_can_be_built() -> None:
    assert set(commands.CLIENTS) <= set(gobuild.NAMES)


def test_the_module_of_something_that_is_not_built_from_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["module", "minikube"]) == 1
    assert "no such module: minikube; expected one of" in capsys.readouterr().err


def test_an_image_of_kueue_has_its_program_where_kueues_chart_calls_it() -> None:
    assert builds.image_path("kueue") == "/manager"
    assert builds.image_path("versitygw") == "/usr/local/bin/versitygw"
