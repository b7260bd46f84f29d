"""``realtime-sync doctor``: what it finds, step by step, and what it advises."""

from __future__ import annotations

import configparser
import json
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme

from realtime_sync.cli import doctor, main
from realtime_sync.server import RealtimeServer
from realtime_sync.transport.tls import CA_VARIABLES
from tests.cli.pseudo_terminal import PseudoTerminal
from tests.devices.fake_sounddevice import FakeSoundDevice

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_authorities_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def diagnose(capsys: Captured, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """The findings by what was checked; of several the worst."""
    assert main(["doctor", "--json", *arguments]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is (code == 0)
    found: dict[str, dict[str, Any]] = {}
    order = ["skip", "ok", "warn", "fail"]
    for finding in sorted(told["findings"], key=lambda each: order.index(each["state"])):
        found[finding["check"]] = finding
    return found


def test_all_is_well_with_a_server_that_takes_the_key(server: RealtimeServer, capsys: Captured) -> None:
    found = diagnose(capsys)
    for check in ("python", "environment", "endpoint", "url", "key", "proxy", "tcp", "session"):
        assert found[check]["state"] == "ok", found[check]
    assert found["url"]["told"].startswith("ws://127.0.0.1:")
    assert "the key is accepted" in found["session"]["told"]
    assert len(server.sessions) == 1


def test_for_people_it_prints_a_line_each_and_never_the_key(server: RealtimeServer, capsys: Captured) -> None:
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "ok    session      the key is accepted" in told
    assert "a-good-key" not in told
    assert max(map(len, told.splitlines())) <= 100


def test_offline_nothing_is_connected_to(server: RealtimeServer, capsys: Captured) -> None:
    found = diagnose(capsys, "--offline")
    assert found["network"]["state"] == "skip"
    assert found["url"]["state"] == "ok"
    assert "session" not in found
    assert len(server.sessions) == 0


def test_a_key_that_is_refused(server: RealtimeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-one-that-is-secret")
    found = diagnose(capsys, code=1)
    assert found["tcp"]["state"] == "ok"
    assert found["session"]["state"] == "fail"
    assert "platform.openai.com/api-keys" in found["session"]["advice"]
    assert "that-is-secret" not in json.dumps(found)


def test_no_key_at_all(capsys: Captured) -> None:
    found = diagnose(capsys, code=1)
    assert found["endpoint"]["state"] == "fail"
    assert "OPENAI_API_KEY" in found["endpoint"]["told"]


def test_where_two_services_are_told_of_it_says_which_is_used(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com")
    assert main(["doctor", "--offline", "--model", "d"]) == 0
    assert "those of Azure are used" not in capsys.readouterr().out  # Azure's are not complete
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a-key")
    found = diagnose(capsys, "--offline", "--model", "d")
    assert "those of Azure are used" in found["environment"]["told"]
    assert "unset AZURE_OPENAI_ENDPOINT" in found["environment"]["advice"]
    for other in (["--local"], ["--endpoint", "https://api.openai.com/v1"]):
        assert main(["doctor", "--offline", *other]) == 0
        assert "those of Azure are used" not in capsys.readouterr().out


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_base_url_without_its_path_is_told(server: RealtimeServer, capsys: Captured, slash: str) -> None:
    bare = server.url.removesuffix("/v1")
    assert bare != server.url
    found = diagnose(capsys, "--endpoint", bare + slash, code=1)
    assert found["session"]["advice"] == "a base URL usually ends in /v1"
    found = diagnose(capsys, "--endpoint", bare + "/v2", code=1)
    assert "--model" in found["session"]["advice"]


def test_nobody_there_and_no_such_name(capsys: Captured, server: RealtimeServer) -> None:
    url = server.url
    server.close()
    found = diagnose(capsys, "--endpoint", url, code=1)
    assert found["tcp"]["state"] == "fail"
    assert "--local" in found["tcp"]["advice"]
    assert "session" not in found
    found = diagnose(capsys, "--endpoint", "http://a-name-that-is-not.invalid/v1", code=1)
    assert found["dns"]["state"] == "fail"


def test_a_proxy_that_is_not_there_is_shown_without_its_password(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    monkeypatch.setenv("http_proxy", "http://user:a-pass-word@127.0.0.1:1")
    found = diagnose(capsys, "--endpoint", "http://example.invalid/v1", code=1)
    assert found["proxy"]["state"] == "fail"
    assert "https_proxy" in found["proxy"]["advice"]
    assert "a-pass-word" not in json.dumps(found)
    assert found["key"]["state"] == "warn", "it goes over the network in the clear"


@pytest.mark.parametrize(
    ("arguments", "endpoint", "url"),
    [
        ([], "v1", "wss://r.openai.azure.com/openai/v1/realtime?model=mine"),
        (
            ["--api-version", "2025-04-01-preview"],
            "preview",
            "wss://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=mine",
        ),
    ],
)
def test_azure_and_which_protocol_of_it(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, arguments: list[str], endpoint: str, url: str
) -> None:
    monkeypatch.setenv("MY_KEY", "a-key")
    where = ["--endpoint", "https://r.openai.azure.com", "--model", "mine", "--key-env", "MY_KEY"]
    found = diagnose(capsys, "--offline", *where, *arguments)
    assert found["endpoint"]["told"].startswith("Azure OpenAI")
    assert endpoint in found["endpoint"]["told"]
    assert "deployment 'mine'" in found["endpoint"]["told"]
    assert sorted(found["url"]["told"].replace("?", "&").split("&")) == sorted(url.replace("?", "&").split("&"))


def test_an_azure_server_that_is_there(capsys: Captured, server: RealtimeServer) -> None:
    found = diagnose(
        capsys, "--azure", "--endpoint", server.azure_endpoint, "--model", "mine", "--key-env", "OPENAI_API_KEY"
    )
    assert found["session"]["state"] == "ok"
    assert server.sessions[0].path == "/openai/v1/realtime"


@pytest.fixture
def secure(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealtimeServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with RealtimeServer(ssl_context=context) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


def test_a_certificate_that_is_not_trusted_and_one_that_is(
    secure: RealtimeServer, ca: trustme.CA, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = diagnose(capsys, code=1)
    assert found["tls"]["state"] == "fail"
    assert "certifi" in found["tls"]["advice"]
    with ca.cert_pem.tempfile() as authority:
        monkeypatch.setenv("SSL_CERT_FILE", authority)
        found = diagnose(capsys)
    assert found["tls"]["state"] == "ok"
    assert "TLSv1" in found["tls"]["told"]
    assert found["session"]["state"] == "ok"


def test_what_is_wrong_in_the_environment_is_seen(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", '"sk-secret"')
    monkeypatch.setenv("AZURE_OPENAI_KEY", "x")
    assert main(["doctor", "--offline"]) in (0, 1)
    told = " ".join(capsys.readouterr().out.split())
    assert "quoted twice" in told
    assert "AZURE_OPENAI_KEY is not read" in told
    assert "sk-secret" not in told


def test_sound_devices_are_named_and_their_absence_is_a_warning(
    server: RealtimeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice())
    found = diagnose(capsys, "--offline")
    assert found["microphone"]["state"] == found["speaker"]["state"] == "ok"
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(devices=False))
    found = diagnose(capsys, "--offline")
    assert found["microphone"]["state"] == "warn"
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    found = diagnose(capsys, "--offline")
    assert found["sound"]["state"] == "warn"
    assert "realtime-sync[devices]" in found["sound"]["told"]


def test_locally_it_looks_at_the_embedded_server(capsys: Captured) -> None:
    assert diagnose(capsys, "--local")["session"]["state"] == "ok"


@pytest.mark.parametrize("columns", [60, 90])
def test_it_fits_a_narrow_terminal(columns: int) -> None:
    with PseudoTerminal("doctor", "--offline", columns=columns) as terminal:
        assert terminal.end() == 1  # there is no key
    assert columns - 12 < max(map(len, terminal.text.splitlines())) <= columns


def test_each_extra_of_a_user_is_looked_for() -> None:
    setup = configparser.RawConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    of_this_project = {"apps", "dev", "docs"}  # for its own examples, tests and pages
    assert set(setup["options.extras_require"]) - of_this_project == set(doctor._EXTRAS)


# The model ------------------------------------------------------------------------------------------------------------


def test_a_model_that_ends_is_told_with_its_successor(server: RealtimeServer, capsys: Captured) -> None:
    found = diagnose(capsys, "--model", "gpt-realtime")
    assert found["model"]["state"] == "warn"
    assert "on 2027-01-20" in found["model"]["told"]
    assert "the service's own word" in found["model"]["told"]
    assert "--model gpt-realtime-2.1" in found["model"]["advice"]
    assert diagnose(capsys, "--model", "gpt-realtime-2.1")["model"]["state"] == "ok"


def test_offline_the_table_tells_whether_a_model_ends(server: RealtimeServer, capsys: Captured) -> None:
    found = diagnose(capsys, "--offline", "--model", "gpt-4o-realtime-preview")
    assert found["model"]["state"] == "warn"
    assert "ended on 2026-05-07 (by the table of " in found["model"]["told"]
    assert diagnose(capsys, "--offline", "--model", "mine")["model"]["state"] == "skip"


def test_of_a_deployment_of_azure_it_says_where_its_date_is(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a-key")
    found = diagnose(capsys, "--offline", "--model", "gpt-realtime")
    assert found["model"]["state"] == "skip"
    assert "portal" in found["model"]["advice"]


class Told(BaseHTTPRequestHandler):
    """A service that has no session to give, and answers for its models as the class says."""

    answers: dict[str, tuple[int, str]]

    def do_GET(self) -> None:
        """A path that is no model's, such as a session's, is not there."""
        status, body = self.answers.get(self.path, (404, "{}"))
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def service_that_tells(monkeypatch: pytest.MonkeyPatch, answers: dict[str, tuple[int, str]]) -> Iterator[None]:
    """Serves these answers, and sets the environment to it."""
    handler = type("Answers", (Told,), {"answers": answers})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as service:
        serving = Thread(target=service.serve_forever, args=(0.01,))
        serving.start()
        try:
            monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{service.server_port}/v1")
            monkeypatch.setenv("OPENAI_API_KEY", "a-secret-key")
            yield
        finally:
            service.shutdown()
            serving.join()


@pytest.mark.parametrize(
    ("body", "state", "told"),
    [
        ('{"shutdown_date": "2001-02-03"}', "warn", "'mine' ended on 2001-02-03 (by the service's own word)"),
        ('{"shutdown_date": "2999-02-03"}', "ok", "'mine' ends on 2999-02-03, in "),
        ('{"shutdown_date": null}', "ok", "no end of 'mine' is announced (by the service's own word)"),
        ('{"shutdown_date": "soon"}', "warn", "'mine' ends on soon"),
        ('{"shutdown_date": 1800000000}', "warn", "'mine' ends on 1800000000"),
        ("{}", "skip", "is not known"),
        ("nonsense", "skip", "is not known"),
    ],
)
def test_the_service_has_the_last_word_of_its_models_if_it_says_one(
    body: str, state: str, told: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service_that_tells(monkeypatch, {"/v1/models/mine": (200, body)}):
        found = diagnose(capsys, "--model", "mine", code=1)
    assert found["session"]["state"] == "fail"
    assert found["model"]["state"] == state
    assert told in found["model"]["told"]
    assert "a-secret-key" not in json.dumps(found)


# GPT-Live -------------------------------------------------------------------------------------------------------------


def test_the_gpt_live_models_that_the_key_may_use_are_told(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "any-key")
    names = ["gpt-realtime-2.1", "gpt-live-1", "gpt-live-transcribe", "gpt-live-1.1"]
    with RealtimeServer(models=names) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        found = diagnose(capsys)
    assert found["gpt-live"]["state"] == "ok"
    assert found["gpt-live"]["told"] == "gpt-live-1.1, gpt-live-1: `realtime-sync talk --live`"
    assert len(server.sessions) == 1, "no live session, which would be paid for"


def test_a_key_without_gpt_live_is_told(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "any-key")
    with RealtimeServer(models=["gpt-realtime-2.1"]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        found = diagnose(capsys)
    assert found["gpt-live"]["state"] == "skip"
    assert "lists no GPT-Live model for this key" in found["gpt-live"]["told"]


@pytest.mark.parametrize("body", ["nonsense", "[]", "{}", '{"data": null}', '{"data": ["gpt-live-1"]}'])
def test_a_service_with_another_list_of_models_is_no_fault(
    body: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service_that_tells(monkeypatch, {"/v1/models": (200, body)}):
        found = diagnose(capsys, "--model", "mine", code=1)
    assert found["gpt-live"]["state"] == "skip"
    assert "is not told by this service" in found["gpt-live"]["told"]


def test_offline_gpt_live_is_not_asked_for(server: RealtimeServer, capsys: Captured) -> None:
    assert diagnose(capsys, "--offline")["gpt-live"]["state"] == "skip"
