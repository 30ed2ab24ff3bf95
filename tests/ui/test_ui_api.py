"""The named endpoints and the server's bounds, used by scripts: results, isolation, hostile input."""

from __future__ import annotations

import io
import json
import secrets
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from ui_server import new_client

if TYPE_CHECKING:
    from gradio_client import Client
    from ui_server import Served

pytestmark = pytest.mark.embedded


def fetch(served: Served, address: str) -> bytes:
    """The body of one of the server's addresses."""
    with urllib.request.urlopen(served.url + address) as answer:
        body: bytes = answer.read()
    return body


def status(served: Served, address: str) -> int:
    """The HTTP status of one of the server's addresses."""
    return httpx.get(served.url + address, follow_redirects=False).status_code


def test_a_set_by_script_has_progress_summary_pictures_and_report(client: Client, served: Served) -> None:
    job = client.submit("a portrait of a judge", count=3, spec="uniform-lmd3", api_name="/generate")
    states = list(job)
    last = states[-1]
    assert [s["generated"] for s in states] == sorted(s["generated"] for s in states)
    assert last["state"] == "done"
    summary = last["summary"]
    assert summary["count"] == 3
    assert summary["measured"] == last["measured"]
    assert sum(p["in_set"] for p in last["pictures"]) == 3
    assert "out" not in summary
    with Image.open(io.BytesIO(fetch(served, last["pictures"][0]["url"]))) as picture:
        assert picture.size == (128, 128)
    assert b"a portrait of a judge" in fetch(served, last["report"])
    twins = client.submit(last["run"], api_name="/twins").result()
    assert twins["summary"]["steering"] == "none"
    assert {p["seed"] for p in twins["pictures"]} <= {p["seed"] for p in last["pictures"]}
    again = client.predict(last["run"], api_name="/run")
    assert again["sets"]["steered"]["summary"] == summary


def test_specs_by_script(client: Client) -> None:
    names = [spec["name"] for spec in client.predict(api_name="/specs")]
    assert "uniform-ita6" in names
    full = client.predict("uniform-ita6", api_name="/spec")
    assert client.predict(full["yaml"], api_name="/check_spec")["hash"] == full["hash"]
    with pytest.raises(AppError, match="is missing"):
        client.predict("name: x", api_name="/check_spec")


def test_a_check_by_script(client: Client, face: Path) -> None:
    found = client.predict([handle_file(str(face))], api_name="/check")
    assert found["files"] == 1
    assert found["count"] + found["abstained"] == 1
    assert found["pictures"][0]["readings"][0]["box"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prompt": "x" * 100_000}, "100,000 characters"),
        ({"prompt": 7}, "must be text"),
        ({"prompt": ""}, "prompt is empty"),
        ({"count": 10**9}, "from 1 to 60"),
        ({"count": "12"}, "whole number"),
        ({"count": True}, "whole number"),
        ({"count": 1.5}, "whole number"),
        ({"seed": -1}, "seed"),
        ({"max_tries": 99}, "tries"),
        ({"steering": "magic"}, "steering must be one of"),
        ({"spec": "../../etc/passwd"}, "no spec"),
        ({"spec": "specs/uniform-ita6.yaml"}, "no spec"),
        ({"spec": ["uniform"]}, "must be text"),
        ({"target": {"light": 2, "medium": -1, "dark": 0}}, "from 0 to 1"),
        ({"target": [1, 2]}, "each class"),
        ({"model": "../../../etc"}, "model|folder|exist"),
        ({"model": "/etc"}, "model"),
        ({"model": "a\u0000b"}, "model|exist|read"),
        ({"model": {"a": 1}}, "named by a text"),
    ],
)
def test_wrong_values_get_a_sentence(client: Client, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(AppError, match=says) as caught:
        client.predict(**({"prompt": "a nurse", "count": 1} | changes), api_name="/generate")
    assert "Traceback" not in str(caught.value)


def call(served: Served, endpoint: str, data: list[Any], session: str | None = None) -> str:
    """One call over plain HTTP, without the client's checks; the whole answer stream."""
    body = {"data": data} | ({"session_hash": session} if session else {})
    event = httpx.post(f"{served.url}gradio_api/call/{endpoint}", json=body).json()["event_id"]
    return httpx.get(f"{served.url}gradio_api/call/{endpoint}/{event}", timeout=60).text


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "", "a\u0000b", ".", "/proc/self/environ"]
)
def test_only_uploads_can_be_checked(served: Served, path: str) -> None:
    answer = call(served, "check", [[{"path": path, "meta": {"_type": "gradio.FileData"}}], "uniform", None])
    assert "event: error" in answer
    assert "root:" not in answer


def test_nothing_outside_the_runs_can_be_read(served: Served, client: Client) -> None:
    last = client.submit("a nurse", count=1, api_name="/generate").result()
    base = last["report"].rsplit("/", 1)[0]
    assert status(served, f"{base}/report.html") == 200
    for path in (
        "../run.jsonl",
        "..%2f..%2fserver.log",
        "%2e%2e/%2e%2e/server.log",
        "/etc/passwd",
        ".hidden",
        "",
    ):
        assert status(served, f"{base}/{path}") in (307, 400, 404), path  # 307: to the page, beyond the run
    number, key = base.split("/")[1:]
    assert status(served, f"files/{number}/{secrets.token_urlsafe(24)}/report.html") == 404
    assert status(served, f"files/{number}/{key[:-1]}/report.html") == 404
    for path in ("/etc/passwd", str(served.log), "app.py", str(Path(__file__))):
        assert status(served, f"gradio_api/file={path}") == 403, path
    assert status(served, "gradio_api/file=http://example.org/") == 403
    report = httpx.get(served.url + last["report"])
    assert "sandbox" in report.headers["content-security-policy"]
    assert report.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in httpx.get(served.url).headers["content-security-policy"]


def test_picture_bombs_and_floods_of_uploads_are_refused(
    served: Served, client: Client, tmp_path: Path
) -> None:
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(bomb)  # 400 million pixels in 50 kB
    found = client.predict([handle_file(str(bomb))], api_name="/check")
    assert "million pixels that are read" in next(iter(found["unreadable"].values()))
    small = tmp_path / "small.png"
    Image.new("RGB", (8, 8)).save(small)
    files = [("files", (f"{n}.png", small.read_bytes())) for n in range(61)]
    paths = httpx.post(f"{served.url}gradio_api/upload", files=files, timeout=60).json()
    given = [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]
    assert "too many" in call(served, "check", [given, "uniform", None])
    too_large = httpx.post(
        f"{served.url}gradio_api/upload", files={"files": ("x.png", b"\0" * 26_000_000)}, timeout=60
    )
    assert too_large.status_code == 413
    assert httpx.post(f"{served.url}gradio_api/call/spec", content=b" " * 2_100_000).status_code == 413


def test_scripts_get_their_own_results_and_nobody_elses(served: Served) -> None:
    clients = [new_client(served) for _ in range(4)]

    def make(number: int) -> dict[str, Any]:
        job = clients[number].submit(
            f"a portrait of person {number}", count=1, seed=number, api_name="/generate"
        )
        result: dict[str, Any] = job.result(timeout=120)
        return result

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(make, range(4)))
    for number, result in enumerate(results):
        assert result["summary"]["prompt"] == f"a portrait of person {number}"
        assert result["summary"]["seed"] == number
        for other, stranger in enumerate(clients):
            if other == number:
                assert stranger.predict(result["run"], api_name="/run")["run"] == result["run"]
                continue
            for endpoint in ("/run", "/stop", "/twins"):
                with pytest.raises(AppError, match="not yours"):
                    stranger.predict(result["run"], api_name=endpoint)
        with pytest.raises(AppError, match="not yours"):
            clients[number].predict(result["run"][:-1] + "~", api_name="/run")
    for script in clients:
        script.close()


LEAVER = """
import sys, time
from gradio_client import Client
client = Client(sys.argv[1], verbose=False)
job = client.submit("a portrait of a pilot", count=60, seed=9, api_name="/generate")
while not job.outputs() or job.outputs()[-1]["generated"] == 0:
    time.sleep(0.05)
print("made one", flush=True)
time.sleep(600)
"""


def test_a_visitor_who_leaves_frees_the_place(served: Served, client: Client) -> None:
    command = [sys.executable, "-c", LEAVER, served.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as leaver:
        assert leaver.stdout is not None
        assert leaver.stdout.readline() == "made one\n"
        waiting = client.submit("a portrait of a cleaner", count=1, api_name="/generate")
        leaver.kill()  # nothing is said to the server, as when a page is closed
    assert waiting.result(timeout=90)["state"] == "done"
    folders = list(served.runs.glob("web-generate-a-portrait-of-a-pilot-*"))
    records = [json.loads(line) for line in (folders[0] / "run.jsonl").read_text().splitlines()]
    pictures = [record for record in records if record["type"] == "picture"]
    assert len(folders) == 1
    assert 0 < len(pictures) < 60
    assert all((folders[0] / picture["file"]).is_file() for picture in pictures)
    assert "summary" not in {record["type"] for record in records}


def test_stop_by_script(served: Served, client: Client) -> None:
    job = client.submit("a portrait of an engineer", count=60, api_name="/generate")
    while not job.outputs() or job.outputs()[-1]["generated"] == 0:
        time.sleep(0.05)
    client.predict(job.outputs()[-1]["run"], api_name="/stop")
    last = job.result(timeout=60)
    assert last["state"] == "stopped"
    assert 0 < len(last["pictures"]) < 60
    assert last["report"]


def test_no_error_of_ours_reaches_the_log(served: Served) -> None:
    with pytest.raises(HTTPError):
        fetch(served, "files/x/y/z.png")
    # Gradio itself logs the paths that it refuses.
    assert "fairgen/ui" not in served.log.read_text()
