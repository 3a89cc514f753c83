"""What users of other systems complain about, and that ours does better: one
test each. The table is in doc/internals/expr.md."""
import json
import subprocess
from urllib.parse import quote

import pytest

from harness import BUILD, adctl, wait_until

ADCTL = str(BUILD) + "/adctl"

RUNBOOK = """\
name: Echo
parameters:
  text: {type: string, required: true}
  count: {type: integer, default: 1}
triggers:
  - type: alert
    parameters: {text: "${{ event.labels.text }}"}
steps:
  - name: Show
    argv: [printf, "%s|%s", "${{ parameters.text }}",
           "${{ parameters.text + '!' }}"]
"""

STEP = "steps: [{name: a, command: 'true'}]\n"
TRIGGER = ("name: x\nparameters: {i: {type: integer}, s: {type: string}}\n"
           "triggers:\n  - type: alert\n    parameters: {@}\n" + STEP)


def trigger(entry):
    return TRIGGER.replace("@", entry)


def validate(folder, text):
    """What the loader says, the place of the file cut off; "" if nothing."""
    file = folder / "x.yaml"
    file.write_text(text, encoding="utf-8")
    p = subprocess.run([ADCTL, "runbook", "validate", str(file)],
                       capture_output=True, text=True, timeout=30, check=False)
    said = (p.stdout + p.stderr).replace(str(file), "x.yaml")
    return said if p.returncode else ""


def evaluate(expr, event=None):  # adctl expr eval
    args = [ADCTL, "expr", "eval", expr]
    if event is not None:
        args += ["--event-file", "-"]
    p = subprocess.run(args, capture_output=True, text=True, timeout=30,
                       input=json.dumps(event), check=False)
    return p.stdout.strip() or p.stderr


@pytest.fixture(name="echo")
def _echo(make_daemon):
    d = make_daemon({"echo.yaml": RUNBOOK})
    d.wait_executor()

    def run(text):
        w = d.wait_workflow(d.event(type="alert", labels={"text": text}))
        assert w["status"] == "succeeded", w
        return w["parameters"]["text"], adctl(
            d, "workflow", "logs", w["id"]).stdout
    return d, run


def test_text_of_an_event_is_never_evaluated(echo):
    """StackStorm 5956, 5133: <% %> and {{ }} in a payload were run."""
    text = "<% ctx() %> {{ 7 * 7 }} ${{ event.id }} #{7*7}"
    given, shown = echo[1](text)
    assert given == text
    assert f"{text}|{text}!" in shown


def test_a_quote_in_an_event_breaks_nothing(echo):
    """StackStorm 4696: rendered to text, then parsed as JSON."""
    text = "say \"hi\" and 'ho' \\ {\"a\": [1"
    given, shown = echo[1](text)
    assert given == text
    assert f"{text}|{text}!" in shown


def test_nothing_is_rendered_twice(echo):
    """Kestra 1244, 2834, 16193: recursive rendering, and its overflow."""
    text = "${{ parameters.text }}" * 3
    given, shown = echo[1](text)
    assert given == text
    assert f"{text}|{text}!" in shown


def test_a_number_stays_a_number(tmp_path):
    """StackStorm 4417, 4470: a template always gave text."""
    assert validate(tmp_path, trigger(
        'i: "${{ int(event.value) + 1 }}"')) == ""
    assert "takes an integer, the expression gives bool" in validate(
        tmp_path, trigger('i: "${{ event.value > 1.0 }}"'))
    assert "gives list(string)" in validate(
        tmp_path, trigger('s: "${{ event.source.split(\',\') }}"'))


def test_one_language_everywhere(make_daemon):
    """StackStorm: YAQL and Jinja; EDA: conditions without, actions with; Keep
    2985, 4786: two engines. Here one expression serves all places."""
    expr = "event.labels.?team.orValue('ops') == 'db'"
    d = make_daemon({"one.yaml": f"""\
name: One
parameters: {{b: {{type: boolean, required: true}}}}
triggers:
  - type: alert
    when: "{expr}"
    parameters: {{b: "${{{{ {expr} }}}}"}}
steps: [{{name: a, command: 'true'}}]
"""})
    d.wait_executor()
    event = d.event(type="alert", labels={"team": "db"})
    d.event(type="alert", labels={"team": "web"})
    assert d.wait_workflow(event)["parameters"] == {"b": True}
    found = d.get(f"/api/events?filter={quote(expr)}")["events"]
    assert [e["id"] for e in found] == [event]
    assert evaluate(expr, {"type": "alert", "labels": {"team": "db"}}) == "true"


def test_errors_have_a_place_and_a_picture(tmp_path):
    """StackStorm 4605: cryptic errors; users wrote evaluators of their own."""
    said = validate(tmp_path, trigger('s: "a ${{ event.sorce + \'\' }}"'))
    assert "x.yaml:5:34: error:" in said, said
    assert "did you mean source?" in said
    said = evaluate("event.sorce == 'x'", {"type": "alert"})
    assert "1:7: there is no field 'sorce'" in said
    assert "  event.sorce == 'x'\n        ^\n" in said, said


def test_what_cannot_be_resolved_is_refused(tmp_path):
    """Argo 5804, 7945: a name with a hyphen silently became text."""
    said = validate(tmp_path, trigger(
        's: "${{ event.labels.my-label }}"'))
    assert 'event.labels["a-b"]' in said
    assert validate(tmp_path, trigger(
        "s: '${{ event.labels[\"my-label\"] }}'")) == ""


def test_quotes_and_blanks_change_nothing(tmp_path):
    """Argo 6260, 6579, 8960, 11767: double quotes failed, blanks mattered;
    12634: no escaping."""
    for expr in ("event.source+\"x\"", "  event.source  +  'x'  ",
                 "event.source +\n      'x'"):
        assert validate(tmp_path, trigger(
            "s: '${{" + expr.replace("'", "''") + "}}'")) == ""
    assert validate(tmp_path, trigger(
        "s: \"${{ '${{ }}' + event.source }}\"")) == ""
    assert evaluate("1+1") == evaluate("  1  +  1  ") == "2"


def test_several_expressions_keep_their_order(echo):
    """Argo 6673: printed in random order."""
    _, shown = echo[1]("a")
    assert "a|a!" in shown


def test_a_condition_gives_true_or_false(tmp_path):
    """Ansible 2.19: conditions that were texts or lists for ten years."""
    for expr in ("event.source", "event.labels", "'yes'", "1"):
        said = validate(tmp_path, "name: x\ntriggers: [{type: a, when: \""
                        + expr + "\"}]\n" + STEP)
        assert "must give bool" in said, (expr, said)
    said = validate(tmp_path,
                    "name: x\nsteps: [{name: a, command: x, when: now}]\n")
    assert "must give bool" in said


def test_no_expression_becomes_shell_text(tmp_path):
    """GitHub Actions: script injection through ${{ }} in run."""
    said = validate(tmp_path, "name: x\nparameters: {p: {type: string, "
                    "required: true}}\nsteps: [{name: a, command: "
                    "'echo ${{ parameters.p }}'}]\n")
    assert "a shell command is constant text" in said
    assert '"$ADP_PARAM_P"' in said


def test_the_schema_knows_every_type(tmp_path):
    """gitea 39137, act 900: continue-on-error as a text or an expression."""
    said = validate(tmp_path, "name: x\nsteps: [{name: a, command: x, "
                    "continue_on_error: '${{ true }}'}]\n")
    assert "continue_on_error" in said
    schema = json.loads(subprocess.run(
        [ADCTL, "runbook", "schema"], capture_output=True, text=True,
        check=True).stdout)
    assert '"continue_on_error"' in json.dumps(schema)


def test_messages_name_operator_types_and_fix(make_daemon):
    """cel-go 706, cel-rust 284: "no such overload", and no more."""
    said = evaluate("event.value * 2 > 1.0", {"type": "metric", "value": 1})
    assert "'*' between double and int" in said
    assert "write the number as 2.0" in said
    # A missing key is never silent: the event says so.
    d = make_daemon({"x.yaml": "name: x\ntriggers: [{type: metric, when: "
                     "event.labels.a == 'b'}]\n" + STEP})
    event = d.event(type="metric", value=1)
    wait_until(lambda: d.get(f"/api/events/{event}")["error"], what="why not")
    assert "no such key: 'a'" in d.get(f"/api/events/{event}")["error"]


def test_conditions_can_be_tried_before(tmp_path):
    """Harness: no preview; a severity that is a text and fails with >."""
    event = {"type": "alert", "severity": "critical", "value": 95}
    assert evaluate("event.severity == 'critical' && event.value > 90",
                    event) == "true"
    assert "no such overload" in evaluate("event.severity > 0", event)
