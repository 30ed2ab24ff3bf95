"""The named endpoints and the server's bounds, used by scripts: results, isolation, hostile input."""

from __future__ import annotations

import io
import json
import secrets
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.doubles.ui_server import PATIENCE, new_client

if TYPE_CHECKING:
    from gradio_client import Client

    from tests.doubles.ui_server import Served

pytestmark = pytest.mark.embedded


def fetch(served: Served, address: str) -> bytes:
    """The body of one of the server's addresses."""
    with urllib.request.urlopen(served.url + address) as answer:
        body: bytes = answer.read()
    return body


def status(served: Served, address: str) -> int:
    """The HTTP status of one of the server's addresses."""
    return httpx.get(served.url + address, follow_redirects=False).status_code


def test_a_set_by_script_has_progress_summary_pictures_and_report(
    client: Client, served: Served, embedded_side: int
) -> None:
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
        assert picture.size == (embedded_side, embedded_side)
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
        ({"strength": 2}, "from 0.1 to 1.3"),
        ({"strength": "1"}, "from 0.1 to 1.3"),
        ({"target": {"light": -0.5, "medium": 1, "dark": 0.5}}, "share"),
        ({"seed": -(10**40)}, "seed"),
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
    return httpx.get(f"{served.url}gradio_api/call/{endpoint}/{event}", timeout=PATIENCE).text


@pytest.mark.parametrize(
    ("endpoint", "data", "says"),
    [
        (
            "generate",
            r'"a \ud800 nurse", "uniform", null, 1, "auto", 0, 4, "", 1, null',
            "halves of characters",
        ),
        ("audit", r'"a nurse\n\udfff", "uniform", null, 1, null, 0, "", null', "halves of characters"),
        ("generate", '"a nurse", "", {"light": NaN, "dark": 0.5}, 1, "auto", 0, 4, "", 1, null', "share"),
        ("generate", '"a nurse", "uniform", null, Infinity, "auto", 0, 4, "", 1, null', "from 1 to 60"),
        ("generate", '"a nurse", "uniform", null, 1, "auto", 0, 4, "", NaN, null', "from 0.1 to 1.3"),
    ],
)
def test_json_that_no_library_would_send_gets_a_sentence(
    served: Served, endpoint: str, data: str, says: str
) -> None:
    base = f"{served.url}gradio_api/call/{endpoint}"
    kind = {"content-type": "application/json"}
    event = httpx.post(base, content=f'{{"data": [{data}]}}', headers=kind).json()["event_id"]
    assert says in httpx.get(f"{base}/{event}", timeout=PATIENCE).text


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
    paths = httpx.post(f"{served.url}gradio_api/upload", files=files, timeout=PATIENCE).json()
    given = [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]
    assert "too many" in call(served, "check", [given, "uniform", None])
    too_large = httpx.post(
        f"{served.url}gradio_api/upload", files={"files": ("x.png", b"\0" * 26_000_000)}, timeout=PATIENCE
    )
    assert too_large.status_code == 413
    assert httpx.post(f"{served.url}gradio_api/call/spec", content=b" " * 2_100_000).status_code == 413


def test_stop_by_script(served: Served, client: Client) -> None:
    job = client.submit("a portrait of an engineer", count=60, api_name="/generate")
    while not job.outputs() or job.outputs()[-1]["generated"] == 0:
        time.sleep(0.05)
    client.predict(job.outputs()[-1]["run"], api_name="/stop")
    last = job.result(timeout=PATIENCE)
    assert last["state"] == "stopped"
    assert 0 < len(last["pictures"]) < 60
    assert last["report"]


def test_a_stopped_set_is_gone_on_with_by_script(served: Served, client: Client) -> None:
    job = client.submit("a portrait of a pilot", count=9, seed=4, api_name="/generate")
    while not job.outputs() or job.outputs()[-1]["generated"] == 0:
        time.sleep(0.05)
    client.predict(job.outputs()[-1]["run"], api_name="/stop")
    stopped = job.result(timeout=PATIENCE)
    done = client.submit(stopped["run"], api_name="/resume").result(timeout=PATIENCE)
    assert done["state"] == "done"
    assert done["pictures"][: len(stopped["pictures"])] == stopped["pictures"]
    whole = client.submit("a portrait of a pilot", count=9, seed=4, api_name="/generate").result(
        timeout=PATIENCE
    )
    assert done["measured"] == whole["measured"]
    assert [p["seed"] for p in done["pictures"]] == [p["seed"] for p in whole["pictures"]]
    with pytest.raises(AppError, match="nothing to continue"):
        client.predict(done["run"], api_name="/resume")


def test_audits_by_script_are_stopped_resumed_and_compared(served: Served, client: Client) -> None:
    prompts = "\ufeff# [high]\r\na CEO\r\n# [low]\r\na janitor\r\n"
    arms = ["none", "prompt"]
    whole = client.submit(prompts, count=2, arms=arms, api_name="/audit").result(timeout=PATIENCE)
    assert whole["state"] == "done"
    assert {name: arm["sets"] for name, arm in whole["arms"].items()} == {"none": 2, "prompt": 2}
    assert {s["prompt"] for s in whole["summary"]["sessions"]} == {"a CEO", "a janitor"}
    assert str(served.runs) not in json.dumps(whole)
    assert b"a janitor" in fetch(served, whole["report"])
    job = client.submit(prompts, count=2, arms=arms, api_name="/audit")
    while not job.outputs() or job.outputs()[-1]["state"] != "sampling":
        time.sleep(0.05)
    client.predict(job.outputs()[-1]["run"], api_name="/stop")
    stopped = job.result(timeout=PATIENCE)
    assert stopped["state"] == "stopped"
    done = client.submit(stopped["run"], api_name="/resume").result(timeout=PATIENCE)
    assert done["state"] == "done"
    found = client.predict(whole["run"], done["run"], api_name="/compare")
    assert [s["difference"] for s in found["sets"]] == [0.0] * 4
    stranger = new_client(served.url)
    for call_ in (("/resume", done["run"]), ("/compare", done["run"], whole["run"])):
        with pytest.raises(AppError, match="not yours"):
            stranger.predict(*call_[1:], api_name=call_[0])
    stranger.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prompts": "x\n" * 200_000}, "400,000 characters"),
        ({"prompts": ["a nurse"]}, "must be text"),
        ({"prompts": "# nobody"}, "holds no prompts"),
        ({"prompts": "a nurse\n" + "y" * 2000}, "line 2"),
        ({"arms": []}, "Choose what to compare"),
        ({"arms": ["magic"]}, "Choose what to compare"),
        ({"arms": "none"}, "Choose what to compare"),
        ({"count": -3}, "from 1 to 60"),
        ({"count": 10**30}, "from 1 to 60"),
        ({"prompts": "\n".join(f"a nurse {n}" for n in range(400)), "count": 60}, "at most 3,000"),
        ({"spec": "name: x\nversion: 1"}, "is missing"),
    ],
)
def test_wrong_audits_get_a_sentence_and_leave_nothing(
    client: Client, served: Served, changes: dict[str, Any], says: str
) -> None:
    before = set(served.runs.glob("web-audit-*"))
    with pytest.raises(AppError, match=says) as caught:
        client.predict(**({"prompts": "a nurse", "count": 1} | changes), api_name="/audit")
    assert "Traceback" not in str(caught.value)
    assert set(served.runs.glob("web-audit-*")) == before


def test_a_model_is_asked_and_its_target_approved_by_script(client: Client, served: Served) -> None:
    from tests.doubles.llm_server import fixture_reply, replies, serving

    key = "sk-scripts-own-0123456789abcdef"
    with serving(replies(fixture_reply())) as server:
        job = client.submit("a nurse", "fixture-model", f"{server.url}", key, samples=2, api_name="/ask")
        proposed = job.result(timeout=PATIENCE)
    assert proposed["state"] == "done"
    assert proposed["approval"] == "unapproved"
    with pytest.raises(AppError, match="approve it"):
        client.predict("a nurse", count=1, spec=proposed["yaml"], api_name="/generate")
    with pytest.raises(AppError, match="needs a name"):
        client.predict(proposed["yaml"], " ", api_name="/approve")
    signed = client.predict(proposed["yaml"], "A. Person", api_name="/approve")
    assert signed["approval"] == "approved"
    made = client.submit("a nurse", count=1, spec=signed["yaml"], api_name="/generate").result(
        timeout=PATIENCE
    )
    assert made["summary"]["spec_hash"] == signed["hash"]
    written = [served.log, *served.runs.rglob("*")]
    assert not [f for f in written if f.is_file() and key.encode() in f.read_bytes()]
    assert key not in json.dumps([proposed, signed, made])


def test_no_error_of_ours_reaches_the_log(served: Served) -> None:
    with pytest.raises(HTTPError):
        fetch(served, "files/x/y/z.png")
    # Gradio itself logs the paths that it refuses.
    assert "fairgen/ui" not in served.log.read_text()
