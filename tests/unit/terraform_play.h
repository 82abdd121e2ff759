/* Plays attempts of a terraform step: what real invocations of terraform 1.11 said (tests/data/
 * terraform) goes in, commands come out. After each event a second machine is made of the notes
 * alone, as after a restart, and has to command the same. */
#pragma once
#include "kinds/exit.h"
#include "kinds/kind_table.h"
#include "kinds/metabase.h"
#include "kinds_fixture.h"

struct play {
	struct node *params;
	struct kind_context ctx;
	void *machine;
	struct kind_command cmd; /* the last one */
	struct {
		char action[ACTION_NAME_MAX];
		cJSON *note;
	} past[20];
	size_t n_past;
	cJSON *before; /* of ctx */
	struct buf news;
};

static bool play_metabase, play_key_secret;

static inline int play_lookup(
	void *context, const char *scope, const char *name, char **ret_value, char **ret_error)
{
	bool *secrets = context;

	if (str_eq(scope, "metabase") && play_metabase && str_eq(name, "url"))
		*ret_value = xstrdup("https://metabase.example.org/");
	else if (str_eq(scope, "metabase") && *secrets && str_eq(name, "api_key"))
		*ret_value = xstrdup("mb_key");
	else if (str_eq(scope, "secret") && *secrets)
		*ret_value = xasprintf("the secret %s", name);
	else
		return fixture_lookup(NULL, scope, name, ret_value, ret_error);
	return 0;
}

static inline int play_expand(
	const struct kind_context *ctx, const char *text, char **ret, char **ret_error)
{
	return template_expand(text, play_lookup, &play_key_secret, ret, ret_error);
}

static inline int play_expand_tree(
	const struct kind_context *ctx, const struct node *in, struct node **ret, char **ret_error)
{
	return template_expand_tree(in, play_lookup, &play_key_secret, ret, ret_error);
}

static inline cJSON *play_built(const struct kind_context *ctx)
{
	return cJSON_Parse("[{\"schema\":\"analytics\",\"name\":\"mart_screener_data\"},"
			   "{\"schema\":\"analytics\",\"name\":\"mart_other\"}]");
}

static inline void play_stop(struct play *p)
{
	if (p->machine)
		kind_terraform.free(p->machine);
	p->machine = NULL;
	command_fini(&p->cmd);
	free(p->cmd.hash);
	p->cmd = (struct kind_command){0};
	for (size_t i = 0; i < p->n_past; i++)
		cJSON_Delete(p->past[i].note);
	p->n_past = 0;
}

static inline void play_fini(struct play *p)
{
	play_stop(p);
	node_free(p->params);
	cJSON_Delete(p->before);
	buf_fini(&p->news);
}
#define _cleanup_play_ _cleanup_(play_fini)

static inline void play_begin(struct play *p)
{
	struct kind_event event = {.type = KIND_BEGIN};

	p->machine = kind_terraform.new(&p->ctx);
	kind_terraform.next(p->machine, &p->ctx, &event, &p->cmd);
}

static inline void play_init(struct play *p, const char *params, bool metabase)
{
	play_metabase = metabase;
	play_key_secret = false;
	*p = (struct play){.params = fixture_params(params)};
	p->ctx = fixture_context(p->params);
	p->ctx.expand = play_expand;
	p->ctx.expand_tree = play_expand_tree;
	p->ctx.built = play_built;
	p->ctx.environment = "staging";
	p->ctx.state_directory = "/state";
	play_begin(p);
}

/* The next attempt of the same step. */
static inline void play_again(struct play *p)
{
	cJSON *before = p->n_past ? cJSON_Duplicate(p->past[p->n_past - 1].note, true) : NULL;

	play_stop(p);
	cJSON_Delete(p->before);
	p->ctx.before = p->before = before;
	p->ctx.attempt++;
	play_begin(p);
}

static inline void play_replay(struct play *p)
{
	struct kind_event event = {.type = KIND_BEGIN};
	struct kind_command cmd = {0};
	void *machine = kind_terraform.new(&p->ctx);

	kind_terraform.next(machine, &p->ctx, &event, &cmd);
	for (size_t i = 0; i < p->n_past; i++) {
		struct action_status status = {.end = END_EXITED};

		assert_int_not_equal(cmd.type, KIND_DONE);
		assert_string_equal(cmd.action, p->past[i].action);
		command_fini(&cmd);
		free(cmd.hash);
		cmd = (struct kind_command){0};
		event = (struct kind_event){.type = KIND_ENDED,
			.action = p->past[i].action,
			.status = &status,
			.note = p->past[i].note};
		kind_terraform.next(machine, &p->ctx, &event, &cmd);
	}
	assert_int_equal(cmd.type, p->cmd.type);
	assert_string_equal(cmd.action, p->cmd.action);
	assert_true(str_eq(cmd.lock, p->cmd.lock));
	assert_true(str_eq(cmd.hash, p->cmd.hash));
	assert_true(str_eq(cmd.reason, p->cmd.reason));
	assert_int_equal(cmd.outcome, p->cmd.outcome);
	assert_int_equal(cmd.repeatable, p->cmd.repeatable);
	assert_int_equal(cmd.looks, p->cmd.looks);
	command_fini(&cmd);
	free(cmd.hash);
	kind_terraform.free(machine);
}

static inline void play_event(struct play *p, struct kind_event *event)
{
	char action[ACTION_NAME_MAX];

	memcpy(action, p->cmd.action, sizeof(action));
	event->action = action;
	command_fini(&p->cmd);
	free(p->cmd.hash);
	p->cmd = (struct kind_command){0};
	kind_terraform.next(p->machine, &p->ctx, event, &p->cmd);
	memcpy(p->past[p->n_past].action, action, sizeof(action));
	assert_non_null(p->cmd.note);
	p->past[p->n_past++].note = cJSON_Duplicate(p->cmd.note, true);
	play_replay(p);
}

static inline void play_lines(struct play *p, const char *name, enum stream stream)
{
	_cleanup_free_ char *path = xasprintf("terraform/%s", name), *text = NULL;
	size_t len = 0;

	text = fixture_file(path, &len);
	assert_non_null(text);
	for (char *at = text, *line; at && (line = strsep(&at, "\n"));) {
		size_t n = strlen(line), half = n / 2;
		char *news = NULL;

		kind_terraform.line(p->machine, stream, line, half, true, &news);
		kind_terraform.line(p->machine, stream, line + half, n - half, false, &news);
		if (news)
			buf_printf(&p->news, "%s\n", news);
		free(news);
	}
}

/* The open process says what is in the file, and ends so. */
static inline void play_process(struct play *p, const char *file, struct action_status status,
	const char *artifact, size_t artifact_len)
{
	struct artifact a = {.data = (char *)artifact, .len = artifact_len};
	struct kind_event event = {.type = KIND_ENDED,
		.status = &status,
		.artifacts = &a,
		.n_artifacts = artifact ? 1 : 0};

	assert_int_equal(p->cmd.type, KIND_SPAWN);
	if (file)
		play_lines(p, file, STREAM_STDOUT);
	play_event(p, &event);
}

static inline void play_exit(struct play *p, const char *file, int code)
{
	play_process(p, file,
		(struct action_status){.end = END_EXITED, .code = code, .ended_at = 5 * USEC_SEC},
		"the plan", 8);
}

static inline void play_show(struct play *p, const char *file)
{
	_cleanup_free_ char *path = xasprintf("terraform/%s", file), *text = NULL;
	size_t len = 0;

	text = fixture_file(path, &len);
	assert_non_null(text);
	play_process(p, NULL, (struct action_status){.end = END_EXITED}, text, len);
}

static inline void play_served(
	struct play *p, enum outcome outcome, const char *reason, const char *result)
{
	_cleanup_json_ cJSON *json = result ? cJSON_Parse(result) : NULL;
	struct kind_event event = {
		.type = KIND_SERVED, .outcome = outcome, .reason = reason, .result = json};

	assert_int_equal(p->cmd.type, KIND_JOIN);
	assert_true(!result || json);
	play_event(p, &event);
}

#define assert_action(p, type_, name_)                                                             \
	do {                                                                                       \
		assert_int_equal((p)->cmd.type, type_);                                            \
		assert_string_equal((p)->cmd.action, name_);                                       \
	} while (0)
#define assert_done(p, outcome_, reason_)                                                          \
	do {                                                                                       \
		assert_int_equal((p)->cmd.type, KIND_DONE);                                        \
		assert_string_equal((p)->cmd.reason ? (p)->cmd.reason : "", reason_);              \
		assert_int_equal((p)->cmd.outcome, outcome_);                                      \
	} while (0)
