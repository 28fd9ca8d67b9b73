"""What schemathesis cannot know of the platform: which ids exist, and what must not be destroyed under it.

Loaded by schemathesis (SCHEMATHESIS_HOOKS). Counts every request, and writes what came of each operation to
LLMOPT_CONTRACT_COUNTS at the end.
"""

import atexit
import itertools
import json
import os
import time
from collections import Counter, defaultdict
from http import HTTPStatus
from urllib.parse import unquote

import requests
import schemathesis
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.hooks import HookContext

URL = os.environ["LLMOPT_URL"]
KEY = os.environ.get("LLMOPT_KEY")
BASE = "base:tiny"
# A third of the requests that are well formed are about something that exists: the others find out what is said
# of what does not.
ABOUT_SOMETHING = 3
# Of a job: it takes a second.
SMALL = {"epochs": 1, "max_steps": 3, "batch_size": 1, "micro_batch_size": 1}
LONG = {"epochs": 100_000, "batch_size": 1, "micro_batch_size": 1}
# All of a file.
PART = b'{"prompt":"2?","response":"4"}\n' * 12
# Models that are trained before the run, to be deleted in it.
TO_DELETE = 3

session = requests.Session()
if KEY:
    session.headers["authorization"] = f"Bearer {KEY}"
numbers = itertools.count()
asked = itertools.count()
own: dict[str, itertools.count] = defaultdict(itertools.count)
counts: dict[str, Counter] = defaultdict(Counter)


def made(response: requests.Response) -> dict:
    """Returns what was made, or ends the run: nothing can be told from requests about nothing."""
    response.raise_for_status()
    return response.json()


def dataset() -> str:
    """Uploads a dataset that no other is like."""
    number = next(numbers)
    rows = "".join(f'{{"prompt":"{number} and {n}?","response":"{number + n}"}}\n' for n in range(12))
    return made(session.post(f"{URL}/datasets?name=rows.jsonl", data=rows))["id"]


def upload() -> str:
    """Begins an upload of one part."""
    announced = {"name": "rows.jsonl", "size_bytes": len(PART)}
    return made(session.post(f"{URL}/datasets/uploads", json=announced))["upload_id"]


def sent_upload() -> str:
    """Begins an upload and sends its part."""
    begun = upload()
    session.put(f"{URL}/datasets/uploads/{begun}/parts/1", data=PART).raise_for_status()
    return begun


def job(config: dict = SMALL) -> str:
    """Submits a job that no other is like."""
    request = {"base_model": BASE, "dataset_id": dataset(), "name": f"made-{next(numbers)}", "config": config}
    return made(session.post(f"{URL}/training/jobs", json=request))["id"]


def long_job() -> str:
    """Submits a job that does not end by itself: whoever asks for it has it stopped."""
    return job(LONG)


def stop(made_job: str) -> None:
    """Stops a job, and waits until it has."""
    session.post(f"{URL}/training/jobs/{made_job}/stop")
    while made(session.get(f"{URL}/training/jobs/{made_job}"))["status"] in ("queued", "running"):
        time.sleep(0.02)


def stopped_job() -> str:
    """Submits a job and stops it."""
    made_job = long_job()
    stop(made_job)
    return made_job


def model() -> str:
    """Returns a model that may be deleted, of the few that were trained before the run."""
    return models.pop() if models else "none"


def trained() -> str:
    """Trains a model that no other is like."""
    made_job = job()
    while True:
        found = made(session.get(f"{URL}/training/jobs/{made_job}"))
        if found["fine_tuned_model"]:
            return found["fine_tuned_model"]
        if found["status"] == "failed":
            raise RuntimeError(found["error"])
        time.sleep(0.1)


def key() -> str:
    """Makes a key that may be revoked."""
    return made(session.post(f"{URL}/keys", json={"name": f"made-{next(numbers)}", "scopes": ["generate"]}))["id"]


def budget() -> str:
    """Makes a budget that may be taken away, and returns its scope as a path has it."""
    scope = f"key/made-{next(numbers)}"
    made(session.put(f"{URL}/commercial/budgets", json={"scope": scope, "daily_usd": "1"}))
    return scope.replace("/", "%2F")


def answer() -> str:
    """Queues a question, and returns what its answer is looked up by."""
    question = {"model_id": BASE, "prompt": "2?", "max_tokens": 2}
    return made(session.post(f"{URL}/generate", json=question, headers={"prefer": "respond-async"}))["id"]


# What an operation about one thing needs made for it; where several may be about the same, it is made once.
LASTING = {
    "answer_id": answer,
    "dataset_id": dataset,
    "job_id": job,
    "key_id": key,
    "scope": budget,
    "model_id": lambda: BASE,
    "upload_id": upload,
}
OWN = {
    "complete_upload": sent_upload,
    "delete_budget": budget,
    "delete_dataset": dataset,
    "delete_model": model,
    "delete_upload": upload,
    "locate_parts": upload,
    "put_part": upload,
    "revoke_key": key,
    "rotate_key": key,
    "stop_training_job": long_job,
    "resume_training_job": stopped_job,
}
lasting: dict[str, str] = {}


def lasting_one(parameter: str) -> str | None:
    """Returns the id of something that stays."""
    if parameter not in LASTING:
        return None
    if parameter not in lasting:
        lasting[parameter] = LASTING[parameter]()
    return lasting[parameter]


def something(operation: str, parameter: str) -> str | int | None:
    """Returns the id of something that this operation can be about."""
    if parameter == "part_number":
        return 1
    return OWN[operation]() if operation in OWN else lasting_one(parameter)


def fit(operation: str, body: dict) -> dict | None:
    """Has a well-formed body be about what exists, and ask for little; `None` where it may stay as it is."""
    if operation == "generate":
        others = ("messages", "stop", "tool_choice", "response_format")
        rest = {name: value for name, value in body.items() if name not in others}
        return rest | {"model_id": BASE, "prompt": "2?", "max_tokens": 4}
    if operation == "generate_batch":
        return {"requests": [{"model_id": BASE, "prompt": "2?", "max_tokens": 2}]}
    if operation == "compare_models":
        return {"texts": ["2?"], "models": [BASE, "nobody"], "max_tokens": 2, "run": True}
    if operation == "set_budget":
        # In a scope that nothing of this run is spent from.
        return {"scope": f"key/made-{next(numbers)}", "daily_usd": "1"}
    if operation == "create_training_job":
        kept = {name: value for name, value in body.get("config", {}).items() if name in ("schedule", "seed", "method")}
        return {
            "base_model": BASE,
            "dataset_id": lasting_one("dataset_id"),
            "name": f"made-{next(numbers)}",
            "config": kept | SMALL,
        }
    if operation == "estimate_training_job":
        kept = {name: value for name, value in body.items() if name == "usd_per_hour"}
        return kept | {"base_model": BASE, "dataset_id": lasting_one("dataset_id"), "config": SMALL}
    if operation in ("complete_upload", "resume_training_job"):
        return {}
    if operation == "locate_parts":
        return {"parts": [1]}
    if operation == "create_key":
        rest = {name: value for name, value in body.items() if name not in ("burst", "expires_at")}
        return rest | {"name": "made"}
    return None


models = [trained() for _ in range(TO_DELETE)] if KEY else []


@schemathesis.hook
def before_call(_context: HookContext, case: schemathesis.Case, kwargs: dict) -> None:
    """Has some of the well-formed requests be about something that exists, and protects what the run stands on."""
    operation = case.operation.definition.raw["operationId"]
    parameters = case.path_parameters
    if operation == "delete_model" and "base:" in unquote(str(parameters["model_id"])):
        parameters["model_id"] = "base:another"
    is_well_formed = case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE
    if not KEY or not is_well_formed:
        return
    # Of the few well-formed requests that change something, all but the second are about what exists.
    is_left = next(own[operation]) == 1 if operation in OWN else next(asked) % ABOUT_SOMETHING
    if is_left:
        return
    for name in parameters:
        parameters[name] = something(operation, name) or parameters[name]
    if operation == "preview_dataset":
        case.query = {"base_model": BASE, "row": 1}
    if operation == "put_part":
        # As it is: of a body of bytes that is set here, others are sent.
        kwargs["data"] = PART
    fitting = fit(operation, case.body) if isinstance(case.body, dict) else None
    if fitting is not None:
        case.body = fitting


@schemathesis.hook
def after_call(_context: HookContext, case: schemathesis.Case, response: Response) -> None:
    """Counts what came of a request."""
    operation = case.operation.definition.raw["operationId"]
    counts[operation][response.status_code] += 1
    if operation == "resume_training_job" and response.status_code == HTTPStatus.OK:
        # It would train for ever, and the others wait for it.
        stop(case.path_parameters["job_id"])


@schemathesis.serializer("application/jsonl", "text/csv", "application/octet-stream")
def as_it_is(_context: schemathesis.SerializationContext, value: object) -> dict:
    """Sends a file as its bytes."""
    if isinstance(value, bytes):
        return {"data": value}
    return {"data": (value if isinstance(value, str) else json.dumps(value)).encode(errors="surrogatepass")}


@atexit.register
def write_counts() -> None:
    """Leaves the counts for whoever started the run."""
    with open(os.environ["LLMOPT_CONTRACT_COUNTS"], "w") as file:
        json.dump({name: dict(sorted(found.items())) for name, found in sorted(counts.items())}, file)
