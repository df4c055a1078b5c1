"""The cloud notebooks' helpers: a training job, an endpoint, and a clean-up, in two worlds.

`WORKSHOP_CLOUD=rehearsal` (the default) plays AWS on this machine; `aws` uses your account. The
calls are the same: only the session differs.

session     which world, account, region, role and bucket; what is checked before anything is made
checks      each mistake that can be found before something is created
prices      what the thing that is about to start costs (prices.json, with its date)
data        a folder to S3, once by content
source      the helpers package as a job's source code
job         a training job: build, start, follow, metrics
endpoint    an archive behind an endpoint: real-time, serverless or asynchronous
inference   the script inside the archive: picture files in, named probabilities out
client      pictures to an endpoint, in batches that it accepts
ledger      what was created, written down before it is made
cleanup     deletes all of it, twice without error, and shows that nothing is left
bench       what the endpoint can do: requests per second, broken bodies, memory
rehearsal   AWS on this machine: moto, a runner of jobs, endpoints that answer
"""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "cleanup": ["delete_all"],
        "client": ["EndpointClient", "LIMITS"],
        "data": ["upload_folder"],
        "endpoint": ["PICTURE_REQUESTS", "SCRIPT", "SCRIPTS", "deploy"],
        "script.shards": ["write_shards"],
        "session": ["CloudSession", "open_session"],
    },
)
