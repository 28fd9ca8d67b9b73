"""What the converter carries and what it refuses; scripts/check-deploy runs it."""

import copy
import json
import unittest

from aws_template import Place, Refusal, convert, load

PLACE = Place("http://127.0.0.1:4566", "/tmp/here", "x86_64")
SOURCE = load()


def code(binary: str) -> dict:
    return {"S3Bucket": "code", "S3Key": f"{binary}.zip"}


def converted(source: dict = SOURCE, functions: bool = True, **parameters: str) -> dict:
    return convert(source, parameters, code if functions else None, PLACE).template


class Carried(unittest.TestCase):
    def test_functions_answer_whole_and_are_invoked_so(self) -> None:
        template = converted()
        text = json.dumps(template)
        self.assertNotIn("response-streaming-invocations", text)
        self.assertNotIn("responseTransferMode", text)
        for name in ("Generate", "Commercial", "Training", "Inference"):
            variables = template["Resources"][name]["Properties"]["Environment"]["Variables"]
            self.assertEqual(variables["LLMOPT_RESPONSES"], "buffer")

    def test_problems_of_the_gateway_are_resources_before_the_deployment(self) -> None:
        resources = converted()["Resources"]
        responses = {name for name, resource in resources.items() if resource["Type"].endswith("GatewayResponse")}
        [deployment] = [resource for resource in resources.values() if resource["Type"].endswith("Deployment")]
        self.assertEqual(set(deployment["DependsOn"]), responses)
        self.assertEqual(len(responses), len(SOURCE["Resources"]["Api"]["Properties"]["GatewayResponses"]))

    def test_roles_and_what_they_may_do_are_kept(self) -> None:
        resources = converted()["Resources"]
        for name in ("HealthRole", "KeysRole", "ModelsRole", "DatasetsRole", "TrainingRole", "GenerateRole", "CommercialRole", "InferenceRole"):
            ours = SOURCE["Resources"][name]["Properties"]["Policies"]
            self.assertEqual(len(resources[name]["Properties"]["Policies"]), len(ours))

    def test_functions_keep_their_files_apart(self) -> None:
        resources = converted()["Resources"]
        folders = [
            resource["Properties"]["Environment"]["Variables"]["LLMOPT_DATA_DIR"]
            for resource in resources.values()
            if resource["Type"] == "AWS::Lambda::Function"
        ]
        self.assertEqual(len(set(folders)), 10)

    def test_sites_that_may_upload_are_kept(self) -> None:
        bucket = converted(UploadOrigins="https://example.com")["Resources"]["Artifacts"]
        self.assertIn("CorsConfiguration", bucket["Properties"])

    def test_stores_and_queues_need_no_functions(self) -> None:
        template = converted(functions=False)
        tables = {"Answers", "Events", "KeyRecords", "Rates", "Records"}
        stores = tables | {"Artifacts", "TrainingQueue", "DeadLetters", "Questions", "DeadQuestions"}
        self.assertLessEqual(stores, set(template["Resources"]))
        self.assertNotIn("Api", template["Resources"])
        self.assertNotIn("ApiUrl", template["Outputs"])


class Refused(unittest.TestCase):
    def refuses(self, what: str, change, **parameters: str) -> None:
        source = copy.deepcopy(SOURCE)
        change(source["Resources"])
        with self.assertRaisesRegex(Refusal, what):
            convert(source, parameters, code, PLACE)

    def test_an_authorizer(self) -> None:
        auth = {"Authorizers": {"Mine": {"FunctionArn": "arn"}}, "DefaultAuthorizer": "Mine"}
        self.refuses("Api has Auth", lambda it: it["Api"]["Properties"].update(Auth=auth))

    def test_an_authorizer_of_a_route(self) -> None:
        def change(resources: dict) -> None:
            resources["Models"]["Properties"]["Events"]["ListModels"]["Properties"]["Auth"] = {"Authorizer": "Mine"}

        self.refuses("Models/Events/ListModels has Auth", change)

    def test_a_policy_of_the_api(self) -> None:
        change = lambda it: it["Api"]["Properties"].update(Domain={"DomainName": "example.com"})  # noqa: E731
        self.refuses("Api has Domain", change)

    def test_what_is_not_known_to_work(self) -> None:
        table = {"Type": "AWS::Timestream::Table", "Properties": {}}
        self.refuses("Clock is an AWS::Timestream::Table", lambda it: it.update(Clock=table))

    def test_an_event_that_is_not_known_to_work(self) -> None:
        event = {"Type": "Kinesis", "Properties": {"Stream": "arn", "StartingPosition": "LATEST"}}
        self.refuses("JobEvents/Events/Extra", lambda it: it["JobEvents"]["Properties"]["Events"].update(Extra=event))

    def test_what_needs_what_is_left_out(self) -> None:
        table = copy.deepcopy(SOURCE["Resources"]["Events"])
        table["Properties"]["TableName"] = {"Ref": "Budget"}
        self.refuses("Extra needs Budget", lambda it: it.update(Extra=table))

    def test_who_may_use_the_bucket(self) -> None:
        def change(resources: dict) -> None:
            statements = resources["ArtifactsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
            statements.append({"Sid": "Other", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"})

        self.refuses("ArtifactsPolicy says more", change)

    def test_batch(self) -> None:
        self.refuses("TrainerImage is set", lambda _: None, TrainerImage="image")

    def test_a_parameter_that_is_none(self) -> None:
        self.refuses("no parameter Nothing", lambda _: None, Nothing="x")


if __name__ == "__main__":
    unittest.main()
