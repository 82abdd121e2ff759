/* logs REF: "HH:MM:SS text", with a heading wherever another attempt has its turn. */
#include <string.h>
#include "base/memory.h"
#include "client/client.h"

struct printer {
	char *attempt;	  /* whose lines come now */
	bool one_attempt; /* REF names it: no heading */
	bool in_line;	  /* the last line goes on */
};

/* ".../build.2": a dot and a number, in the last part. */
static bool names_an_attempt(const char *ref)
{
	const char *dot = strrchr(ref, '.'), *slash = strrchr(ref, '/');
	uint64_t n;
	return dot && slash && dot > slash && parse_u64(dot + 1, &n);
}

static void end_line(struct printer *printer)
{
	if (printer->in_line)
		putchar('\n');
	printer->in_line = false;
}

static void enter_attempt(struct printer *printer, const char *attempt)
{
	if (!attempt || str_eq(attempt, printer->attempt))
		return;
	end_line(printer);
	if (!printer->one_attempt) {
		if (printer->attempt)
			putchar('\n');
		out_text(BOLD, "==> %s <==", attempt);
		putchar('\n');
	}
	free(printer->attempt);
	printer->attempt = xstrdup(attempt);
}

static void print_line(struct printer *printer, const cJSON *line)
{
	const char *text = json_string(line, "text"), *at = json_string(line, "at");
	bool is_ours = str_eq(json_string(line, "stream"), "nightjar");
	if (!printer->in_line && at && strlen(at) >= 19)
		out_text(DIM, "%.8s ", at + 11);
	out_text(is_ours ? YELLOW : PLAIN, "%s", text ? text : "");
	printer->in_line = true;
	if (!json_bool(line, "partial", false))
		end_line(printer);
}

static void print_piece(struct printer *printer, const cJSON *piece)
{
	int64_t lost = json_int(piece, "lost", 0);
	const cJSON *line;
	enter_attempt(printer, json_string(piece, "attempt"));
	if (lost > 0) {
		end_line(printer);
		out_text(YELLOW, "... %lld bytes are no longer there ...", (long long)lost);
		putchar('\n');
	}
	cJSON_ArrayForEach(line, json_get(piece, "lines")) print_line(printer, line);
	fflush(stdout);
}

int command_logs(struct client *client)
{
	struct printer printer = {.one_attempt = names_an_attempt(client->words[0])};
	cJSON *parameters = cJSON_CreateObject();
	json_set_string(parameters, "ref", client->words[0]);
	json_set_bool(parameters, "follow", client->follow);
	json_set_bool(parameters, "failed", client->failed);
	int status = client_stream(client, "Logs", parameters);
	while (status == STATUS_WELL) {
		_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
		status = client_next(client, &reply);
		if (status)
			break;
		if (!client->json)
			print_piece(&printer, reply.parameters);
		else if (json_string(reply.parameters, "attempt"))
			out_json(reply.parameters);
		if (!reply.continues)
			break;
	}
	end_line(&printer);
	free(printer.attempt);
	return status;
}
