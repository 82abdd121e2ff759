"""What the endpoints of a stand-in Metabase answer: one function each, found by method and path."""

import json
import math
import re
import time
import urllib.parse
import uuid

import metabase_queue
from metabase_world import World, with_old_secrets, without_secrets

CARD = ("cache_ttl", "collection_id", "collection_position", "dataset_query", "description", "display",
        "name", "parameter_mappings", "parameters", "query_type", "visualization_settings")
DASHBOARD = ("name", "description", "collection_position", "collection_id", "cache_ttl", "parameters")
ROUTES = []


class Answer(Exception):
    def __init__(self, status=200, body=None):
        super().__init__(status)
        self.status, self.body = status, body


def route(method, path):
    def keep(function):
        ROUTES.append((method, re.compile(path), function))
        return function
    return keep


class Request:
    """method, path, query {name: last value}, headers, body (bytes), and the Metabase asked."""

    def __init__(self, metabase, method, target, headers, body):
        url = urllib.parse.urlsplit(target)
        self.metabase, self.world = metabase, metabase.world
        self.method, self.path, self.headers, self.body = method, url.path, headers, body
        self.query = {k: v[-1] for k, v in urllib.parse.parse_qs(url.query, True).items()}

    def json(self):
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            raise Answer(400, "Malformed JSON in request body.") from None
        if not isinstance(value, dict):
            raise Answer(400, {"errors": {"_error": "value must be a map."}})
        return value

    def is_on(self, name):
        return self.query.get(name, "").lower() == "true"

    def needs(self, *names):
        body = self.json()
        missing = [n for n in names if body.get(n) in (None, "")]
        if missing:
            raise Answer(400, {"errors": {n: "value must be a non-blank string." for n in missing}})
        return body

    def row(self, kind, number):
        row = self.world.get(kind, number)
        if not row:
            raise Answer(404, "Not found.")
        return row


def answer(request):
    """(status, body): a string is text/plain, None nothing, the rest JSON."""
    try:
        starting = request.metabase.progress()
        if request.path == "/api/health":
            return health(starting)
        if request.path == "/livez":
            return 200, {"status": "ok"}
        if starting is not None:
            return 503, "Metabase is still initializing. Please sit tight..."
        for method, path, function in ROUTES:
            match = path.fullmatch(request.path)
            if method == request.method and match:
                if function not in OPEN:
                    authenticate(request)
                found = function(request, *(int(part) for part in match.groups()))
                return (204, None) if found is None else (200, found)
        authenticate(request)
        return 404, "API endpoint does not exist."
    except Answer as a:
        return a.status, a.body


def health(starting):
    if starting is None:
        return 200, {"status": "ok"}
    if isinstance(starting, str):
        return 503, {"status": starting}
    return 503, {"status": "initializing", "progress": starting}


# --- who asks ---------------------------------------------------------------------------------


def authenticate(request):
    metabase = request.metabase
    key, session = request.headers.get("x-api-key"), request.headers.get("x-metabase-session")
    if not (key and key == metabase.api_key) and session not in metabase.world.sessions:
        raise Answer(401, "Unauthenticated")


@route("POST", "/api/session")
def begin_session(request):
    metabase, body = request.metabase, request.needs("username", "password")
    user = body["username"]
    if metabase.throttled(user):
        metabase.fail_login(user)  # this one counts as well, in what is said too
        seconds = metabase.throttled(user)
        text = f"Too many attempts! You must wait {seconds} seconds before trying again."
        raise Answer(401, {"errors": {"username": text}})
    if metabase.users.get(user, "") != body["password"]:
        metabase.fail_login(user)
        raise Answer(401, {"errors": {"password": "did not match stored password"}})
    if user in metabase.disabled:
        raise Answer(401, {"errors": {"_error": "Your account is disabled."}})
    session = str(uuid.uuid4())
    with request.world.lock:
        request.world.sessions[session] = user
        request.world.save()
    return {"id": session}


@route("DELETE", "/api/session")
def end_session(request):
    with request.world.lock:
        request.world.sessions.pop(request.headers.get("x-metabase-session"), None)
        request.world.save()


@route("GET", "/api/session/properties")
def properties(request):
    return {"version": {"tag": request.metabase.version}, "has-user-setup": True}


@route("GET", "/api/user/current")
def current_user(request):
    user = request.world.sessions.get(request.headers.get("x-metabase-session"), "api-key@api-key.invalid")
    return {"id": 1, "email": user, "is_superuser": True}


@route("POST", r"/api/notify/.*")
def notify(request):
    raise Answer(403, "MB_API_KEY is not set. See https://www.metabase.com/docs/latest/"
                 "configuring-metabase/environment-variables#mb_api_key for more information.")


OPEN = {begin_session, properties, notify}


# --- databases --------------------------------------------------------------------------------


def shown_database(row):
    return {**row, "details": without_secrets(row["details"])}


def with_connection(engine, details):
    """Tries TLS first, as the real one, and says so where the warehouse offers it."""
    if engine != "postgres":
        return details
    try:
        with metabase_queue.warehouse({**details, "ssl": True}) as cursor:
            cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return {**details, "ssl": cursor.fetchone()[0]}
    except metabase_queue.Unreachable as e:
        text = str(e)
    if "password authentication failed" in text or "role" in text:
        errors = {"user": "check your username", "password": "check your password"}
        raise Answer(400, {"message": text, "errors": errors})
    message = "Hmm, we couldn't connect to the database. Make sure your Host and Port settings are correct"
    raise Answer(400, {"message": message, "errors": {"host": "check your host settings",
                                                      "port": "check your port settings"}})


@route("GET", "/api/database")
def list_databases(request):
    found = [shown_database(d) for d in request.world.all("databases")]
    return {"data": found, "total": len(found)}


@route("POST", "/api/database")
def create_database(request):
    body = request.needs("name", "engine")
    details = with_connection(body["engine"], body.get("details") or {})
    row = request.world.add("databases", World.database(body["name"], body["engine"], details))
    request.metabase.queue.submit("sync", row["id"])
    return shown_database(row)


@route("GET", r"/api/database/(\d+)")
def get_database(request, number):
    return shown_database(request.row("databases", number))


@route("PUT", r"/api/database/(\d+)")
def change_database(request, number):
    old, body = request.row("databases", number), request.json()
    change = {k: body[k] for k in ("name", "engine", "description", "cache_ttl") if k in body}
    if body.get("details"):
        change["details"] = with_connection(
            old["engine"], with_old_secrets(body["details"], old["details"]))
    return shown_database(request.world.change("databases", number, **change))


@route("DELETE", r"/api/database/(\d+)")
def delete_database(request, number):
    request.row("databases", number)
    request.world.remove_database(number)


@route("GET", r"/api/database/(\d+)/metadata")
def metadata(request, number):
    tables = []
    for table in request.world.all("tables", db_id=request.row("databases", number)["id"]):
        if table["visibility_type"] and not request.is_on("include_hidden"):
            continue
        if not table["active"] and request.is_on("remove_inactive"):
            continue
        if not request.is_on("skip_fields"):
            table["fields"] = fields_of(request, table)
        tables.append({**table, "schema": table["schema"] or ""})
    return {**shown_database(request.world.get("databases", number)), "tables": tables}


@route("POST", r"/api/database/(\d+)/sync_schema")
def sync_schema(request, number):
    row = request.row("databases", number)
    try:
        if row["engine"] == "postgres":
            with metabase_queue.warehouse(row["details"]):
                pass
    except metabase_queue.Unreachable as e:
        raise Answer(422, str(e)) from None
    if not request.metabase.troubles.drops_trigger(row["name"]):
        request.metabase.queue.submit("sync", number)
    return {"status": "ok"}


@route("POST", r"/api/database/(\d+)/rescan_values")
def rescan_values(request, number):
    request.row("databases", number)
    request.metabase.queue.submit("rescan", number)
    return {"status": "ok"}


# --- tables, fields, tasks --------------------------------------------------------------------


def fields_of(request, table):
    return [f for f in request.world.all("fields", table_id=table["id"], active=True)
            if f["visibility_type"] == "normal" or request.is_on("include_hidden")
            or request.is_on("include_hidden_fields")]


@route("GET", "/api/table")
def list_tables(request):
    databases = {d["id"]: shown_database(d) for d in request.world.all("databases")}
    return [{**t, "db": databases[t["db_id"]]} for t in request.world.all("tables", active=True)]


@route("GET", r"/api/table/(\d+)")
def get_table(request, number):
    return request.row("tables", number)


@route("GET", r"/api/table/(\d+)/query_metadata")
def query_metadata(request, number):
    table = request.row("tables", number)
    return {**table, "fields": fields_of(request, table)}


@route("PUT", r"/api/table/(\d+)")
def change_table(request, number):
    request.row("tables", number)
    keys = ("display_name", "entity_type", "description", "visibility_type")
    body = request.json()
    return request.world.change("tables", number, **{k: body[k] for k in keys if k in body})


@route("GET", r"/api/field/(\d+)")
def get_field(request, number):
    return request.row("fields", number)


@route("PUT", r"/api/field/(\d+)")
def change_field(request, number):
    request.row("fields", number)
    keys = ("display_name", "semantic_type", "description", "visibility_type")
    body = request.json()
    return request.world.change("fields", number, **{k: body[k] for k in keys if k in body})


@route("GET", "/api/task")
def list_tasks(request):
    query = request.query
    wanted = {k: query[k] for k in ("task", "status") if query.get(k)}
    rows = request.world.all("tasks", **wanted)
    column = query.get("sort_column", "started_at")
    if column not in ("id", "task", "db_id", "started_at", "ended_at", "duration", "status"):
        raise Answer(400, {"errors": {"sort_column": "invalid"}})
    # what has not ended has neither an end nor a duration: last upwards, first downwards
    rows.sort(key=lambda r: (r[column] is None, r[column] or 0, r["id"]),
              reverse=query.get("sort_direction", "desc") == "desc")
    limit, offset = (int(query[k]) if query.get(k) else None for k in ("limit", "offset"))
    first = offset or 0
    page = rows[first:] if limit is None else rows[first:first + limit]
    return {"total": len(rows), "limit": limit, "offset": offset, "data": page}


@route("GET", r"/api/task/(\d+)")
def get_task(request, number):
    return request.row("tasks", number)


# --- collections, cards, dashboards -------------------------------------------------------------


def slug(name):
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


@route("GET", "/api/collection")
def list_collections(request):
    root = {"id": "root", "name": "Our analytics", "archived": False, "location": None}
    return [root] + request.world.all("collections", archived=request.is_on("archived"))


@route("POST", "/api/collection")
def create_collection(request):
    body, location = request.needs("name"), "/"
    if body.get("parent_id"):
        parent = request.row("collections", body["parent_id"])
        location = f"{parent['location']}{parent['id']}/"
    return request.world.add("collections", {
        "name": body["name"], "description": body.get("description"), "slug": slug(body["name"]),
        "entity_id": uuid.uuid4().hex[:21], "location": location, "archived": False,
        "authority_level": None, "type": None})


@route("GET", r"/api/collection/(\d+)")
def get_collection(request, number):
    return request.row("collections", number)


@route("PUT", r"/api/collection/(\d+)")
def change_collection(request, number):
    row, body = request.row("collections", number), request.json()
    change = {k: body[k] for k in ("name", "description", "archived") if k in body}
    if "parent_id" in body:
        parent = request.row("collections", body["parent_id"]) if body["parent_id"] else None
        change["location"] = f"{parent['location']}{parent['id']}/" if parent else "/"
    change["slug"] = slug(change.get("name", row["name"]))
    return request.world.change("collections", number, **change)


def is_in_collection(request, row):
    number = row.get("collection_id")
    if number is not None and not request.world.get("collections", number):
        raise Answer(404, "Not found.")


@route("GET", "/api/card")
def list_cards(request):
    return request.world.all("cards", archived=request.query.get("f") == "archived")


@route("POST", "/api/card")
def create_card(request):
    body = request.json()
    missing = [k for k in ("name", "display", "dataset_query", "visualization_settings") if k not in body]
    if missing:
        raise Answer(400, {"errors": {k: "missing required key" for k in missing}})
    is_in_collection(request, body)
    return request.world.add("cards", {**{k: body.get(k) for k in CARD}, "archived": False})


@route("GET", r"/api/card/(\d+)")
def get_card(request, number):
    return request.row("cards", number)


@route("PUT", r"/api/card/(\d+)")
def change_card(request, number):
    request.row("cards", number)
    body = request.json()
    is_in_collection(request, body)
    return request.world.change("cards", number, **{
        k: body[k] for k in CARD + ("archived",) if k in body})


def shown_dashboard(request, row):
    return {**row, "dashcards": request.world.all("dashcards", dashboard_id=row["id"])}


@route("GET", "/api/dashboard")
def list_dashboards(request):
    return request.world.all("dashboards", archived=request.query.get("f") == "archived")


@route("POST", "/api/dashboard")
def create_dashboard(request):
    body = request.needs("name")
    is_in_collection(request, body)
    row = {**{k: body.get(k) for k in DASHBOARD}, "archived": False, "tabs": []}
    row["parameters"] = row["parameters"] or []
    return shown_dashboard(request, request.world.add("dashboards", row))


@route("GET", r"/api/dashboard/(\d+)")
def get_dashboard(request, number):
    return shown_dashboard(request, request.row("dashboards", number))


@route("PUT", r"/api/dashboard/(\d+)")
def change_dashboard(request, number):
    world, body = request.world, request.json()
    request.row("dashboards", number)
    is_in_collection(request, body)
    with world.lock:
        if "dashcards" in body:
            place_dashcards(world, number, body["dashcards"])
        row = world.change("dashboards", number, **{
            k: body[k] for k in DASHBOARD + ("archived", "tabs") if k in body})
    return shown_dashboard(request, row)


def place_dashcards(world, dashboard, wanted):
    """Those sent with a negative id are new; those not sent are gone."""
    kept = {c["id"] for c in wanted if c.get("id", -1) > 0}
    for old in world.all("dashcards", dashboard_id=dashboard):
        if old["id"] not in kept:
            del world.rows["dashcards"][old["id"]]
    for card in wanted:
        row = {**card, "dashboard_id": dashboard}
        if row.pop("id", -1) > 0:
            world.change("dashcards", card["id"], **row)
        else:
            world.add("dashcards", row)


@route("GET", "/api/search")
def search(request):
    words, models = request.query.get("q", "").lower(), request.query.get("models")
    kinds = {"card": "cards", "dashboard": "dashboards", "collection": "collections",
             "database": "databases", "table": "tables"}
    found = [{"id": row["id"], "name": row["name"], "model": model}
             for model, kind in kinds.items() if models in (None, model)
             for row in request.world.all(kind) if words in row["name"].lower()
             and not row.get("archived")]
    return {"data": found, "total": len(found)}


# --- permissions --------------------------------------------------------------------------------


@route("GET", "/api/permissions/group")
def list_groups(request):
    return request.world.all("groups")


@route("POST", "/api/permissions/group")
def create_group(request):
    body = request.needs("name")
    if request.world.all("groups", name=body["name"]):
        raise Answer(400, "A group with that name already exists.")
    return request.world.add("groups", {"name": body["name"]})


@route("GET", r"/api/permissions/group/(\d+)")
def get_group(request, number):
    return {**request.row("groups", number), "members": []}


@route("PUT", r"/api/permissions/group/(\d+)")
def change_group(request, number):
    request.row("groups", number)
    return request.world.change("groups", number, name=request.needs("name")["name"])


@route("DELETE", r"/api/permissions/group/(\d+)")
def delete_group(request, number):
    request.row("groups", number)
    with request.world.lock:
        del request.world.rows["groups"][number]
        request.world.save()


@route("GET", "/api/permissions/graph")
def get_graph(request):
    return request.world.graph


@route("PUT", "/api/permissions/graph")
def change_graph(request):
    body, world = request.json(), request.world
    with world.lock:
        if body.get("revision") != world.graph["revision"]:
            raise Answer(409, "Looks like someone else edited the permissions and your data is out of "
                         "date. Please fetch new data and try again.")
        world.graph = {"revision": world.graph["revision"] + 1,
                       "groups": {**world.graph["groups"], **body.get("groups", {})}}
        world.save()
        return world.graph


def throttle_seconds(failures, scale, threshold=10, window=3600):
    """How long a user still waits after such failed log-ins (times), as Metabase counts."""
    now = time.monotonic()
    recent = [t for t in failures if now - t < window * scale]
    if len(recent) < threshold:
        return 0
    delay = 15 * (len(recent) - threshold + 1) ** 1.5 * scale
    left = recent[-1] + delay - now
    return math.ceil(left) if left > 0 else 0
