#!/usr/bin/env python3
"""Registers a person over gRPC, with nothing but the address: the messages are learned by reflection.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install grpcio grpcio-reflection \
        googleapis-common-protos
    /tmp/venv/bin/python deploy/examples/register.py

Against the suite of `cargo run`: the code is read from the simulator's inbox. The person is invented,
another one at each call.
"""

import argparse
import json
import random
import sys
import urllib.request
import uuid

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


class Gateway:
    """Calls methods by name; requests and answers are dictionaries in proto3 JSON."""

    def __init__(self, address: str):
        self.channel = grpc.insecure_channel(address)
        self.reflection = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = DescriptorPool(self.reflection)

    def services(self) -> list[str]:
        return sorted(self.reflection.get_services())

    def call(self, service: str, method: str, **fields) -> dict:
        descriptor = self.pool.FindServiceByName(service).FindMethodByName(method)
        request = json_format.ParseDict(fields, GetMessageClass(descriptor.input_type)())
        answer = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(descriptor.output_type).FromString,
        )(request, timeout=20)
        return json_format.MessageToDict(answer)

    def details(self, error: grpc.RpcError) -> list[dict]:
        """What the suite says besides the code: reason, message, violations, time to wait."""
        from google.rpc import error_details_pb2 as _known  # noqa: F401  makes the types known
        from google.rpc import status_pb2

        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status = status_pb2.Status.FromString(value)
                return [json_format.MessageToDict(detail) for detail in status.details]
        return []


def invented_person() -> tuple[str, str]:
    """An ID number with a right check character (GB 11643-1999), and a mobile number."""
    digits = f"340122{random.randint(1990, 2004)}{random.randint(1, 12):02}" + (
        f"{random.randint(1, 28):02}{random.randint(1, 999):03}"
    )
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    total = sum(int(digit) * weight for digit, weight in zip(digits, weights))
    return digits + "10X98765432"[total % 11], f"138{random.randint(0, 99_999_999):08}"


def main() -> int:
    arguments = argparse.ArgumentParser(description="registers a person over gRPC")
    arguments.add_argument("--gateway", default="127.0.0.1:8080")
    arguments.add_argument("--simulator", default="127.0.0.1:8090")
    options = arguments.parse_args()

    gateway = Gateway(options.gateway)
    print("services:", *gateway.services(), sep="\n  ")
    id_number, phone = invented_person()
    try:
        sent = gateway.call(
            "zhiyuan.identity.v1.SmsCodeService",
            "SendSmsCode",
            phone=phone,
            purpose="SMS_PURPOSE_REGISTER",
        )
        with urllib.request.urlopen(f"http://{options.simulator}/sms?phone={phone}") as inbox:
            code = json.load(inbox)[0]["code"]
        texts = gateway.call("zhiyuan.identity.v1.ConsentService", "ListConsentTexts")
        required = [text for text in texts["consentTexts"] if text.get("required")]
        organizations = gateway.call(
            "zhiyuan.orgtree.v1.OrganizationService",
            "ListOrganizations",
            query="店埠",
            registrable_only=True,
        )
        answer = gateway.call(
            "zhiyuan.registration.v1.RegistrationService",
            "Register",
            request_id=str(uuid.uuid4()),
            name="张晓明",
            id_number=id_number,
            region_code="340122",
            organization_code=organizations["organizations"][0]["code"],
            phone=phone,
            sms_challenge_id=sent["challengeId"],
            sms_code=code,
            password="luzhou-2026",
            league_member=True,
            consents=[{"purpose": text["purpose"], "version": text["version"]} for text in required],
        )
    except grpc.RpcError as error:
        print(error.code().name, error.details(), file=sys.stderr)
        for detail in gateway.details(error):
            print(json.dumps(detail, ensure_ascii=False), file=sys.stderr)
        return 1
    print(json.dumps(answer, ensure_ascii=False, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
