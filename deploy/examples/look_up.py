#!/usr/bin/env python3
"""What a platform does: proves who it is, asks whether somebody is registered, follows who is.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install 'pyjwt[crypto]' grpcio grpcio-reflection
    /tmp/venv/bin/python deploy/examples/look_up.py --key ~/.local/share/zhiyuan/accounts/platform.key \
        --phone 13800000001

Against the suite of `cargo run`, whose demonstration account is called `platform`.
"""

import argparse
import base64
import hashlib
import json
import sys
import time
import urllib.request
import uuid

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

PARTITIONS = 64


class Account:
    """A service account: its name, and the Ed25519 seed that only the platform has."""

    def __init__(self, name: str, seed: str):
        self.name = name
        self.key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed))
        public = self.key.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(public).hexdigest()[:16]

    def assertion(self, service: str) -> str:
        """Proves to one service, such as `identity`, who calls; good for a minute."""
        now = int(time.time())
        claims = {"iss": self.name, "aud": service, "iat": now, "exp": now + 60}
        claims["jti"] = uuid.uuid4().hex
        headers = {"typ": "zhiyuan-service+jwt", "kid": self.key_id}
        return jwt.encode(claims, self.key, algorithm="EdDSA", headers=headers)


class Gateway:
    """The one address that platforms know."""

    def __init__(self, address: str, account: Account):
        self.address, self.account = address, account

    def call(self, method: str, body: dict) -> dict:
        """Calls a method in JSON, such as `identity.v1.LookUpService/LookUpVolunteer`."""
        headers = {
            "content-type": "application/json",
            "zhiyuan-assertion": self.account.assertion(method.split(".")[0]),
        }
        request = urllib.request.Request(
            f"http://{self.address}/zhiyuan.{method}", json.dumps(body).encode(), headers
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def follow(self, service: str, cursors: dict[int, dict]):
        """Yields the answers of `Pull` after the cursors; the messages are learned by reflection."""
        with grpc.insecure_channel(self.address) as channel:
            pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            name = f"zhiyuan.{service}.v1.FeedService"
            pull = pool.FindServiceByName(name).FindMethodByName("Pull")
            request = {"cursors": [{"partition": p, **cursor} for p, cursor in cursors.items()]}
            stream = channel.unary_stream(
                f"/{name}/Pull",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=GetMessageClass(pull.output_type).FromString,
            )
            message = json_format.ParseDict(request, GetMessageClass(pull.input_type)())
            metadata = [("zhiyuan-assertion", self.account.assertion(service))]
            for answer in stream(message, metadata=metadata):
                yield json_format.MessageToDict(answer, descriptor_pool=pool)


PURPOSE = "LOOK_UP_PURPOSE_ACTIVITY_ENROLMENT"


def look_up(gateway: Gateway, subject: dict) -> dict:
    return gateway.call("identity.v1.LookUpService/LookUpVolunteer", {**subject, "purpose": PURPOSE})


def main() -> int:
    arguments = argparse.ArgumentParser(description="looks a person up and follows a feed")
    arguments.add_argument("--gateway", default="127.0.0.1:8080")
    arguments.add_argument("--account", default="platform")
    arguments.add_argument("--key", required=True, help="a file with the seed in base64")
    arguments.add_argument("--phone", required=True)
    options = arguments.parse_args()
    with open(options.key, encoding="ascii") as file:
        gateway = Gateway(options.gateway, Account(options.account, file.read().strip()))

    found = look_up(gateway, {"phone": options.phone})
    print(json.dumps(found, indent=2))
    if not found.get("registered") or found.get("several"):
        print("nobody, or several: ask for the ID number", file=sys.stderr)
        return 1
    volunteer = found["volunteerId"]

    # From now on the platform needs no phone to ask for this person.
    bound = {"externalId": f"u-{volunteer[-12:]}", "volunteerId": volunteer}
    gateway.call("identity.v1.LookUpService/BindExternalId", bound)
    again = look_up(gateway, {"externalId": bound["externalId"]})
    ids = {"volunteerIds": [volunteer, str(uuid.uuid4())], "purpose": PURPOSE}
    known, unknown = gateway.call("registration.v1.VolunteerService/BatchGetVolunteers", ids)["entries"]
    print(json.dumps(known["volunteer"], indent=2))
    if again["volunteerId"] != volunteer or "volunteer" in unknown:
        print("the answers don't fit together", file=sys.stderr)
        return 1

    # From the beginning; a real reader stores the cursors with what it makes of the events. When
    # it is told FEED_TRIMMED it begins with `Snapshot`.
    cursors: dict[int, dict] = {partition: {} for partition in range(PARTITIONS)}
    seen = set()
    for answer in gateway.follow("registration", cursors):
        for event in answer.get("events", []):
            partition = event.get("partition", 0)
            cursors[partition] = {"position": event["position"], "eventId": event["eventId"]}
            seen.add(event["key"])
        if "heartbeat" in answer and volunteer in seen:
            # The heartbeat follows everything before it.
            break
    print(f"followed {len(seen)} volunteers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
