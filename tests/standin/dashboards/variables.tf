variable "metabase_url" {
  type = string
}

variable "metabase_api_key" {
  type      = string
  default   = null
  sensitive = true
}

variable "metabase_username" {
  type    = string
  default = null
}

variable "metabase_password" {
  type      = string
  default   = null
  sensitive = true
}

variable "global_db_credentials" {
  type      = object({ username = string, password = string })
  sensitive = true
}

variable "tenant_db_credentials" { # its keys are the tenants: a sensitive map is refused by for_each
  type = map(object({ username = string, password = string }))
}

variable "db_host" {
  type = string
}

variable "db_port" {
  type = number
}

variable "db_name" {
  type = string
}

variable "db_schema" {
  type    = string
  default = "analytics"
}

variable "table" {
  type    = string
  default = "mart_screener_data"
}

variable "field" {
  type    = string
  default = "wl_id"
}
