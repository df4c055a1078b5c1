"""What runs inside a job: `python -m helpers.cloud.script`, on every machine of it."""
