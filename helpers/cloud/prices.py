"""What something costs before it starts, from a table in the repository with its date."""

from pathlib import Path
from typing import Any

from helpers.common import read_json

TABLE = Path(__file__).with_name("prices.json")


def price_per_hour(instance_type: str) -> float | None:
    """Returns the on-demand price of an instance in US dollars; None where it is not known."""
    return read_json(TABLE)["per_hour"].get(instance_type)


def describe_price(
    session: Any, instance_type: str, count: int = 1, hours: float | None = None, what: str = "job"
) -> str:
    """Says what something costs before it starts; without `hours` it runs until it is deleted."""
    table, price = read_json(TABLE), price_per_hour(instance_type)
    if price is None:
        cost = f"the price is not in prices.json; look at {table['check']}"
    else:
        cost = f"${price * count:.3f} an hour"
        cost += f", at most ${price * count * hours:.2f}" if hours else " until you delete it"
        where = table["region"]
        where += "" if session.region == where else f", not {session.region}"
        cost += f" (on demand in {where}, as of {table['date']}, to be checked)"
    return f"price of this {what}: {count} x {instance_type}, {cost}{_unless_billed(session)}"


def describe_serverless_price(session: Any) -> str:
    """Says how a serverless endpoint is billed: by use, so no sum is known beforehand."""
    text = "price of this endpoint: by the milliseconds of each request and its bytes, nothing"
    return f"{text} while it is idle; see {read_json(TABLE)['check']}{_unless_billed(session)}"


def _unless_billed(session: Any) -> str:
    return "" if session.billed else "; rehearsal: nothing is billed"
