"""``realtime-sync doctor``: what is set, what would be used, how far it gets, and what to mend."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack

import attrs

from realtime_sync.cli import connection_checks
from realtime_sync.cli.client_options import add_client_options, client_from, endpoint_from
from realtime_sync.cli.findings import Finding, of_the_sound_devices, of_this_machine, of_two_services
from realtime_sync.cli.terminal import one_line, say
from realtime_sync.errors import ConfigurationError, RealtimeSyncError

_DESCRIPTION = """\
Look at the environment, the endpoint (OpenAI, Azure GA or preview), the way to it (name, TCP,
proxy, TLS), whether it takes the key and the model, the sound devices and the extras; tell
what to mend. It opens a session, asks nothing of the model, and shows no key."""

_EXAMPLES = """\
examples:
  realtime-sync doctor
  realtime-sync doctor --offline                   # nothing leaves this machine
  realtime-sync doctor --endpoint https://RESOURCE.openai.azure.com --model my-deployment
  realtime-sync doctor --json | jq '.findings[] | select(.state == "fail")'

The exit code is 0 where nothing failed, else 1; warnings are none of its business."""

_INDENT = " " * 19


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See ``realtime_sync.cli``."""
    parser = subparsers.add_parser(
        "doctor",
        help="check environment, endpoint, network, key and sound devices",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--offline", action="store_true", help="do not connect to anything")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    add_client_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything; returns 1 where something failed."""
    findings: list[Finding] = []
    for finding in _all(arguments):
        findings.append(attrs.evolve(finding, told=one_line(finding.told)))
        if not arguments.json:
            say(_shown(findings[-1]))
    healthy = all(finding.state != "fail" for finding in findings)
    if arguments.json:
        say(json.dumps({"ok": healthy, "findings": [attrs.asdict(each) for each in findings]}, indent=2))
    return 0 if healthy else 1


def _all(arguments: argparse.Namespace) -> Iterator[Finding]:
    yield from of_this_machine()
    yield from _of_the_service(arguments)
    yield from of_the_sound_devices()


def _of_the_service(arguments: argparse.Namespace) -> Iterator[Finding]:
    with ExitStack() as stack:
        try:
            if arguments.local:
                client = stack.enter_context(client_from(arguments))
                endpoint, model = client.endpoint, client.model or ""
            else:
                endpoint, model = endpoint_from(arguments)
            target = endpoint.target(model=model)
        except ConfigurationError as error:
            yield Finding("endpoint", "fail", str(error))
            return
        except RealtimeSyncError as error:  # asking for a token
            yield Finding("key", "fail", str(error), "`az login` signs in on this machine")
            return
        if not (arguments.local or arguments.endpoint):
            yield from of_two_services(endpoint)
        yield from connection_checks.of_the_endpoint(endpoint, model, target)
        if arguments.offline:
            yield Finding("network", "skip", "not tried (--offline)")
        else:
            yield from connection_checks.of_the_connection(endpoint, model, target)


def _shown(finding: Finding) -> str:
    head = f"{finding.state:<5} {finding.check:<13}"
    lines = textwrap.wrap(finding.told, 100 - len(_INDENT), break_long_words=False, break_on_hyphens=False)
    if finding.advice:
        lines += textwrap.wrap(f"-> {finding.advice}", 100 - len(_INDENT), break_on_hyphens=False)
    return head + f"\n{_INDENT}".join(lines)
