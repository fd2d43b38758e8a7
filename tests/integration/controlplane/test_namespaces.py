"""An operator of some namespaces serves those that it can, whatever is wrong with the others."""

from pathlib import Path

from tests.support.controlplane import ControlPlane
from tests.support.operator_process import NAMESPACED, grant_rights, running_operator
from tests.support.simulated_cluster import Namespace, until


def test_a_namespace_without_rights_and_one_that_is_missing_do_not_stop_the_others(
    plane: ControlPlane, tmp_path: Path
) -> None:
    api = plane.api()
    forbidden, served = Namespace(api, "forbidden"), Namespace(api, "served")
    grant_rights(plane, NAMESPACED, namespaces=["served"])
    log = tmp_path / "operator.log"
    with running_operator(plane, log, account=NAMESPACED, namespaces="missing,forbidden,served") as operator:
        served.create("interview")
        served.until_running("interview", "False", "WaitingForPod")
        status, text = operator.get("/readyz")
        assert (status, text.partition("\n")[0]) == (200, "ok")
        assert "forbidden cannot be listed: 403" in text
        assert "missing cannot be listed: 403" in text
        assert operator.metric("transcription_namespaces_unavailable") == 2
        forbidden.create("interview")
        missing = Namespace(api, "missing")
        missing.create("interview")
        grant_rights(plane, NAMESPACED, namespaces=["served", "forbidden", "missing"])
        for late in (forbidden, missing):
            late.until_running("interview", "False", "WaitingForPod")
        until(lambda: operator.metric("transcription_namespaces_unavailable") == 0, "all namespaces", 60)
        assert operator.get("/readyz") == (200, "ok")
        assert "Traceback" not in log.read_text()
    api.close()
