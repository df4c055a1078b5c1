"""What stays on this machine goes through no proxy, and processes get no secrets."""

import pytest
import requests

from helpers.cloud.guard import inherited
from helpers.cloud.rehearsal.jobs import Host


@pytest.mark.parametrize("given", [None, "", "example.org,.corp", "*"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_nothing_of_the_loopback_goes_through_a_proxy(monkeypatch, name, given):
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "http://proxy.example")
    if given is not None:
        monkeypatch.setenv(name, given)
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, inherited()[variable])
    assert not requests.utils.get_environ_proxies("http://127.0.0.1:80")
    others = requests.utils.get_environ_proxies("http://elsewhere.invalid")
    assert bool(others) == (given != "*")


def test_processes_of_the_rehearsal_and_of_jobs(monkeypatch, tmp_path):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    job = {"TrainingJobName": "j", "Environment": {"HTTP_PROXY": "http://proxy"}}
    for found in (inherited(), Host("algo-1", {"algo-1": "x"}, tmp_path, job).environment()):
        assert found["no_proxy"] == found["NO_PROXY"] == "127.0.0.1,localhost"
        assert "AWS_SECRET_ACCESS_KEY" not in found
