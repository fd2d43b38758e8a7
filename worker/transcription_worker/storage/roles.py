"""Define the roles that a bucket has in a task, and the reasons that a refusal of S3 has in each."""

import enum

from transcription_api import names, reasons
from transcription_api.reasons import Reason


class Role(enum.Enum):
    """The role of a bucket. Its value is the field of the resource that messages name."""

    SOURCE = "spec.source.s3"
    DESTINATION = "spec.destination.s3"
    MODEL = "spec.model.s3"

    @property
    def credentials_dir(self) -> str:
        """The folder where the kubelet mounts the Secret, as an absolute path in the container."""
        return _CREDENTIALS[self]

    @property
    def no_such_key(self) -> Reason:
        return reasons.MODEL_NOT_FOUND if self is Role.MODEL else reasons.NO_SUCH_KEY

    @property
    def denied(self) -> Reason:
        return reasons.DESTINATION_DENIED if self is Role.DESTINATION else reasons.ACCESS_DENIED


_CREDENTIALS = {
    Role.SOURCE: names.SOURCE_CREDENTIALS_DIR,
    Role.DESTINATION: names.DESTINATION_CREDENTIALS_DIR,
    Role.MODEL: names.MODEL_CREDENTIALS_DIR,
}
