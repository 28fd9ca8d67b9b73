"""Makes the resources and functions of template.yaml on a local AWS emulator.

`deploy` is what scripts/local-aws and the end-to-end tests call; the command line prints the environment in
which llmopt finds what was made. Knows the emulator by its endpoint only.
"""

import argparse
import io
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import boto3
import botocore.config
import botocore.exceptions

from aws_template import TEMPLATE, Place, Refusal, assignments, convert, functions, load, print_left_out

REGION = "us-east-1"
# How long the emulator may take to answer, and to make everything, on a busy machine.
PATIENCE_SECONDS = 90
# What programs beside the functions read, by the output of the template that has it.
VARIABLES = {
    "LLMOPT_BUCKET": "Bucket",
    "LLMOPT_RECORDS_TABLE": "RecordsTable",
    "LLMOPT_KEYS_TABLE": "KeysTable",
    "LLMOPT_RATES_TABLE": "RatesTable",
    "LLMOPT_ANSWERS_TABLE": "AnswersTable",
    "LLMOPT_EVENTS_TABLE": "EventsTable",
    "LLMOPT_TRAINING_QUEUE_URL": "TrainingQueueUrl",
    "LLMOPT_DEAD_LETTER_QUEUE_URL": "DeadLetterQueueUrl",
    "LLMOPT_QUESTION_QUEUE_URL": "QuestionQueueUrl",
    "LLMOPT_DEAD_QUESTION_QUEUE_URL": "DeadQuestionQueueUrl",
    "LLMOPT_INFERENCE_FUNCTION": "InferenceFunction",
}


class Failure(Exception):
    """The emulator did not do what was asked."""


class Emulator:
    """An emulator, and whose it is."""

    def __init__(self, endpoint: str, key: str = "test", secret: str = "test"):
        self.endpoint = endpoint.rstrip("/")
        self.key = key
        self.secret = secret

    def client(self, service: str):
        """Returns a client of one of its services."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            config=botocore.config.Config(
                retries={"max_attempts": 2}, read_timeout=120, s3={"addressing_style": "path"}
            ),
        )

    def environment(self) -> dict[str, str]:
        """Returns the variables that point every AWS SDK at it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def wait(self) -> None:
        """Waits until it answers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.client("sqs").list_queues()
                return
            except botocore.exceptions.BotoCoreError as error:
                if time.monotonic() > deadline:
                    raise Failure(f"{self.endpoint} does not answer: {error}") from error
                time.sleep(0.1)


def deploy(
    emulator: Emulator,
    stack: str = "llmopt",
    bootstraps: Path | None = None,
    parameters: dict[str, str] | None = None,
    data_dir: str | None = None,
    template: Path = TEMPLATE,
) -> dict:
    """Makes everything and returns where it is.

    `bootstraps` has a program for each function: `NAME/bootstrap`, as `cargo lambda build` and `sam build`
    leave them, or `NAME`, as `cargo build` does. Without it there are stores and queues alone. The result
    has `environment`, `api_url` (or None), `functions` (the deployed name of each), `outputs` and `left_out`.
    """
    emulator.wait()
    source = load(template)
    cloudformation = emulator.client("cloudformation")
    bucket = f"{stack.lower()}-code"
    emulator.client("s3").create_bucket(Bucket=bucket)
    code = None
    if bootstraps is not None:
        programs = find_programs(bootstraps, sorted(functions(source).values()))

        def code(binary: str) -> dict:
            put = emulator.client("s3").put_object
            put(Bucket=bucket, Key=f"{binary}.zip", Body=pack(programs[binary]))
            return {"S3Bucket": bucket, "S3Key": f"{binary}.zip"}

    architecture = "arm64" if os.uname().machine == "aarch64" else "x86_64"
    place = Place(emulator.endpoint, data_dir or f"/tmp/llmopt-{stack}", architecture)
    converted = convert(source, parameters or {}, code, place)
    body = json.dumps(converted.template)
    emulator.client("s3").put_object(Bucket=bucket, Key="template.json", Body=body.encode())
    cloudformation.create_stack(
        StackName=stack,
        TemplateURL=f"{emulator.endpoint}/{bucket}/template.json",
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in (parameters or {}).items()
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    outputs = _wait_for(cloudformation, stack)
    _check_made(cloudformation, stack, converted.template)
    return _result(emulator, stack, outputs, converted.left_out, source, bootstraps is not None)


def destroy(emulator: Emulator, stack: str = "llmopt") -> None:
    """Deletes what was made."""
    emulator.client("cloudformation").delete_stack(StackName=stack)


def describe(emulator: Emulator, stack: str = "llmopt", template: Path = TEMPLATE) -> dict:
    """Returns what `deploy` returned."""
    outputs = _wait_for(emulator.client("cloudformation"), stack)
    return _result(emulator, stack, outputs, {}, load(template), "ApiUrl" in outputs)


def find_programs(folder: Path, binaries: list[str]) -> dict[str, Path]:
    """Finds the program of each function.

    Raises a `Failure` that names those that are not there."""
    found, missing = {}, []
    for binary in binaries:
        places = [folder / binary / "bootstrap", folder / binary]
        program = next((place for place in places if place.is_file()), None)
        if program is None:
            missing.append(binary)
        else:
            found[binary] = program
    if missing:
        raise Failure(f"`{folder}` has no program for {', '.join(missing)}: expected NAME/bootstrap or NAME")
    return found


def pack(program: Path) -> bytes:
    """Packs a function as it is deployed."""
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = (stat.S_IFREG | 0o755) << 16
    packed = io.BytesIO()
    # Hardly compressed: nobody downloads it.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(entry, _stripped(program))
    return packed.getvalue()


def _stripped(program: Path) -> bytes:
    """Reads a program without what only a debugger reads, which is most of one that is not a release."""
    if shutil.which("strip") is None:
        return program.read_bytes()
    with tempfile.NamedTemporaryFile() as stripped:
        done = subprocess.run(["strip", "-o", stripped.name, program], capture_output=True, check=False)
        # Another processor's program, or a script.
        return (Path(stripped.name) if done.returncode == 0 else program).read_bytes()


def _wait_for(cloudformation, stack: str) -> dict[str, str]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            [found] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        except botocore.exceptions.ClientError as error:
            raise Failure(f"there is no stack `{stack}`: {error}") from error
        status = found["StackStatus"]
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
        if not status.endswith("_IN_PROGRESS") or time.monotonic() > deadline:
            events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            reasons = [
                f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
                for event in events
                if event["ResourceStatus"].endswith("_FAILED")
            ]
            raise Failure(f"stack `{stack}` is {status}: {'; '.join(reasons) or 'it does not say why'}")
        time.sleep(0.1)


def _check_made(cloudformation, stack: str, template: dict) -> None:
    """Raises a `Failure` where the emulator says that all is well and has not made everything."""
    made = set()
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        made |= {resource["LogicalResourceId"] for resource in page["StackResourceSummaries"]}
    missing = set(template["Resources"]) - made
    if missing:
        raise Failure(f"the emulator did not make {', '.join(sorted(missing))}")


def _result(
    emulator: Emulator, stack: str, outputs: dict, left_out: dict, source: dict, has_functions: bool
) -> dict:
    environment = emulator.environment()
    environment["LLMOPT_STORE"] = "aws"
    environment.update({name: outputs[output] for name, output in VARIABLES.items() if output in outputs})
    names, api_url = {}, None
    if has_functions:
        resources = emulator.client("cloudformation").describe_stack_resource
        for logical, binary in functions(source).items():
            detail = resources(StackName=stack, LogicalResourceId=logical)["StackResourceDetail"]
            names[binary] = detail["PhysicalResourceId"]
        api = resources(StackName=stack, LogicalResourceId="Api")["StackResourceDetail"]["PhysicalResourceId"]
        stage = source["Resources"]["Api"]["Properties"]["StageName"]
        api_url = f"{emulator.endpoint}/restapis/{api}/{stage}/_user_request_/api/v1"
    return {
        "environment": environment,
        "api_url": api_url,
        "functions": names,
        "outputs": outputs,
        "left_out": left_out,
    }


def show(result: dict, as_json: bool) -> None:
    """Prints what was made, as JSON or as lines for a shell."""
    if as_json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result["environment"].items():
        print(f"export {name}={shlex.quote(value)}")
    if result["api_url"]:
        print(f"api={shlex.quote(result['api_url'])}")
    print_left_out(result["left_out"])


def main() -> None:
    """Deploys and prints where everything is."""
    parser = argparse.ArgumentParser(description="Makes the resources of template.yaml on a local AWS emulator.")
    parser.add_argument("--endpoint", required=True, help="the emulator's URL")
    parser.add_argument("--stack", default="llmopt", help="what names begin with [default: llmopt]")
    parser.add_argument("--bootstraps", type=Path, metavar="DIR", help="the functions' programs; absent, none are made")
    parser.add_argument("--data-dir", help="where functions keep their files [default: /tmp/llmopt-STACK]")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--template", type=Path, default=TEMPLATE)
    parser.add_argument("--describe", action="store_true", help="makes nothing; says what is there")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    emulator = Emulator(
        arguments.endpoint,
        os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
    )
    try:
        if arguments.describe:
            result = describe(emulator, arguments.stack, arguments.template)
        else:
            result = deploy(
                emulator,
                arguments.stack,
                arguments.bootstraps,
                assignments(arguments.parameter),
                arguments.data_dir,
                arguments.template,
            )
    except (Failure, Refusal, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        sys.exit(f"error: {error}")
    show(result, arguments.json)


if __name__ == "__main__":
    main()
