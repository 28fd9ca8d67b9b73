"""Rewrites template.yaml into a plain CloudFormation template that the local emulator takes.

What the emulator cannot do is left out where nothing depends on it, with a reason that is printed. What it
would do differently without saying so (who may call a route, from which site) is carried or refused: a
`Refusal` names the resource. Needs aws-sam-translator, which the emulator's environment has.
"""

import argparse
import copy
import json
import os
import sys
from pathlib import Path
from typing import Any, Callable, NamedTuple

from aws_refs import names

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"

# What the emulator makes as AWS does, as far as we use it (scripts/local-aws and the tests do).
KEPT = {
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::GatewayResponse",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
}

# What is left out, and why nothing misses it.
DROPPED = {
    "AWS::ApiGateway::Account": "the emulator's API writes no access logs",
    "AWS::Budgets::Budget": "nothing is spent",
    "AWS::IAM::ManagedPolicy": "no role here has it",
}

# Left out where they say nothing but this, which the emulator on this machine is reached without.
POLICIES = {"AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"}
ONLY_TLS = "RefusePlainHttp"

# What has no use without the function that it is about.
OF_FUNCTIONS = {
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::GatewayResponse",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
}

STREAMED = "lambda:path/2021-11-15/functions/"
STREAMED_END = "/response-streaming-invocations"
WHOLE = "lambda:path/2015-03-31/functions/"
WHOLE_END = "/invocations"

# Keys that are read below. Anything else of an API might change who may call it.
API_PROPERTIES = {
    "AccessLogSetting",
    "AlwaysDeploy",
    "Auth",
    "BinaryMediaTypes",
    "EndpointConfiguration",
    "GatewayResponses",
    "MethodSettings",
    "Name",
    "OpenApiVersion",
    "StageName",
    "TracingEnabled",
}

# What is known to be kept of each kind of event, besides schedules.
EVENTS = {
    "Api": {"Method", "Path", "ResponseTransferMode", "RestApiId", "TimeoutInMillis"},
    "SQS": {"BatchSize", "FunctionResponseTypes", "Queue", "ScalingConfig"},
}


class Place(NamedTuple):
    """The machine that functions run on, which on the emulator is this one."""

    # Where the emulator is.
    endpoint: str
    # Where each function has a folder of its own.
    data_dir: str
    architecture: str


class Refusal(Exception):
    """The template asks for what the emulator would not do."""


class Converted:
    """A template for the emulator, and what was left out of it."""

    def __init__(self, template: dict, left_out: dict[str, str]):
        self.template = template
        # Why, by the resource's name.
        self.left_out = left_out


def load(path: Path = TEMPLATE) -> dict:
    """Reads a template with the short forms of its functions written out."""
    from samtranslator.yaml_helper import yaml_parse

    return yaml_parse(path.read_text())


def functions(template: dict) -> dict[str, str]:
    """Returns the binary of each function, by the function's name in the template."""
    found = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            found[name] = resource["Metadata"]["BuildProperties"]["Binary"]
    return found


def convert(
    source: dict,
    parameters: dict[str, str],
    code: Callable[[str], dict] | None,
    place: Place,
) -> Converted:
    """Rewrites `source`, a SAM template, for these values of its parameters.

    `code` gives the `Code` of a function's binary; without it there are no functions and no API.
    """
    source = copy.deepcopy(source)
    values = _values(source, parameters)
    if values.get("TrainerImage"):
        raise Refusal("TrainerImage is set, and the emulator has no AWS Batch: run `llmopt-trainer work` on its queue")
    present = _conditions(source, values)
    left_out: dict[str, str] = {}
    for name, resource in list(source["Resources"].items()):
        condition = resource.pop("Condition", None)
        if condition and not present[condition]:
            left_out[name] = f"the condition {condition} does not hold"
            del source["Resources"][name]
        elif resource["Type"] == "AWS::Serverless::Api":
            # It only answers what browsers ask beforehand, and the emulator is asked by none.
            resource["Properties"].pop("Cors", None)
            _check_api(name, resource["Properties"])
        elif resource["Type"] == "AWS::Serverless::Function":
            _check_routes(name, resource["Properties"])
    binaries = functions(source)
    plain = translate(source)
    resources = plain["Resources"]
    for name, resource in list(resources.items()):
        kind = resource["Type"]
        if kind in DROPPED:
            left_out[name] = DROPPED[kind]
        elif kind in POLICIES:
            statements = resource["Properties"]["PolicyDocument"]["Statement"]
            if [statement.get("Sid") for statement in statements] != [ONLY_TLS]:
                raise Refusal(f"{name} says more than {ONLY_TLS}, which is not known to be kept on the emulator")
            left_out[name] = "the emulator is reached without TLS"
        elif kind == "AWS::Lambda::Function" and code is None:
            left_out[name] = "no bootstraps were given"
        elif kind not in KEPT:
            raise Refusal(f"{name} is an {kind}, which is not known to work on the emulator")
    _drop(plain, left_out)
    _keep_outputs(plain, present, left_out)
    for name, resource in list(resources.items()):
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Code"] = code(binaries[name])
            _rewrite_function(resource["Properties"], binaries[name], place)
        elif resource["Type"] == "AWS::ApiGateway::RestApi":
            _rewrite_api(name, resource, resources)
        elif resource["Type"] == "AWS::ApiGateway::Stage":
            # The emulator's API writes no access logs, and there is no X-Ray.
            for ignored in ("AccessLogSetting", "TracingEnabled"):
                resource["Properties"].pop(ignored, None)
    plain.pop("Rules", None)
    plain.pop("Metadata", None)
    plain.pop("Transform", None)
    plain["Parameters"] = {
        name: parameter for name, parameter in plain.get("Parameters", {}).items() if name in source["Parameters"]
    }
    return Converted(plain, left_out)


def _values(source: dict, parameters: dict[str, str]) -> dict[str, Any]:
    unknown = set(parameters) - set(source["Parameters"])
    if unknown:
        raise Refusal(f"the template has no parameter {', '.join(sorted(unknown))}")
    values = {name: parameter.get("Default") for name, parameter in source["Parameters"].items()}
    values.update(parameters)
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise Refusal(f"the parameter {missing[0]} has no default and no value")
    for name, parameter in source["Parameters"].items():
        if parameter["Type"] == "CommaDelimitedList":
            values[name] = str(values[name]).split(",")
    return values


def _conditions(source: dict, values: dict) -> dict[str, bool]:
    def value(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        [(function, argument)] = node.items()
        if function == "Ref":
            return values[argument]
        if function == "Condition":
            return value(source["Conditions"][argument])
        if function == "Fn::Equals":
            return str(value(argument[0])) == str(value(argument[1]))
        if function == "Fn::Not":
            return not value(argument[0])
        if function == "Fn::And":
            return all(value(part) for part in argument)
        if function == "Fn::Or":
            return any(value(part) for part in argument)
        if function == "Fn::Join":
            return argument[0].join(value(argument[1]))
        raise Refusal(f"a condition uses {function}, which is not known here")

    return {name: bool(value(node)) for name, node in source.get("Conditions", {}).items()}


def _check_api(name: str, properties: dict) -> None:
    unknown = set(properties) - API_PROPERTIES
    if unknown:
        raise Refusal(f"{name} has {', '.join(sorted(unknown))}, which is not known to work on the emulator")
    if "Auth" in properties:
        raise Refusal(f"{name} has Auth, which is not known to be kept on the emulator")


def _check_routes(name: str, properties: dict) -> None:
    for event, definition in properties.get("Events", {}).items():
        place = f"{name}/Events/{event}"
        if definition["Type"] == "Schedule":
            continue
        known = EVENTS.get(definition["Type"])
        if known is None:
            raise Refusal(f"{place} is an event of {definition['Type']}, which is not known to work on the emulator")
        unknown = set(definition["Properties"]) - known
        if unknown:
            raise Refusal(f"{place} has {', '.join(sorted(unknown))}, which is not known to work on the emulator")


def translate(source: dict) -> dict:
    """Returns the plain CloudFormation template that `source`, which is changed, is short for."""
    import logging

    from samtranslator.translator.transform import transform

    class ManagedPolicies:
        # Ours are written out.
        def load(self) -> dict:
            return {}

    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    os.environ.setdefault("AWS_DEFAULT_REGION", os.environ.get("AWS_REGION", "us-east-1"))
    for resource in source["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # Replaced below; the translator wants one.
            resource["Properties"]["CodeUri"] = {"Bucket": "code", "Key": "code"}
    return transform(source, {}, ManagedPolicies())


def _drop(plain: dict, left_out: dict[str, str]) -> None:
    """Takes out what is left out, and what is about nothing else."""
    resources = plain["Resources"]
    while True:
        for name in left_out:
            resources.pop(name, None)
        dangling = {
            name: names(resource) & set(left_out) for name, resource in resources.items()
        }
        dangling = {name: needed for name, needed in dangling.items() if needed}
        if not dangling:
            return
        for name, needed in dangling.items():
            kind = resources[name]["Type"]
            depends = resources[name].get("DependsOn")
            depends = [depends] if isinstance(depends, str) else list(depends or [])
            if needed <= set(depends) and not names(resources[name].get("Properties")) & needed:
                # Only an order.
                resources[name]["DependsOn"] = [other for other in depends if other not in needed]
            elif kind in OF_FUNCTIONS:
                left_out[name] = "it is about what was left out"
            else:
                raise Refusal(f"{name} needs {', '.join(sorted(needed))}, which the emulator does not have")


def _keep_outputs(plain: dict, present: dict[str, bool], left_out: dict[str, str]) -> None:
    outputs = plain.get("Outputs", {})
    for name, output in list(outputs.items()):
        condition = output.pop("Condition", None)
        if (condition and not present[condition]) or names(output) & set(left_out):
            del outputs[name]


def _rewrite_function(properties: dict, binary: str, place: Place) -> None:
    properties["Architectures"] = [place.architecture]
    properties.pop("TracingConfig", None)
    variables = properties["Environment"]["Variables"]
    variables["AWS_ENDPOINT_URL"] = place.endpoint
    variables["LLMOPT_DATA_DIR"] = f"{place.data_dir}/{binary}"
    if "LLMOPT_RESPONSES" in variables:
        # The emulator hands an answer on when it is whole.
        variables["LLMOPT_RESPONSES"] = "buffer"


def _rewrite_api(name: str, resource: dict, resources: dict) -> None:
    """Has functions invoked for whole answers, and writes out what the emulator does not read in a body."""
    properties = resource["Properties"]
    body = properties["Body"]
    for item in body["paths"].values():
        for operation in item.values():
            integration = operation["x-amazon-apigateway-integration"]
            integration.pop("responseTransferMode", None)
            # Not read by the emulator, which waits for as long as the function may take.
            integration.pop("timeoutInMillis", None)
            uri = integration["uri"]["Fn::Sub"]
            integration["uri"] = {"Fn::Sub": uri.replace(STREAMED, WHOLE).replace(STREAMED_END, WHOLE_END)}
    media = properties.get("BinaryMediaTypes", [])
    properties["BinaryMediaTypes"] = [kind.replace("~1", "/") for kind in media]
    written = []
    for kind, response in body.pop("x-amazon-apigateway-gateway-responses", {}).items():
        written.append(f"{name}{kind.title().replace('_', '')}")
        resources[written[-1]] = {
            "Type": "AWS::ApiGateway::GatewayResponse",
            "Properties": {
                "RestApiId": {"Ref": name},
                "ResponseType": kind,
                "StatusCode": response["statusCode"],
                "ResponseParameters": response["responseParameters"],
                "ResponseTemplates": response["responseTemplates"],
            },
        }
    for resource in resources.values():
        if resource["Type"] == "AWS::ApiGateway::Deployment" and resource["Properties"]["RestApiId"] == {"Ref": name}:
            # A deployment is of what there is when it is made.
            resource["DependsOn"] = written


def assignments(pairs: list[str]) -> dict[str, str]:
    """Reads `NAME=VALUE`s."""
    for pair in pairs:
        if "=" not in pair:
            raise Refusal(f"expected NAME=VALUE, found {pair}")
    return dict(pair.split("=", 1) for pair in pairs)


def print_left_out(left_out: dict[str, str]) -> None:
    """Prints what was left out on standard error, a line for each reason."""
    for reason in sorted(set(left_out.values())):
        resources = sorted(name for name, other in left_out.items() if other == reason)
        print(f"left out {', '.join(resources)}: {reason}", file=sys.stderr)


def main() -> None:
    """Prints the rewritten template, and on standard error what was left out."""
    parser = argparse.ArgumentParser(description="Rewrites template.yaml for the local AWS emulator.")
    parser.add_argument("template", nargs="?", type=Path, default=TEMPLATE)
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--without-functions", action="store_true")
    arguments = parser.parse_args()
    code = None if arguments.without_functions else lambda binary: {"S3Bucket": "code", "S3Key": f"{binary}.zip"}
    place = Place("http://127.0.0.1:4566", "/tmp/llmopt", "x86_64")
    try:
        converted = convert(load(arguments.template), assignments(arguments.parameter), code, place)
    except Refusal as refusal:
        sys.exit(f"error: {refusal}")
    print_left_out(converted.left_out)
    json.dump(converted.template, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
