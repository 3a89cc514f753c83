"""Shell payloads through event, label, parameter and output to argv and
environment of real processes: byte for byte, and none of them runs."""
import random

from harness import wait_until

RUNBOOK = """\
name: Inject
concurrency: 8
parameters:
  v: {type: string, required: true, allow_leading_dash: true}
triggers:
  - type: alert
    parameters: {v: "${{ event.labels.v + '' }}"}
steps:
  - name: Argument
    id: argument
    argv: [printf, "%s", "<${{ parameters.v }}>"]
    outputs: {text: stdout}
  - name: Variable
    env: {W: "${{ parameters.v }}"}
    command: printf '%s%s' "$ADP_PARAM_V" "$W"
  - name: Output
    argv: [printf, "%s", --, "${{ steps.argument.outputs.text + '' }}"]
"""

PAYLOADS = [
    "$(touch {c})", "`touch {c}`", "; touch {c} ;", "| touch {c}",
    "&& touch {c}", "|| touch {c}", "' ; touch {c} ; '", "\" ; touch {c} ; \"",
    "'\"$(touch {c})\"'", "\\'; touch {c}", "%s%n%x", "$IFS", "${{IFS}}",
    "-e touch {c}", "--help", "-rf /", "{{{{ touch }}}}", "${{{{ event.id }}}}",
    "<(touch {c})", ">{c}", "2>{c}", "&", "!!", "~root", "*", "?", "[a-z]",
    "#", "\\", "é ñ 漢字 😀", "=", "A=B touch {c}", "${{@}}", "$@", "$*",
]
COUNT = 200


def strings(canary):
    rng = random.Random(4711)
    fixed = [p.format(c=canary) for p in PAYLOADS]
    yield from fixed
    for _ in range(COUNT - len(fixed)):
        yield "".join(rng.choice(fixed + [" ", "a"])
                      for _ in range(rng.randint(1, 4))).strip() or "a"


def test_payloads_arrive_and_do_not_run(make_daemon, tmp_path):
    d = make_daemon({"inject.yaml": RUNBOOK})
    d.wait_executor()
    canary = tmp_path / "canary"
    sent = {d.event(type="alert", labels={"v": s, "n": str(i)}): s
            for i, s in enumerate(strings(canary))}
    workflows = {}

    def all_over():
        for event in sent:
            if event not in workflows:
                found = d.workflows_of(event)
                if not found or found[0]["status"] not in (
                        "succeeded", "failed"):
                    return False
                workflows[event] = found[0]
        return True
    wait_until(all_over, seconds=240, what="all workflows", step=0.5)
    for event, s in sent.items():
        w = workflows[event]
        assert w["status"] == "succeeded", (s, w)
        logs = d.get(f"/api/workflows/{w['id']}/logs")["logs"]
        text = "".join(c["text"] for c in logs)
        assert text == f"<{s}>{s}{s}--<{s}>", s
    assert not canary.exists()
    assert not list(tmp_path.glob("canary*"))
