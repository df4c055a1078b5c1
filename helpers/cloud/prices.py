"""What something costs before it starts, from a table in the repository with its date."""

from pathlib import Path
from typing import Any

from helpers.common import read_json

TABLE = Path(__file__).with_name("prices.json")


def price_per_hour(instance_type: str) -> float | None:
    """Returns the on-demand price of an instance in US dollars; None where it is not known."""
    return read_json(TABLE)["per_hour"].get(instance_type)


def describe_price(session: Any, instance_type: str, count: int, hours: float) -> str:
    """Says what a job costs before it starts."""
    table, price = read_json(TABLE), price_per_hour(instance_type)
    if price is None:
        cost = f"the price is not in prices.json; look at {table['check']}"
    else:
        where = table["region"]
        where += "" if session.region == where else f", not {session.region}"
        cost = f"${price * count:.3f} an hour, at most ${price * count * hours:.2f}"
        cost += f" (on demand in {where}, as of {table['date']}, to be checked)"
    billed = "" if session.billed else "; rehearsal: nothing is billed"
    return f"price of this job: {count} x {instance_type}, {cost}{billed}"
