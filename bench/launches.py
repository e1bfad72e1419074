"""From the click on Launch to the answer: at rest, and while metrics are sampled and usage is settled."""

import re
import secrets
import time
from collections.abc import Iterator

from bench.client import Answer, Client
from bench.figures import Figure, median, p95
from bench.servers import plain, worker
from bench.sizes import Sizes
from bench.stage import Stage, wait_until

NAMES = ("launch_response_ms", "launch_response_busy_ms")
GOAL_MS = 150
BUSY_SECONDS = 60
_PROJECT = re.compile(r'<option[^>]*value="(prj?_[0-9a-z]+|[a-z]+_[0-9a-z]{26})"')


def measure(stage: Stage, sizes: Sizes) -> Iterator[Figure]:
    """p95 of launches without and with a busy worker; the baseline is a plain form that redirects."""
    with plain(stage.folder) as port:
        client = Client(port)
        baseline = [client.post("/", name=f"web-{number}").milliseconds for number in range(sizes.launches)]
        client.close()
    project = find_project(stage.client)
    at_rest = [launch(stage.client, project).milliseconds for _ in range(sizes.launches)]
    facts = {"launches": sizes.launches, "median": round(median(at_rest), 3)}
    yield Figure("launch_response_ms", p95(at_rest), "ms", GOAL_MS, p95(baseline), facts)
    yield _busy(stage, project, sizes.launches, p95(baseline))


def _busy(stage: Stage, project: str, launches: int, baseline: float) -> Figure:
    """Launch while the worker samples every second and charges hours of backlog for all machines."""
    charges, samples = stage.charges(), stage.samples()
    times: list[float] = []
    with worker(stage.config, stage.folder, sample_seconds=1):
        wait_until(lambda: stage.charges() > charges or stage.samples() > samples, 60, "the worker works")
        deadline = time.monotonic() + BUSY_SECONDS
        while len(times) < launches or stage.charges() == charges or stage.samples() == samples:
            if time.monotonic() > deadline:
                raise RuntimeError("the worker neither sampled nor settled meanwhile")
            times.append(launch(stage.client, project).milliseconds)
        facts = {
            "launches": len(times),
            "median": round(median(times), 3),
            "charges_made": stage.charges() - charges,
            "samples_taken": stage.samples() - samples,
        }
        stage.wait_until_settled()
    return Figure("launch_response_busy_ms", p95(times), "ms", GOAL_MS, baseline, facts)


def find_project(client: Client) -> str:
    """The id of the first project that the launch form offers; also takes up the form's token."""
    found = _PROJECT.search(client.get("/vms/new").body)
    assert found is not None, "the launch form offers no project"
    return found[1]


def launch(client: Client, project_id: str) -> Answer:
    """Send the launch form for a nano machine."""
    answer = client.post(
        "/vms/new",
        idempotency_key=secrets.token_hex(16),
        name=f"bench-{secrets.token_hex(4)}",
        project_id=project_id,
        size_id="size_nano",
        image_id="img_tiny",
        ssh_key="",
        user_data="",
    )
    assert answer.status == 303, f"the launch answered {answer.status}: {answer.body[:2000]}"
    return answer
