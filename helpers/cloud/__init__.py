"""A manifest becomes a training job, its export an endpoint, and at the end nothing is left.

`WORKSHOP_CLOUD=rehearsal` (the default) plays AWS on this machine; `aws` uses your account.
"""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.cloud.cleanup import delete_all
    from helpers.cloud.client import EndpointClient
    from helpers.cloud.script.shards import write_shards
    from helpers.cloud.session import CloudSession, open_session
    from helpers.cloud.smoke import serve
    from helpers.cloud.source import IMAGE_REQUESTS, SCRIPTS, upload_folder

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
