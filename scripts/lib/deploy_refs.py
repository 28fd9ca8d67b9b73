"""Checks template.yaml for what linters let through: what it refers to, what it permits, which routes it has.

Every name must be there and every attribute one of its resource's, also in events that only the translator reads
and under each condition; permissions name their actions and resources; functions get variables that are
documented and routes that docs/API.md lists and docs/openapi.json describes. `--self-test` breaks copies of the template and sees that each
breach is found. Needs cfn-lint, whose schemas know the attributes, and aws-sam-translator.
"""

import argparse
import copy
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Callable, Iterator

from aws_refs import references, shown
from aws_template import ROOT, TEMPLATE, load, translate

PSEUDO = {
    f"AWS::{name}"
    for name in "AccountId NoValue NotificationARNs Partition Region StackId StackName URLSuffix".split()
}
# What the translator makes beside a resource, by the name that a template has for it.
GENERATED = {"Alias", "Version", "Stage", "Deployment"}

# What can be granted for everything alone, and why.
EVERYTHING = {
    "ecr:GetAuthorizationToken": "a token is for every registry of the account",
    "xray:PutTelemetryRecords": "traces have no resource that could be named",
    "xray:PutTraceSegments": "traces have no resource that could be named",
}
# Policies of Amazon's that are attached whole, and why.
MANAGED = {
    "service-role/AmazonAPIGatewayPushToCloudWatchLogs": "API Gateway names its groups itself",
    "service-role/AmazonEC2ContainerServiceforEC2Role": "what the agent on Batch's machines needs, by its release",
}
API = "/api/v1"
# For people, and so not in the description of the API.
PAGE = "GET /docs"
# Beyond these every alarm costs: none is there that nobody asked for.
FREE_ALARMS = 10


def check(source: dict, root: Path = ROOT) -> list[str]:
    """Returns what is wrong with `source`, a template as it is written."""
    found = list(unknown_names(source))
    is_whole = not found
    found += unused(source)
    found += permissions(source)
    found += routes(source, root)
    found += variables(source, root)
    found += function_shapes(source, root)
    found += logs_and_alarms(source)
    found += configurations(source, root)
    if is_whole:
        # What names nothing cannot be translated.
        found += of_translation(source)
    return found


def of_translation(source: dict) -> Iterator[str]:
    """What is wrong with what the translator makes of `source`."""
    from samtranslator.model.exceptions import InvalidDocumentException

    try:
        plain = translate(copy.deepcopy(source))
    except InvalidDocumentException as error:
        yield f"it cannot be translated: {'; '.join(cause.message for cause in error.causes)}"
        return
    yield from unknown_names(plain)
    yield from unknown_attributes(plain)
    yield from absent_under_conditions(plain)


def unknown_names(template: dict) -> Iterator[str]:
    """Names that nothing has: parameters, resources, conditions, mappings."""
    resources = set(template["Resources"])
    values = resources | set(template.get("Parameters", {})) | PSEUDO
    for reference in references(template):
        if reference.path[0] == "Metadata":
            continue
        name = reference.name
        base, dot, generated = name.partition(".")
        if dot and generated in GENERATED:
            name = base
        known = {
            "value": values,
            "attribute": resources,
            "resource": resources,
            "condition": set(template.get("Conditions", {})),
            "mapping": set(template.get("Mappings", {})),
        }[reference.kind]
        if name not in known:
            yield f"{shown(reference.path)}: there is no {reference.kind} {reference.name}"
        elif reference.kind == "attribute" and not reference.attribute:
            yield f"{shown(reference.path)}: no attribute of {name} is named"


def unused(template: dict) -> Iterator[str]:
    """Parameters, conditions and mappings that nothing reads."""
    read = {(reference.kind, reference.name) for reference in references(template)}
    for section, kind in (("Parameters", "value"), ("Conditions", "condition"), ("Mappings", "mapping")):
        for name in template.get(section, {}):
            if (kind, name) not in read:
                yield f"{section}/{name} is read by nothing"


def unknown_attributes(plain: dict) -> Iterator[str]:
    """Attributes that a resource of the kind has not."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    for reference in references(plain):
        if reference.kind != "attribute" or reference.name not in plain["Resources"]:
            continue
        kind = plain["Resources"][reference.name]["Type"]
        known = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).get_atts
        if reference.attribute not in known:
            yield f"{shown(reference.path)}: an {kind} has no attribute {reference.attribute} ({reference.name})"


def absent_under_conditions(plain: dict) -> Iterator[str]:
    """References from what is always there to what is there under a condition."""
    resources = plain["Resources"]
    for reference in references(plain):
        if reference.kind not in ("value", "attribute") or reference.name not in resources:
            continue
        needed = resources[reference.name].get("Condition")
        if reference.path[0] not in ("Resources", "Outputs") or needed is None:
            continue
        own = plain[reference.path[0]][reference.path[1]].get("Condition")
        if own != needed and needed not in _choices(plain, reference.path):
            yield f"{shown(reference.path)}: {reference.name} is there only where {needed} holds"


def _choices(template: dict, path: tuple) -> set[str]:
    """The conditions under which a path is taken, by the first branches of the `Fn::If`s on it."""
    taken: set[str] = set()
    node: Any = template
    for at, key in enumerate(path[:-1]):
        if key == "Fn::If" and path[at + 1] == 1:
            taken.add(node[key][0])
        node = node[key]
    return taken


def permissions(source: dict) -> Iterator[str]:
    """Statements that permit more than they name."""
    own = {name for name, resource in source["Resources"].items() if resource["Type"] == "AWS::IAM::ManagedPolicy"}
    for name, resource in source["Resources"].items():
        properties = resource.get("Properties", {})
        if name in own:
            for statement in properties["PolicyDocument"]["Statement"]:
                yield from _permission(name, statement)
        if resource["Type"] == "AWS::IAM::Policy":
            yield f"{name}: permissions are written in their roles, or in policies with a name"
        if resource["Type"] != "AWS::IAM::Role":
            continue
        for policy in properties.get("ManagedPolicyArns", []):
            is_own = isinstance(policy, dict) and policy.get("Ref") in own
            if not is_own and not any(str(policy).endswith(f":aws:policy/{known}'}}") for known in MANAGED):
                yield f"{name}: {policy} is attached whole, without a reason in {Path(__file__).name}"
        for policy in properties.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                # What is permitted under a condition is permitted.
                yield from _permission(name, statement.get("Fn::If", [None, statement])[1])


def _permission(name: str, statement: dict) -> Iterator[str]:
    actions = _listed(statement.get("Action", []))
    if statement["Effect"] != "Allow":
        return
    for key in ("NotAction", "NotResource"):
        if key in statement:
            yield f"{name}: {key} permits what is not known"
    for action in actions or ["nothing"]:
        if "*" in action or ":" not in action:
            yield f"{name}: {action} names no single action"
    for resource in _listed(statement.get("Resource", [])) or ["*"]:
        if resource == "*" and not set(actions) <= set(EVERYTHING):
            yield f"{name}: {', '.join(actions)} is permitted on everything"


def routes(source: dict, root: Path = ROOT) -> Iterator[str]:
    """Routes that docs/API.md does not list or that are missing, open, or invoked as their function does not answer."""
    listed = documented_routes((root / "docs/API.md").read_text())
    served = {}
    for name, resource in source["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Api" and "Auth" in properties:
            yield f"{name}: its callers show a key in the header that Auth would read"
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        streams = properties["Environment"]["Variables"].get("LLMOPT_RESPONSES") == "stream"
        for event, definition in properties.get("Events", {}).items():
            if definition["Type"] != "Api":
                continue
            route = definition["Properties"]
            place = f"{name}/Events/{event}"
            if not route["Path"].startswith(f"{API}/"):
                yield f"{place}: {route['Path']} is not below {API}"
            key = _normal(f"{route['Method'].upper()} {route['Path'].removeprefix(API)}")
            served[key] = place
            if key not in listed:
                yield f"{place}: docs/API.md has no route {key}"
            if "Auth" in route:
                yield f"{place}: its callers show a key in the header that Auth would read"
            mode = route.get("ResponseTransferMode")
            if mode != ("RESPONSE_STREAM" if streams else None):
                answers = "as a stream" if streams else "whole"
                yield f"{place}: its function answers {answers}, and the route is {mode or 'BUFFERED'}"
    for route in sorted(listed - set(served)):
        yield f"docs/API.md has {route}, which no function serves"
    described = described_routes((root / "docs/openapi.json").read_text())
    for route in sorted(described ^ (set(served) - {PAGE})):
        yield f"{route} is served or in docs/openapi.json, and not both"


def described_routes(text: str) -> set[str]:
    """Reads the operations of an OpenAPI document."""
    paths = json.loads(text)["paths"]
    return {_normal(f"{method.upper()} {path}") for path, methods in paths.items() for method in methods}


def documented_routes(text: str) -> set[str]:
    """Reads the first column of the table of routes; `/b` after `GET /x/a` is `GET /x/b`."""
    found = set()
    for line in text.splitlines():
        if not line.startswith("| `"):
            continue
        method = path = ""
        for span in re.findall(r"`([^`]*)`", line.split(" | ")[0]):
            named = re.fullmatch(r"(GET|POST|PUT|DELETE) (/[^?\s]*)(\?\S*)?", span)
            if named:
                method, path = named[1], named[2]
            elif span.startswith("/") and method:
                path = path.rsplit("/", 1)[0] + span
            else:
                continue
            found.add(_normal(f"{method} {path}"))
    return found


def _normal(route: str) -> str:
    return re.sub(r"\{[^}]*\}", "{id}", route)


def variables(source: dict, root: Path = ROOT) -> Iterator[str]:
    """Variables that docs/CONFIGURATION.md does not know, which programs refuse to start with."""
    documented = set(re.findall(r"^## `(\w+)`", (root / "docs/CONFIGURATION.md").read_text(), re.MULTILINE))
    shared = source.get("Globals", {}).get("Function", {}).get("Environment", {}).get("Variables", {})
    given = {"Globals": list(shared)}
    for name, resource in source["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            given[name] = list(properties.get("Environment", {}).get("Variables", {}))
        elif resource["Type"] == "AWS::Batch::JobDefinition":
            pairs = properties["ContainerProperties"]["Environment"]
            pairs = [pair["Fn::If"][1] if "Fn::If" in pair else pair for pair in pairs]
            given[name] = [pair["Name"] for pair in pairs]
    for name, names in given.items():
        for variable in names:
            if not variable.startswith("AWS_") and variable not in documented:
                yield f"{name}: docs/CONFIGURATION.md has no {variable}"


def function_shapes(source: dict, root: Path = ROOT) -> Iterator[str]:
    """Functions without a package, a role or a log of their own, and a build that cannot unwind."""
    taken: dict[str, str] = {}
    for name, resource in source["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        properties = resource.get("Properties", {})
        metadata = resource.get("Metadata", {})
        binary = metadata.get("BuildProperties", {}).get("Binary")
        if metadata.get("BuildMethod") != "rust-cargolambda" or properties.get("CodeUri") != f"functions/{binary}":
            yield f"{name}: it is not built by cargo-lambda from functions/{binary}"
            continue
        manifest = tomllib.loads((root / properties["CodeUri"] / "Cargo.toml").read_text())
        if [bin["name"] for bin in manifest.get("bin", [])] != [binary]:
            yield f"{name}: {properties['CodeUri']}/Cargo.toml has no binary {binary}"
        if "Policies" in properties:
            yield f"{name}: with Policies it would get a role that may write to every log"
        for own in (properties.get("Role"), properties.get("LoggingConfig")):
            if own is None:
                yield f"{name}: it has no role or no log of its own"
            elif taken.setdefault(str(own), name) != name:
                yield f"{name}: it shares a role or a log with {taken[str(own)]}"
    release = tomllib.loads((root / "Cargo.toml").read_text()).get("profile", {}).get("release", {})
    if release.get("panic") != "unwind":
        # cargo-lambda has programs abort where the profile says nothing, and a panic would take the function down.
        yield 'Cargo.toml: [profile.release] does not say panic = "unwind"'


def logs_and_alarms(source: dict) -> Iterator[str]:
    """Logs that are kept for ever, and in every deployment more alarms than cost nothing."""
    always = [resource["Type"] for resource in source["Resources"].values() if "Condition" not in resource]
    for name, resource in source["Resources"].items():
        if resource["Type"] == "AWS::Logs::LogGroup" and "RetentionInDays" not in resource.get("Properties", {}):
            yield f"{name}: its lines are kept for ever"
    if always.count("AWS::CloudWatch::Alarm") > FREE_ALARMS:
        yield f"there are more than {FREE_ALARMS} alarms, which docs/DEPLOY.md counts as costing nothing"


def configurations(source: dict, root: Path = ROOT) -> Iterator[str]:
    """Values in samconfig.toml for parameters that are not there, or that these do not take."""
    configured = tomllib.loads((root / "samconfig.toml").read_text())
    del configured["version"]
    for name, configuration in configured.items():
        overrides = configuration.get("deploy", {}).get("parameters", {}).get("parameter_overrides", "")
        for pair in overrides.split():
            parameter, _, value = pair.partition("=")
            known = source["Parameters"].get(parameter)
            if known is None:
                yield f"samconfig.toml: {name}: there is no parameter {parameter}"
            elif value not in known.get("AllowedValues", [value]):
                yield f"samconfig.toml: {name}: {parameter} does not take {value}"


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


Breach = tuple[str, Callable[[dict], None], str]


def _set(*path: Any) -> Callable[[dict], None]:
    """Returns what puts the last of `path` at the rest of it."""

    def breach(template: dict) -> None:
        node: Any = template
        for key in path[:-2]:
            node = node[key]
        node[path[-2]] = path[-1]

    return breach


def _of(name: str, *path: Any) -> Callable[[dict], None]:
    return _set("Resources", name, "Properties", *path)


def _statement(role: str, index: int, key: str, value: Any) -> Callable[[dict], None]:
    return _of(role, "Policies", 0, "PolicyDocument", "Statement", index, key, value)


BREACHES: list[Breach] = [
    ("a Ref to nothing", _of("Api", "Name", {"Ref": "Nobody"}), "no value Nobody"),
    ("a GetAtt of nothing", _of("Health", "Role", {"Fn::GetAtt": ["Nobody", "Arn"]}), "no attribute Nobody"),
    ("a GetAtt as text", _of("Health", "Role", {"Fn::GetAtt": "Nobody.Arn"}), "no attribute Nobody"),
    ("a Sub of nothing", _of("Overview", "DashboardBody", {"Fn::Sub": "${Nobody}"}), "no value Nobody"),
    ("a Sub of an attribute of nothing", _of("Overview", "DashboardBody", {"Fn::Sub": "${Nobody.Arn}"}), "Nobody"),
    ("a DependsOn of nothing", _set("Resources", "Api", "DependsOn", "Nobody"), "no resource Nobody"),
    ("a condition that is none", _set("Resources", "Api", "Condition", "Never"), "no condition Never"),
    ("an If of no condition", _of("Api", "Name", {"Fn::If": ["Never", "a", "b"]}), "no condition Never"),
    ("a mapping that is none", _of("ApiLog", "RetentionInDays", {"Fn::FindInMap": ["Nowhere", "a", "b"]}), "Nowhere"),
    (
        "an event of nothing",
        _of(
            "JobEvents",
            "Events",
            "Extra",
            {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": ["Nobody", "Arn"]}}},
        ),
        "JobEvents/Properties/Events/Extra",
    ),
    (
        "an event of an attribute that a queue has not",
        _of(
            "JobEvents",
            "Events",
            "Extra",
            {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": ["TrainingQueue", "Anr"]}}},
        ),
        "has no attribute Anr",
    ),
    ("an attribute that a bucket has not", _of("ApiLog", "LogGroupName", {"Fn::GetAtt": ["Artifacts", "Nam"]}), "Nam"),
    ("an output of nothing", _set("Outputs", "Bucket", "Value", {"Ref": "Nobody"}), "Outputs/Bucket"),
    (
        "an output of what may be absent",
        lambda template: template["Outputs"]["BatchQueue"].pop("Condition"),
        "only where TrainsOnBatch holds",
    ),
    ("a parameter that nothing reads", _set("Parameters", "Spare", {"Type": "String", "Default": ""}), "Spare"),
    ("every action of a service", _statement("HealthRole", 2, "Action", "s3:*"), "s3:* names no single action"),
    ("an action on everything", _statement("HealthRole", 2, "Resource", "*"), "permitted on everything"),
    (
        "a named policy that permits too much",
        lambda template: template["Resources"]["WorkerPolicy"]["Properties"]["PolicyDocument"]["Statement"][0].update(
            Action="sqs:*"
        ),
        "sqs:* names no single action",
    ),
    (
        "a policy of Amazon's",
        _of("HealthRole", "ManagedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
        "attached whole",
    ),
    (
        "every secret",
        lambda template: _key_statement(template).update(Resource="*"),
        "secretsmanager:GetSecretValue is permitted on everything",
    ),
    ("a role that SAM writes", _of("Health", "Policies", ["AWSLambdaExecute"]), "every log"),
    ("a role of two functions", _of("Health", "Role", {"Fn::GetAtt": ["ModelsRole", "Arn"]}), "shares a role"),
    (
        "a route that is not there",
        _of("Health", "Events", "GetStatus", "Properties", "Path", "/api/v1/stats"),
        "no route GET /stats",
    ),
    ("a route that is missing", lambda template: _events(template, "Health").pop("GetStatus"), "GET /status, which"),
    ("a route that wants a signature", _of("Models", "Events", "ListModels", "Properties", "Auth", {}), "show a key"),
    ("an API that wants one", _of("Api", "Auth", {"DefaultAuthorizer": "AWS_IAM"}), "show a key"),
    (
        "a stream that is none",
        _of("Generate", "Events", "Generate", "Properties", "ResponseTransferMode", "STREAM"),
        "the route is STREAM",
    ),
    (
        "a route that waits for a stream",
        lambda template: _events(template, "Training")["GetJob"]["Properties"].pop("ResponseTransferMode"),
        "the route is BUFFERED",
    ),
    (
        "a variable that nobody knows",
        _of("Health", "Environment", "Variables", "LLMOPT_TABLE", "x"),
        "has no LLMOPT_TABLE",
    ),
    ("a binary that is not there", _of("Health", "CodeUri", "functions/models"), "not built by cargo-lambda"),
    (
        "an environment that is none",
        _set("Parameters", "Environment", "AllowedValues", ["development", "testing"]),
        "Environment does not take production",
    ),
    ("a log that is kept", lambda template: template["Resources"]["ApiLog"]["Properties"].clear(), "kept for ever"),
]


def _key_statement(template: dict) -> dict:
    """Returns what lets a function read OpenAI's key."""
    [policy] = template["Resources"]["CommercialRole"]["Properties"]["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        if statement.get("Fn::If", [None])[0] == "HasOpenAi":
            return statement["Fn::If"][1]
    raise LookupError("CommercialRole has no key")


def _events(template: dict, function: str) -> dict:
    return template["Resources"][function]["Properties"]["Events"]


def self_test(source: dict) -> list[str]:
    """Returns the breaches that are not found."""
    missed = []
    # What is wrong anyway is no proof.
    before = check(copy.deepcopy(source))
    for name, breach, expected in BREACHES:
        broken = copy.deepcopy(source)
        breach(broken)
        new = [finding for finding in check(broken) if finding not in before]
        if not any(expected in finding for finding in new):
            missed.append(f"{name}: expected `{expected}`, found {new or 'nothing'}")
    return missed


def main() -> None:
    """Prints what is wrong and fails if anything is."""
    parser = argparse.ArgumentParser(description="Checks what template.yaml refers to, permits and serves.")
    parser.add_argument("template", nargs="?", type=Path, default=TEMPLATE)
    parser.add_argument("--self-test", action="store_true", help="breaks copies of it and sees that this is found")
    arguments = parser.parse_args()
    source = load(arguments.template)
    found = self_test(source) if arguments.self_test else check(source)
    for finding in found:
        print(f"error: {finding}", file=sys.stderr)
    if found:
        sys.exit(1)
    what = f"{len(BREACHES)} breaches are found" if arguments.self_test else f"{len(source['Resources'])} resources"
    print(f"{arguments.template.name}: {what}")


if __name__ == "__main__":
    main()
