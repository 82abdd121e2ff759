/* approve REF, reject REF: what waits is shown, then asked, then the word is given on what was
 * shown.
 *
 *   release#12/apply/staging/apply  waits for approval since 06:12Z: QA done?
 *     + metabase_card.revenue
 *     ~ metabase_dashboard.overview
 *   -/+ metabase_database.nc
 *     2 to add, 1 to change, 1 to destroy
 *     the same plan: release#11/apply/production  ok 05:40Z, approved by alice (uid 1000) */
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "client/client.h"

static const struct sign {
	const char *action, *sign;
	enum colour colour;
} signs[] = {
	{"create", "+", GREEN},
	{"update", "~", YELLOW},
	{"delete", "-", RED},
	{"replace", "-/+", RED},
	{"read", "<=", BLUE},
	{"import", "&", BLUE},
	{"move", "->", BLUE},
};

static void print_change(const cJSON *change)
{
	const char *address = json_string(change, "address"),
		   *action = json_string(change, "action");
	const struct sign *sign = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (str_eq(signs[i].action, action))
			sign = &signs[i];
	out_text(sign ? sign->colour : PLAIN, "%5s %s",
		sign	 ? sign->sign
		: action ? action
			 : "?",
		address ? address : "?");
	putchar('\n');
}

/* As terraform counts them: what is replaced is destroyed and added. */
static void print_summary(const cJSON *summary)
{
	int64_t replace = json_int(summary, "replace", 0);

	if (!summary || cJSON_IsNull(summary))
		return;
	out_text(BOLD, "      %lld to add, %lld to change, %lld to destroy",
		(long long)(json_int(summary, "add", 0) + replace),
		(long long)json_int(summary, "change", 0),
		(long long)(json_int(summary, "destroy", 0) + replace));
	putchar('\n');
}

static void print_elsewhere(const cJSON *elsewhere, usec_t now)
{
	char at[WHEN_MAX];
	const char *same = json_string(elsewhere, "same"), *ref = json_string(elsewhere, "ref");
	const char *outcome = json_string(elsewhere, "outcome"),
		   *who = json_string(elsewhere, "decided_by");
	usec_t ended = json_time(elsewhere, "ended_at");

	out_text(PLAIN, "      the same %s: %s  ", same ? same : "plan", ref ? ref : "?");
	out_text(colour_of_outcome(outcome), "%s", outcome ? outcome : "not ended");
	out_text(PLAIN, "%s%s%s%s", ended ? " " : "", ended ? when(ended, now, at) : "",
		who ? ", approved by " : "", who ? who : "");
	putchar('\n');
}

static void print_head(const cJSON *approval, usec_t now)
{
	char at[WHEN_MAX];
	const char *ref = json_string(approval, "ref"), *message = json_string(approval, "message");
	const char *commit = json_string(approval, "commit");
	usec_t expires = json_time(approval, "expires_at");

	out_text(BOLD, "%s", ref ? ref : "?");
	out_text(PLAIN, "  waits for approval since %s%s%s",
		when(json_time(approval, "since"), now, at), message ? ": " : "",
		message ? message : "");
	putchar('\n');
	if (!commit && !expires)
		return;
	out_text(DIM, "      %s%s%s%s%s", commit ? "commit " : "", commit ? commit : "",
		commit && expires ? ", " : "", expires ? "expires " : "",
		expires ? when(expires, now, at) : "");
	putchar('\n');
}

static void print_approval(const cJSON *approval)
{
	const cJSON *item, *plan = json_get(approval, "plan");
	usec_t now = out_now();

	print_head(approval, now);
	cJSON_ArrayForEach(item, json_get(plan, "changes")) print_change(item);
	if (cJSON_IsObject(plan) && !cJSON_GetArraySize(json_get(plan, "changes")))
		puts("      nothing changes");
	print_summary(json_get(plan, "summary"));
	cJSON_ArrayForEach(item, json_get(approval, "elsewhere")) print_elsewhere(item, now);
	if (cJSON_IsObject(plan) && !cJSON_IsArray(json_get(approval, "elsewhere")))
		puts("      where else it went is not known: the store does not answer");
}

/* y or yes; anything else, and the end of the input, is no. */
static bool ask(const char *what)
{
	char line[16];

	printf("%s? [y/N] ", what);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin)) {
		putchar('\n');
		return false;
	}
	line[strcspn(line, "\n")] = '\0';
	return str_eq(line, "y") || str_eq(line, "Y") || str_eq(line, "yes");
}

static int name_all(const struct client *client, const cJSON *approvals)
{
	const cJSON *item;
	_cleanup_buf_ struct buf refs = BUF_NULL;

	cJSON_ArrayForEach(item, approvals)
	{
		const char *ref = json_string(item, "ref");

		buf_printf(&refs, "%s%s", refs.len ? ", " : "", ref ? ref : "?");
	}
	client_say("%s: several steps wait for approval; choose one: %s", client->words[0],
		buf_str(&refs));
	return STATUS_USAGE;
}

static int give_word(struct client *client, const char *method, const cJSON *approval)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	cJSON *parameters = client_parameters(client);
	int status;

	json_set_string(parameters, "ref", json_string(approval, "ref"));
	if (json_string(approval, "hash"))
		json_set_string(parameters, "plan", json_string(approval, "hash"));
	status = client_call(client, method, parameters, &reply);
	if (status == STATUS_WELL && client->json)
		out_json(reply.parameters);
	return status;
}

static int decide(struct client *client, const char *method)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	cJSON *parameters = cJSON_CreateObject();
	const cJSON *approvals;
	int status;

	if (!client->yes && (client->json || !isatty(STDIN_FILENO))) {
		cJSON_Delete(parameters);
		return client_usage(client, "there is no terminal to ask on; say --yes");
	}
	json_set_string(parameters, "ref", client->words[0]);
	status = client_call(client, "GetApproval", parameters, &reply);
	if (status)
		return status;
	approvals = json_get(reply.parameters, "approvals");
	if (cJSON_GetArraySize(approvals) != 1)
		return name_all(client, approvals);
	if (!client->json)
		print_approval(approvals->child);
	if (!client->yes && !ask(method)) {
		client_say("nothing was said: it goes on waiting");
		return STATUS_FAILED;
	}
	return give_word(client, method, approvals->child);
}

int command_approve(struct client *client)
{
	return decide(client, "Approve");
}

int command_reject(struct client *client)
{
	return decide(client, "Reject");
}
