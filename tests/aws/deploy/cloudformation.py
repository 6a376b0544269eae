"""Reads and deploys the template for a test.

`cloudformation.py json FILE` prints a YAML file as JSON; CloudFormation's short forms become their long ones.
`cloudformation.py deploy ENDPOINT STACK FILE [NAME=VALUE ...]` makes a stack of it, waits, and prints its outputs as JSON.
"""

import json
import sys

import yaml


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's tags, in which every date stays text and no key may be written twice."""


def tagged(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def mapping(loader, node):
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.constructor.ConstructorError(None, None, f"written twice: {sorted(twice)}", node.start_mark)
    loader.flatten_mapping(node)
    return {loader.construct_object(key): loader.construct_object(value, deep=True) for key, value in node.value}


Template.add_multi_constructor("!", tagged)
Template.add_constructor("tag:yaml.org,2002:map", mapping)
Template.add_constructor("tag:yaml.org,2002:timestamp", Template.construct_yaml_str)


def deploy(endpoint, stack, path, parameters):
    import botocore.session

    client = botocore.session.get_session().create_client(
        "cloudformation",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    with open(path) as file:
        body = file.read()
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters]
    client.validate_template(TemplateBody=body)
    client.create_stack(StackName=stack, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_IAM"])
    try:
        client.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    except Exception:
        for event in client.describe_stack_events(StackName=stack)["StackEvents"]:
            print(event.get("LogicalResourceId"), event.get("ResourceStatusReason"), file=sys.stderr)
        raise
    outputs = client.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def main():
    if sys.argv[1] == "json":
        with open(sys.argv[2]) as file:
            document = yaml.load(file, Loader=Template)
    else:
        _, _, endpoint, stack, path, *parameters = sys.argv
        document = deploy(endpoint, stack, path, [parameter.split("=", 1) for parameter in parameters])
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main()
