# The dashboards of a team with tenants: one database, collection, questions and dashboard for each,
# and one of each for all. With two tenants it makes 17 things.
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
  username = var.metabase_username
  password = var.metabase_password
  api_key  = var.metabase_api_key
}

# --- what they look at ----------------------------------------------------------------------------

resource "metabase_database" "global" {
  name = "Global"
  custom_details = {
    engine = "postgres"
    details_json = jsonencode(merge(local.connection, {
      user     = var.global_db_credentials.username
      password = var.global_db_credentials.password
    }))
    redacted_attributes = ["password"]
  }
}

resource "metabase_database" "tenant" {
  for_each = var.tenant_db_credentials
  name     = upper(each.key)
  custom_details = {
    engine = "postgres"
    details_json = jsonencode(merge(local.connection, {
      user     = each.value.username
      password = each.value.password
    }))
    redacted_attributes = ["password"]
  }
}

data "metabase_table" "global" {
  db_id  = metabase_database.global.id
  schema = var.db_schema
  name   = var.table
}

data "metabase_table" "tenant" {
  for_each = metabase_database.tenant
  db_id    = each.value.id
  schema   = var.db_schema
  name     = var.table
}

# --- where they are -------------------------------------------------------------------------------

resource "metabase_collection" "global" {
  name = "All tenants"
}

resource "metabase_collection" "tenant" {
  for_each    = var.tenant_db_credentials
  name        = "Tenant ${upper(each.key)}"
  description = "Made by Terraform"
}

# --- questions ------------------------------------------------------------------------------------

resource "metabase_card" "global_total" {
  json = jsonencode(merge(local.card, {
    name          = "All ${var.table}"
    collection_id = tonumber(metabase_collection.global.id)
    dataset_query = {
      database = metabase_database.global.id
      type     = "query"
      query    = { source-table = data.metabase_table.global.id, aggregation = [["count"]] }
    }
  }))
}

resource "metabase_card" "tenant_total" {
  for_each = metabase_database.tenant
  json = jsonencode(merge(local.card, {
    name          = "${each.value.name}: total"
    collection_id = tonumber(metabase_collection.tenant[each.key].id)
    dataset_query = {
      database = each.value.id
      type     = "query"
      query    = { source-table = data.metabase_table.tenant[each.key].id, aggregation = [["count"]] }
    }
  }))
}

resource "metabase_card" "tenant_by_field" {
  for_each = metabase_database.tenant
  json = jsonencode(merge(local.card, {
    name          = "${each.value.name}: by ${var.field}"
    display       = "bar"
    collection_id = tonumber(metabase_collection.tenant[each.key].id)
    dataset_query = {
      database = each.value.id
      type     = "query"
      query = {
        source-table = data.metabase_table.tenant[each.key].id
        aggregation  = [["count"]]
        breakout     = [["field", data.metabase_table.tenant[each.key].fields[var.field], null]]
      }
    }
  }))
}

# --- dashboards -----------------------------------------------------------------------------------

resource "metabase_dashboard" "global" {
  name          = "All tenants"
  collection_id = tonumber(metabase_collection.global.id)
  cards_json    = jsonencode([merge(local.dashcard, { card_id = metabase_card.global_total.id })])
}

resource "metabase_dashboard" "tenant" {
  for_each      = metabase_database.tenant
  name          = "Dashboard ${each.value.name}"
  collection_id = tonumber(metabase_collection.tenant[each.key].id)
  cards_json = jsonencode([
    merge(local.dashcard, { card_id = metabase_card.tenant_total[each.key].id }),
    merge(local.dashcard, { card_id = metabase_card.tenant_by_field[each.key].id, row = 4 }),
  ])
}

resource "metabase_permissions_group" "tenant" {
  for_each = var.tenant_db_credentials
  name     = "Readers of ${upper(each.key)}"
}

resource "metabase_permissions_group" "global" {
  name = "Readers of all tenants"
}

locals {
  connection = {
    host                    = var.db_host
    port                    = var.db_port
    dbname                  = var.db_name
    schema-filters-type     = "inclusion"
    schema-filters-patterns = var.db_schema
  }
  card = {
    cache_ttl              = null
    collection_position    = null
    description            = null
    display                = "scalar"
    parameter_mappings     = []
    parameters             = []
    query_type             = "query"
    visualization_settings = {}
  }
  dashcard = {
    row                    = 0
    col                    = 0
    size_x                 = 12
    size_y                 = 4
    series                 = []
    parameter_mappings     = []
    visualization_settings = {}
  }
}

output "dashboards" {
  value = { for tenant, dashboard in metabase_dashboard.tenant : tenant => dashboard.id }
}
