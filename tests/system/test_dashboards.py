"""Dashboards by terraform: the real daemon, the real terraform, a stand-in provider and Metabase. What
is waited for here is waited for by nobody: an apply that comes too early, names that are wrong,
answers that are lost."""
import json

import pytest

from metabaselib import API_KEY, Metabase, Terraform, Warehouse, metabase_environment, needs_terraform
from nightlib import Night

pytestmark = needs_terraform

# one collection, and no table to wait for
SMALL = """
terraform {
  required_providers {
    metabase = {
      source  = "flovouin/metabase"
      version = "~> 0.14"
    }
  }
  backend "local" {}
}
provider "metabase" {
  endpoint = "${var.metabase_url}/api"
  api_key  = var.metabase_api_key
}
resource "metabase_collection" "all" {
  name = "All tenants"
}
"""


class Bench:
    def __init__(self, night, warehouse, metabase):
        self.night, self.warehouse, self.metabase = night, warehouse, metabase
        self.terraform = Terraform(night.folder)
        night.secret("METABASE_API_KEY", API_KEY)
        warehouse.table("mart_screener_data", "id int, wl_id int")

    def begin(self, step="", **variables):
        role = self.warehouse.role("nc")
        env = self.terraform.environment(self.metabase, self.warehouse, {"nc": role},
                                         api_key="${secret.METABASE_API_KEY}", **variables)
        text = " ".join(f"{k} = {json.dumps(v)};" for k, v in env.items())
        self.night.configure(
            '{ name = "apply"; environment = "staging"; steps: ( { name = "apply"; '
            f'env: {{ {text} }}; {step} ready_timeout = "10m"; terraform: {{ action = "apply"; '
            'directory = "@folder@/dashboards"; backend_config = { path = "@folder@/tf.tfstate"; }; }; } ); }',
            environments=metabase_environment(self.metabase))
        self.night.begin()
        self.night.start()

    def step(self):
        return self.night.wait_run(seconds=180)["cells"][0]["steps"][0]

    def state(self):
        return json.loads((self.night.folder / "tf.tfstate").read_text())


@pytest.fixture
def bench():
    with Night() as night, Warehouse() as warehouse, Metabase() as metabase:
        yield Bench(night, warehouse, metabase)


def outcomes(step):
    return [a["outcome"] for a in step["attempts"]]


def test_an_apply_that_came_too_early_waits_for_the_sync_and_succeeds(bench):
    bench.metabase.hold("sync-tables")
    bench.begin()
    first = bench.night.wait("attempt-ended")
    assert "Metabase does not have analytics.mart_screener_data of" in first["message"]
    bench.metabase.release("sync-tables")
    step = bench.step()
    assert (step["outcome"], outcomes(step)) == ("ok", ["not_ready", "ok"])
    names = [a for a, in bench.night.sql("SELECT name FROM nightjar.action ORDER BY attempt, ordinal")]
    assert names == ["init", "plan", "show", "apply", "sync", "plan", "show", "apply"]
    made = {f"{r['type']}.{r['name']}" for r in bench.state()["resources"] if r["mode"] == "managed"}
    assert len(made) == 11
    assert {d for d, in bench.night.sql("SELECT database FROM nightjar.sync WHERE state = 'proved'")} == {
        "Global", "NC"}
    counted, = bench.night.sql("SELECT array_agg(counted ORDER BY number) FROM nightjar.attempt")
    assert counted[0] == [False, True]


def test_a_wrong_table_name_fails_and_is_named(bench):
    bench.begin(table="mart_screener_dat")
    step = bench.step()
    assert outcomes(step) == ["not_ready", "failed"]
    assert "has no analytics.mart_screener_dat" in step["reason"]


def test_a_lost_answer_whose_effect_is_there_needs_a_person(bench):
    (bench.terraform.directory / "main.tf").write_text(SMALL)
    bench.metabase.fault("lost", path="/api/collection", method="POST", times=1)
    bench.begin('retry: { attempts = 3; delay = "100ms"; };')
    step = bench.step()
    assert outcomes(step) == ["needs_person"]
    assert "terraform import 'metabase_collection.all' " in step["reason"]
