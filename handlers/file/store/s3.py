"""A store in a bucket of an S3 service: the service answers, this only signs."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from typing import Any

from bus.errors import Later
from handlers.file.store._contract import LIMIT_BYTES, Grant, is_digest, judge, moment
from schemas import Invalid

_PREFIX = "sandbox/"
_PIECE_BYTES = 1 << 16


class S3Store:
    """The sandboxes of one bucket. Credentials and region come from where boto3 looks for them (AWS_*).

    The checksum is signed, so a put must name it. Whether the body has it, only the service can see: Amazon's does.
    One that does not look may keep wrong bytes, and then whoever gets them refuses them.
    """

    KIND = "s3"

    def __init__(self, bucket: str, endpoint: str | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        try:
            import boto3
            import botocore.config
        except ImportError as problem:
            raise Invalid("the S3 sandbox store needs boto3: install pilotbus[s3]") from problem
        config = botocore.config.Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "auto"},
            request_checksum_calculation="when_required",  # boto3's own default would sign the CRC-32 of nothing
            retries={"max_attempts": 2, "mode": "standard"},
            connect_timeout=5,
            read_timeout=15,
        )
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        session = boto3.Session()
        if session.get_credentials() is None:
            raise Invalid("the S3 sandbox store has no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        self._client = session.client("s3", endpoint_url=endpoint or None, region_name=region, config=config)
        self._bucket, self._limit_bytes = bucket, limit_bytes

    def grant(self, operation: str, digest: str, size_bytes: int | None, seconds: int) -> Grant:
        """An address of the service that holds for so many seconds. Raises Invalid."""
        judge(operation, digest)
        about: dict[str, Any] = {"Bucket": self._bucket, "Key": _PREFIX + digest}
        headers: dict[str, str] = {}
        if operation == "put":
            # here or never: S3 signs one exact length, but knows no upper limit
            if size_bytes is None:
                raise Invalid("to put a sandbox into S3, name its size_bytes")
            if size_bytes > self._limit_bytes:
                raise Invalid(f"the sandbox is larger than {self._limit_bytes} bytes, the most this store takes of one")
            checksum = base64.b64encode(bytes.fromhex(digest)).decode()
            about |= {"ContentLength": size_bytes, "ChecksumSHA256": checksum}
            headers = {"x-amz-checksum-sha256": checksum}
        expires = time.time() + seconds
        url = self._client.generate_presigned_url(f"{operation}_object", Params=about, ExpiresIn=seconds)
        return Grant(url, headers, moment(expires))

    def size_of(self, digest: str) -> int | None:
        """How large the sandbox is, or None when it is not there. Raises Later when the service does not answer."""
        found = self._call("head_object", digest) if is_digest(digest) else None
        return None if found is None else int(found["ContentLength"])

    def pieces(self, digest: str) -> Iterator[bytes]:
        """The bytes of a sandbox that is there. Raises Later when it is not, or the service does not answer."""
        from botocore.exceptions import ConnectionError, HTTPClientError, ResponseStreamingError  # noqa: A004 - botocore's own

        found = self._call("get_object", digest)
        if found is None:
            raise Later(f"there is no sandbox {digest} any more")
        try:
            yield from found["Body"].iter_chunks(_PIECE_BYTES)
        except (ConnectionError, HTTPClientError, ResponseStreamingError) as problem:
            raise Later("the S3 service of the sandboxes broke off") from problem

    def remove(self, digest: str) -> None:
        """The sandbox is not there. Raises Later when the service does not answer."""
        if is_digest(digest):
            self._call("delete_object", digest)

    def close(self) -> None:
        """No connection to the service is open."""
        self._client.close()

    def _call(self, operation: str, digest: str) -> Any:
        from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's own

        try:
            return getattr(self._client, operation)(Bucket=self._bucket, Key=_PREFIX + digest)
        except (ConnectionError, HTTPClientError) as problem:
            raise Later("the S3 service of the sandboxes can not be reached") from problem
        except ClientError as problem:
            status = problem.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return None
            if status >= 500:
                raise Later(f"the S3 service of the sandboxes answered {status}") from problem
            raise
