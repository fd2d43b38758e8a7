"""A page of a list is so small that the operator has room for it, however long the specs are that tenants write."""

from transcription_api import names
from transcription_operator.cluster import PAGE_SIZE
from transcription_operator.models.objects import Key

from tests.support.kubernetes_objects import SPEC
from tests.support.operator_parts import Parts
from tests.support.scripted_apiserver import ScriptedApiserver, connected, scripted_apiserver

# Bytes of the keys that one TranscriptionJob may name, by a rule of its schema. The Job that plans has them too.
LONGEST_KEYS = 131_072
# What a page is while it is read: its text, and the objects of it with the overhead of Python.
COPIES = 3
# A part of the operator's limit in the chart, which is 512Mi: Kopf lists resources and Jobs while the resync does.
MOST_BYTES = 24 * 2**20


def put_resources(server: ScriptedApiserver, count: int) -> None:
    for number in range(count):
        path = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/team-a/{names.PLURAL}/r{number}"
        server.put(path, {"kind": names.KIND, "metadata": {"name": f"r{number}", "namespace": "team-a"}, "spec": SPEC})


async def test_pages_of_the_longest_specs_fit_into_the_operators_memory() -> None:
    async with scripted_apiserver() as server, connected(server) as connection:
        put_resources(server, 3)
        parts = Parts(connection)
        await parts.resync.list_all()
        assert parts.cache.resource(Key("team-a", "r2"))
    limits = {
        word.partition("=")[2]
        for line in server.requests
        for word in line.split("?")[-1].split("&")
        if "limit=" in word
    }
    assert limits == {str(PAGE_SIZE)}
    assert COPIES * LONGEST_KEYS * PAGE_SIZE <= MOST_BYTES
