"""A manifest becomes a training job, its export an endpoint, and at the end nothing is left.

`WORKSHOP_CLOUD=rehearsal` (the default) plays AWS on this machine; `aws` uses your account.
"""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "cleanup": ["delete_all"],
        "client": ["EndpointClient", "LIMITS"],
        "data": ["upload_folder"],
        "endpoint": ["IMAGE_REQUESTS", "SCRIPT", "SCRIPTS", "deploy"],
        "script.shards": ["write_shards"],
        "session": ["CloudSession", "open_session"],
    },
)
