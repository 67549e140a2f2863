#!/usr/bin/env python3
"""Signs somebody in and checks the access token as an outside client would: by PyJWT and the JWKS.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install 'pyjwt[crypto]'
    /tmp/venv/bin/python deploy/examples/check_token.py --phone 13800000001 --password luzhou-2026

Against the suite of `cargo run`, with somebody who has registered.
"""

import argparse
import json
import sys
import urllib.request

import jwt

SUITE = "zhiyuan"
TYPE = "zhiyuan-access+jwt"


def call(gateway: str, method: str, body: dict, token: str = "") -> dict:
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        f"{gateway}/zhiyuan.identity.v1.{method}", json.dumps(body).encode(), headers
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def check(token: str, gateway: str) -> dict:
    """The claims, once the signature, its purpose and its times are right."""
    header = jwt.get_unverified_header(token)
    if header["typ"] != TYPE:
        raise jwt.InvalidTokenError(f"not an access token: {header['typ']}")
    key = jwt.PyJWKClient(f"{gateway}/.well-known/jwks.json").get_signing_key(header["kid"])
    return jwt.decode(
        token,
        key,
        algorithms=["EdDSA"],
        audience=SUITE,
        issuer=SUITE,
        leeway=60,
        options={"require": ["iss", "aud", "sub", "sid", "iat", "exp"]},
    )


def main() -> int:
    arguments = argparse.ArgumentParser(description="signs in and checks the access token")
    arguments.add_argument("--gateway", default="http://127.0.0.1:8080")
    arguments.add_argument("--phone", required=True)
    arguments.add_argument("--password", required=True)
    options = arguments.parse_args()

    who = {"identifier": options.phone, "password": options.password, "clientName": "Python"}
    signed_in = call(options.gateway, "SignInService/SignIn", who)
    token = signed_in["tokens"]["accessToken"]
    claims = check(token, options.gateway)
    print(json.dumps(claims, indent=2))
    if claims["sub"] != signed_in["accountId"] or claims["sid"] != signed_in["sessionId"]:
        print("the token is somebody else's", file=sys.stderr)
        return 1
    # What was altered is refused.
    head, payload, signature = token.split(".")
    forged = ".".join([head, payload, signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB")])
    try:
        check(forged, options.gateway)
    except jwt.InvalidSignatureError:
        pass
    else:
        print("a forged token was taken", file=sys.stderr)
        return 1
    refresh = {"refreshToken": signed_in["tokens"]["refreshToken"]}
    call(options.gateway, "SignInService/SignOut", refresh)
    print("checked, and signed out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
