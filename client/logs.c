/* logs REF: "HH:MM:SS text", with a heading wherever another attempt has its turn. A line of JSON
 * is kept until it is whole, and its message is shown (log_text.h); --raw: as it was logged. */
#include <string.h>
#include "base/memory.h"
#include "client/client.h"
#include "client/log_text.h"

#define HELD_MAX (1u << 20)

struct printer {
	char *attempt;	  /* whose lines come now */
	bool one_attempt; /* REF names it: no heading */
	bool raw;
	bool in_line;	 /* the last line goes on */
	struct buf held; /* the pieces so far of what may be JSON */
	char at[9];	 /* their time, "HH:MM:SS" */
};

/* ".../build.2": a dot and a number, in the last part. */
static bool names_an_attempt(const char *ref)
{
	const char *dot = strrchr(ref, '.'), *slash = strrchr(ref, '/');
	uint64_t n;
	return dot && slash && dot > slash && parse_u64(dot + 1, &n);
}

static void print_time(const struct printer *printer)
{
	if (*printer->at)
		out_text(DIM, "%s ", printer->at);
}

/* All lines but the first stand under its text. */
static void print_message(const struct printer *printer, enum colour colour, char *message)
{
	char *rest = message, *line = strsep(&rest, "\n");
	print_time(printer);
	out_text(colour, "%s", line);
	putchar('\n');
	while ((line = strsep(&rest, "\n"))) {
		out_text(colour, "%*s%s", (int)sizeof(printer->at), "", line);
		putchar('\n');
	}
}

static void print_held(struct printer *printer)
{
	enum colour colour = PLAIN;
	if (printer->held.len == 0)
		return;
	_cleanup_free_ char *message =
		log_text_message(buf_str(&printer->held), printer->held.len, &colour);
	if (!message) {
		print_time(printer);
		out_text(PLAIN, "%s", buf_str(&printer->held));
		putchar('\n');
	} else if (*message) {
		print_message(printer, colour, message);
	}
	buf_clear(&printer->held);
}

static void end_line(struct printer *printer)
{
	print_held(printer);
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

/* Puts the text away where it is or may yet become JSON. */
static bool hold(struct printer *printer, const char *text, bool partial)
{
	bool begins = printer->held.len == 0 && !printer->in_line && log_text_may_be_json(text);
	if (printer->raw || (!begins && printer->held.len == 0))
		return false;
	buf_puts(&printer->held, text);
	if (!partial || printer->held.len > HELD_MAX)
		print_held(printer);
	return true;
}

static void print_line(struct printer *printer, const cJSON *line)
{
	const char *text = json_string(line, "text"), *at = json_string(line, "at");
	bool is_ours = str_eq(json_string(line, "stream"), "nightjar");
	bool partial = json_bool(line, "partial", false);
	if (!printer->in_line && printer->held.len == 0)
		snprintf(printer->at, sizeof(printer->at), "%s",
			at && strlen(at) >= 19 ? at + 11 : "");
	if (!text || hold(printer, text, partial))
		return;
	if (!printer->in_line)
		print_time(printer);
	out_text(is_ours ? YELLOW : PLAIN, "%s", text);
	printer->in_line = true;
	if (!partial)
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
	struct printer printer = {
		.one_attempt = names_an_attempt(client->words[0]),
		.raw = client->raw,
	};
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
	buf_fini(&printer.held);
	free(printer.attempt);
	return status;
}
