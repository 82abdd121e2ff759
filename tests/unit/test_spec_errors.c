/* Wrong configurations, each with the one thing that is said of it. */
#include "tests/unit/unit.h"
#include "tests/unit/spec_help.h"

#define STEP  "{'name':'a','run':['true']}"
#define STEPS "'steps':[" STEP "]"
/* A job with more keys; with stages; with one stage; with one step. */
#define JOB(x)	  "{'jobs':[{'name':'j','stages':[{'name':'s'," STEPS "}]," x "}]}"
#define STAGES(x) "{'jobs':[{'name':'j','stages':[" x "]}]}"
#define STAGE(x)  STAGES("{'name':'s'," STEPS "," x "}")
#define MATRIX(x) STAGE("'matrix':{'target':['pg','bq'],'size':['s','l']}," x)
#define ONE(x)	  STAGES("{'name':'s','steps':[{'name':'a'," x "}]}")
#define RUN(x)	  ONE("'run':['true']," x)
#define WORLD(x)  "{" x ",'jobs':[{'name':'j','environment':'e','stages':[{'name':'s'," STEPS "}]}]}"
#define ENVS	  "'environments':{'e':{'vars':{'HOST':'db'},'data':{'t':{'u':'x'}}}}"
/* A step in environment e. */
#define IN_E(x)                                                                                    \
	"{" ENVS ",'jobs':[{'name':'j','environment':'e','stages':[{'name':'s','steps':["          \
	"{'name':'z','run':['true']},{'name':'a'," x "}]}]}]}"
/* A sync in an environment with a Metabase, behind a stage that builds nothing. */
#define SYNC(x)                                                                                    \
	"{'environments':{'m':{'metabase':{'url':'http://m','api_key':'k'}}},"                     \
	"'jobs':[{'name':'j','environment':'m','stages':[{'name':'deps','steps':[{'name':'d',"     \
	"'dbt':{'command':'deps','project':'/p'}}]},{'name':'s','needs':['deps'],"                 \
	"'steps':[{'name':'a','metabase_sync':{" x "}}]}]}]}"
#define AT   "jobs.j.stages.s"
#define AT_A AT ".steps.a"

static const struct {
	const char *text, *message;
} cases[] = {
	/* keys */
	{"[]", "the configuration must be a group"},
	{"{'job':[]}", "unknown key \"job\" of the configuration, did you mean \"jobs\"?"},
	{JOB("'shedule':'@daily'"),
		"jobs.j: unknown key \"shedule\" of a job, did you mean \"schedule\"?"},
	{JOB("'timeout':'1h'"), "jobs.j: unknown key \"timeout\" of a job: it is a key of a step"},
	{STAGE("'kill_after':'1s'"),
		AT ": unknown key \"kill_after\" of a stage: it is a key of a step"},
	{"{'history':{'everything':'1d'}}",
		"history: unknown key \"everything\" of the history, which has: keep, logs"},
	{RUN("'max_parallel':2"),
		AT_A ": unknown key \"max_parallel\" of a step: it is a key of a stage"},
	{ONE("'dbt':{'command':'build','project':'/p','tagret':'x'}"),
		AT_A ".dbt: unknown key \"tagret\" of dbt, did you mean \"target\"?"},
	{"{'jobs':[{'name':'j'}]}", "jobs.j: \"stages\" is missing: its stages"},
	{STAGES("{'name':'s'}"),
		AT ": \"steps\" is missing: what each cell does, one after another"},
	{STAGES("{'name':'s','steps':[]}"),
		AT ".steps: it is empty: what each cell does, one after another"},
	{"{'jobs':[{'stages':[{'name':'s'," STEPS "}]}]}",
		"jobs[0]: \"name\" is missing: its name"},

	/* types */
	{JOB("'deadline':5"), "jobs.j.deadline: must be a duration such as \"1h30m\", not a whole "
			      "number: put it in quotes"},
	{JOB("'schedule':['@daily']"),
		"jobs.j.schedule: must be a cron expression in quotes, not a list"},
	{JOB("'env':'A=1'"), "jobs.j.env: must be a group { ... }, not a string"},
	{JOB("'env':['A=1']"), "jobs.j.env: must be a group { ... }, or a list of { key = \"...\"; "
			       "value = ...; }"},
	{JOB("'retry':{'attempts':'3'}"),
		"jobs.j.retry.attempts: must be a whole number, not a string"},
	{STAGE("'fail_fast':1"), AT ".fail_fast: must be true or false, not a whole number"},
	{STAGE("'matrix':{'year':[2024]}"),
		AT ".matrix.year: must be a name, not a whole number: put it in quotes"},
	{"{'jobs':{'name':'j'}}", "jobs: must be a list of groups ( { ... }, ... ), not a group"},
	{"{'jobs':['j']}", "jobs[0]: must be a group { ... }, not a string"},
	{ONE("'run':'true'"), AT_A ".run: must be a list of strings, not a string"},
	{ONE("'shell':['true']"), AT_A ".shell: must be a string, not a list"},
	{ONE("'run':[]"), AT_A ": run: it is empty: the first item is the program"},
	{RUN("'lock':['a','b']"),
		AT_A ": lock: a step takes one lock: a name, or a group { name; shared; }"},
	{STAGE("'needs':5"), AT ".needs: must be a string, a group or a list of these, not a whole "
				"number: put it in quotes"},

	/* values */
	{JOB("'deadline':'8x'"), "jobs.j.deadline: \"8x\" is no duration: numbers with ms, s, m, h "
				 "or d, such as \"1h30m\""},
	{JOB("'deadline':'0s'"), "jobs.j.deadline: it must be longer than 0"},
	{JOB("'deadline':'40000d'"), "jobs.j.deadline: \"40000d\" is too long, at most 36500d"},
	{JOB("'overlap':'skp'"), "jobs.j.overlap: \"skp\" is none of skip, queue, allow, "
				 "cancel_other, did you mean \"skip\"?"},
	{JOB("'catch_up_max':0"), "jobs.j.catch_up_max: 0 is too small, it must be at least 1"},
	{JOB("'catch_up_max':1001"),
		"jobs.j.catch_up_max: 1001 is too large, it must be at most 1000"},
	{STAGE("'max_parallel':2000000000"),
		AT ".max_parallel: 2000000000 is too large, it must be at most 1000000000"},
	{JOB("'retry':{'factor':0.5}"),
		"jobs.j.retry.factor: 0.5 is too small, it must be at least 1"},
	{JOB("'retry':{'on':['transeint']}"),
		"jobs.j.retry.on: \"transeint\" is none of transient, timed_out, interrupted, "
		"not_ready, failed, did you mean \"transient\"?"},
	{RUN("'retry':{'jitter':2}"),
		AT_A ": retry.jitter: 2 is too large, it is a fraction of the delay, at most 1"},
	{JOB("'log_cap':'64MB'"),
		"jobs.j.log_cap: \"64MB\" is no size: a number with KiB, MiB or GiB"},
	{JOB("'log_cap':1"), "jobs.j.log_cap: it must be at least 512 bytes"},
	{JOB("'env':{'A-B':'x'}"),
		"jobs.j.env: \"A-B\" is no name of a variable: letters, digits and "
		"\"_\", the first no digit"},
	{JOB("'secrets':['DB PASS']"),
		"jobs.j.secrets: \"DB PASS\" is no name of a variable: letters, "
		"digits and \"_\", the first no digit"},
	{"{'jobs':[{'name':'my job','stages':[{'name':'s'," STEPS "}]}]}",
		"jobs.my job.name: \"my job\" is no name: letters, digits, \"_\", \".\" and \"-\", "
		"64 "
		"at most, the first a letter or a digit"},
	{STAGES("{'name':'s','steps':[{'name':'a.b','run':['true']}]}"),
		AT ".steps.a.b.name: \"a.b\": the name of a step holds no dot"},
	{"{'socket':{'path':'/123456789012345678901234567890123456789012345678901234567890123456789"
	 "01234567890123456789012345678901234567890'}}",
		"socket.path: it has 111 bytes, a socket's path can have 107 at most"},

	/* time */
	{JOB("'schedule':'0 0 30 2 *'"),
		"jobs.j: schedule \"0 0 30 2 *\" never comes: there is no such date"},
	{JOB("'schedule':'61 * * * *'"),
		"jobs.j: schedule \"61 * * * *\": minute: 61 is not in 0-59"},
	{JOB("'timezone':'Nowhere/Town'"),
		"jobs.j: there is no zone \"Nowhere/Town\" on this machine"},

	/* names given twice */
	{"{'jobs':[{'name':'j','stages':[{'name':'s'," STEPS "}]},"
	 "{'name':'j','stages':[{'name':'s'," STEPS "}]}]}",
		"jobs: the name \"j\" is given twice, first in line 0"},
	{STAGES("{'name':'s'," STEPS "},{'name':'s'," STEPS "}"),
		"jobs.j.stages: the name \"s\" is given twice, first in line 0"},
	{STAGES("{'name':'s','steps':[" STEP "," STEP "]}"),
		AT ".steps: the name \"a\" is given twice, first in line 0"},
	{"{'checks':[{'name':'c','url':'http://x'},{'name':'c','url':'http://y'}]}",
		"checks: the name \"c\" is given twice, first in line 0"},
	{"{'locks':[{'key':'a','value':1},{'key':'a','value':2}]}",
		"locks: the key \"a\" is given twice"},
	{STAGE("'matrix':{'target':['pg','pg']}"),
		AT ".matrix.target: \"pg\" is in the list twice"},
	{STAGES("{'name':'b'," STEPS "},{'name':'s','needs':['b','b']," STEPS "}"),
		AT ": needs: stage \"b\" is in the list twice"},

	/* kinds */
	{ONE("'timeout':'1m'"), AT_A ": it says nothing to do: one of run, shell, dbt, "
				     "metabase_sync, terraform, http is missing"},
	{RUN("'shell':'true'"), AT_A ": it has two kinds, run and shell: make two steps of it"},
	{ONE("'terraform':{'action':'destroy','directory':'/d'}"),
		AT_A ".terraform.action: \"destroy\" is none of plan, apply"},
	{ONE("'terraform':{'action':'plan'}"),
		AT_A ".terraform: \"directory\" is missing: the folder of the configuration, "
		     "absolute; the default of cwd"},
	{ONE("'http':{'url':'http://x'},'ok_codes':[1]"),
		AT_A ": ok_codes: it belongs to steps with run or shell; http knows its own"},
	{RUN("'ok_codes':[256]"), AT_A ": ok_codes: an exit code is 255 at most"},
	{RUN("'ok_codes':[0,2],'transient_codes':[2]"),
		AT_A ": transient_codes: 2 is in ok_codes too"},

	/* needs */
	{STAGES("{'name':'build'," STEPS "},{'name':'s','needs':['biuld']," STEPS "}"),
		AT ": needs: there is no stage \"biuld\", did you mean \"build\"?"},
	{STAGE("'needs':['s']"), AT ": needs go round: s -> s"},
	{STAGES("{'name':'a','needs':['c']," STEPS "},{'name':'b','needs':['a']," STEPS "},"
		"{'name':'c','needs':['b']," STEPS "}"),
		"jobs.j.stages.a: needs go round: a -> c -> b -> a"},
	{STAGES("{'name':'b','matrix':{'t':['x','y']}," STEPS "},"
		"{'name':'s','matrix':{'t':['x','z']},'needs':['b']," STEPS "}"),
		AT ": needs: no cell of \"b\" matches the cell s/z"},
	{STAGES("{'name':'b','matrix':{'t':['x','y'],'u':['1','2']},"
		"'exclude':[{'t':'x','u':'2'},{'t':'y','u':'1'}]," STEPS "},"
		"{'name':'s','matrix':{'t':['x']},'include':[],"
		"'needs':[{'stage':'b','only':{'t':'y'}}]," STEPS "}"),
		AT ": needs: with this `only`, no cell of \"b\" matches any cell"},
	{STAGES("{'name':'b','matrix':{'t':['x','y']}," STEPS "},"
		"{'name':'s','needs':[{'stage':'b','only':{'t':'z'}}]," STEPS "}"),
		AT ": only: stage \"b\" has no cell with t = \"z\""},
	{STAGES("{'name':'b'," STEPS "},{'name':'s','needs':[{'stage':'b','when':'done'}]," STEPS
		"}"),
		AT ".needs[0].when: \"done\" is none of ok, failed, ended"},

	/* matrix */
	{MATRIX("'exclude':[{'targte':'pg'}]"),
		AT ": exclude: the stage has no dimension \"targte\", did you mean \"target\"?"},
	{MATRIX("'exclude':[{'target':'pgg'}]"),
		AT ": exclude: dimension \"target\" has no value \"pgg\", did you mean \"pg\"?"},
	{MATRIX("'exclude':[{}]"), AT ": exclude: it says nothing: give a dimension and a value"},
	{MATRIX("'exclude':[{'target':['pg','bq']}]"), AT ": no cell is left in the matrix"},
	{MATRIX("'include':[{'target':'pg'}]"),
		AT ": include: it gives whole cells, so \"size\" must have a value"},
	{MATRIX("'include':[{'target':'x','size':['s','m']}]"),
		AT ": include: it gives whole cells, so \"size\" must have one value, not a list"},
	{MATRIX("'include':[{'target':'x','size':'s','colour':'red'}]"),
		AT ": include: the stage has no dimension \"colour\""},
	{MATRIX("'include':[{'target':'pg','size':'s'}]"),
		AT ": include: there is a cell s/pg/s already"},
	{STAGE("'matrix':{'t':[]}"), AT ".matrix.t: it is empty: it needs at least one value"},
	{STAGES("{'name':'s','matrix':{'t':['x']},'steps':[{'name':'a','run':['true'],"
		"'only':{'t':'y'}}]}"),
		AT_A ": only: stage \"s\" has no cell with t = \"y\""},
	{STAGES("{'name':'s','matrix':{'t':['x']},'steps':[{'name':'a','run':['true'],"
		"'only':{'u':'x'}}]}"),
		AT_A ": only: stage \"s\" has no dimension \"u\""},
	{JOB("'manual':{'choose':['environment']}"),
		"jobs.j: manual.choose: no stage has a dimension \"environment\""},

	/* environments */
	{WORLD("'environments':{'eu':{}}"),
		"jobs.j.stages.s: there is no environment \"e\", did you "
		"mean \"eu\"?"},
	{STAGE("'matrix':{'environment':['prod']}"), AT ": there is no environment \"prod\""},
	{"{" ENVS ",'jobs':[{'name':'j','stages':[{'name':'s','environment':'e',"
	 "'matrix':{'environment':['e']}," STEPS "}]}]}",
		AT ": environment is a dimension of the matrix already: say it there or here, not "
		   "both"},
	{"{" ENVS ",'jobs':[{'name':'j','environment':'e','stages':[{'name':'s',"
	 "'matrix':{'environment':['e']}," STEPS "}]}]}",
		AT
		": environment is said by the job, and is a dimension of this stage's matrix: say "
		"it for the stages without that dimension only"},
	{"{'environments':{'e':{'metabase':{'url':'http://m','username':'u'}}}}",
		"environments.e.metabase: it needs api_key, or username and password"},
	{"{'environments':{'e':{'metabase':{'url':'http://m','api_key':'k','username':'u'}}}}",
		"environments.e.metabase: either api_key, or username and password, not both"},
	{"{'environments':{'e':{'vars':{'A':'${vars.A}'}}}}",
		"environments.e: ${vars.A}: it goes round"},

	/* sets, locks, checks */
	{JOB("'use':['nothing']"), "jobs.j: use: there is no set \"nothing\""},
	{"{'sets':{'dash':{}},'jobs':[{'name':'j','stages':[{'name':'s','use':['dsah']," STEPS
	 "}]}]}",
		AT ": use: there is no set \"dsah\", did you mean \"dash\"?"},
	{RUN("'lock':'warehouse'"),
		AT_A ": there is no lock \"warehouse\": list it in `locks` with "
		     "the number of its places"},
	{"{'locks':{'warehouse':0}}", "locks.warehouse: 0 is too small, it must be at least 1"},
	{"{'locks':{'warehouse':2},'jobs':[{'name':'j','stages':[{'name':'s','steps':[{'name':'a',"
	 "'run':['true'],'lock':{'name':'wearhouse','shared':true}}]}]}]}",
		AT_A ": there is no lock \"wearhouse\", did you mean \"warehouse\"?"},
	{RUN("'gate':{'check':'metabase'}"), AT_A ": gate.check: there is no check \"metabase\""},
	{"{'checks':[{'name':'c','url':'http://x','environments':['p']}]}",
		"checks.c: there is no environment \"p\""},
	{"{" ENVS ",'checks':[{'name':'c','url':'http://x','environments':['e']}],"
	 "'jobs':[{'name':'j','stages':[{'name':'s','steps':[{'name':'a','run':['true'],"
	 "'gate':{'check':'c'}}]}]}]}",
		AT_A ": gate.check: the check \"c\" is not made for a cell without an environment"},
	{IN_E("'run':['true'],'gate':{'check':'${vars.HOST}'}"),
		AT_A ": gate.check: \"${vars.HOST}\": the name of a check may depend on the matrix "
		     "only"},
	{"{'checks':[{'name':'c','url':'${metabase.url}/x'}]}",
		"checks.c: ${metabase.url}: the check names no environments"},

	/* env, secrets, files */
	{JOB("'env':{'A':'1'},'secrets':['A']"),
		AT_A ": \"A\" is in env and in secrets: it can be in one of them only"},
	{RUN("'files':[{'content':'x','env':'A'},{'content':'y','env':'A'}]"),
		AT_A ": files: two files want the variable A in the same cell"},
	{RUN("'env':{'A':'1'},'files':[{'content':'x','env':'A'}]"),
		AT_A ": files: \"A\" is in env too: it can be in one of them only"},
	{RUN("'files':[{'content':'x'}]"),
		AT_A ".files[0]: \"env\" is missing: the variable that holds its path"},
	{JOB("'files':[{'content':'x','env':'A','only':{'t':'x'}}]"),
		"jobs.j: only: no stage has a dimension \"t\""},

	/* templates */
	{RUN("'cwd':'${vars.HOST'"), AT_A ".cwd: ${vars.HOST is not closed by a }"},
	{RUN("'cwd':'${var.HOST}'"),
		AT_A ".cwd: ${var.HOST}: there is no \"var\", did you mean \"vars\"?"},
	{RUN("'cwd':'${HOME}'"),
		AT_A ".cwd: ${HOME}: there is no \"HOME\"; a shell's ${X} is written "
		     "$${X}"},
	{RUN("'cwd':'${vars}'"), AT_A ".cwd: ${vars}: what of it? Write ${vars.NAME}, or $$ for a "
				      "dollar"},
	{RUN("'cwd':'${vars.HOST}'"), AT_A ": ${vars.HOST}: the stage has no environment"},
	{RUN("'cwd':'${matrix.target}'"),
		AT_A ": ${matrix.target}: the stage has no dimension \"target\""},
	{IN_E("'run':['true'],'cwd':'${vars.HSOT}'"),
		AT_A ": ${vars.HSOT}: environment \"e\" has no such var, did you mean \"HOST\"?"},
	{IN_E("'run':['true'],'cwd':'${json.t.v}'"),
		AT_A ": ${json.t.v}: environment \"e\" has no such part of its data"},
	{IN_E("'run':['true'],'cwd':'${metabase.url}'"),
		AT_A ": ${metabase.url}: environment \"e\" has no such entry of its metabase"},
	{IN_E("'run':['true'],'cwd':'${steps.y.path}'"),
		AT_A ": ${steps.y.path}: no step \"y\" comes before this one in the stage"},
	{IN_E("'run':['true'],'cwd':'${steps.a.path}'"),
		AT_A ": ${steps.a.path}: no step \"a\" comes before this one in the stage"},
	{IN_E("'run':['true'],'cwd':'${steps.z}'"), AT_A ": ${steps.z}: write ${steps.STEP.KEY}"},
	{IN_E("'run':['true'],'cwd':'${run.nmae}'"),
		AT_A ": ${run.nmae}: there is no such thing, did you mean \"name\"?"},
	{IN_E("'run':['true'],'cwd':'${attempt.x}'"),
		AT_A ": ${attempt.x}: there is no such thing"},
	{IN_E("'run':['echo','${secret.TOKEN}']"), AT_A
		": ${secret.TOKEN}: everybody on the machine can see arguments: give it in env, "
		"secrets or files"},
	{"{'environments':{'e':{'vars':{'S':'${secret.TOKEN}'}}},'jobs':[{'name':'j',"
	 "'environment':'e','stages':[{'name':'s','steps':[{'name':'a','shell':'x "
	 "${vars.S}'}]}]}]}",
		AT_A ": ${secret.TOKEN} (through ${vars.S}): everybody on the machine can see "
		     "arguments: give it in env, secrets or files"},
	{"{'environments':{'e':{'vars':{'S':'${matrix.t}'}}},'jobs':[{'name':'j',"
	 "'environment':'e','stages':[{'name':'s','steps':[{'name':'a','run':['true']}]}]}]}",
		AT_A ": ${matrix.t} (through ${vars.S}): the stage has no dimension \"t\""},
	{RUN("'gate':{'approval':{'message':'use ${secret.X}'}}"),
		AT_A ": ${secret.X}: a secret cannot be a part of what people see"},
	{RUN("'env':{'A':'${secret.e.X}'}"),
		AT_A ": ${secret.e.X}: the name of a secret holds no dot; the environment's own is "
		     "taken by itself"},

	/* Metabase */
	{SYNC("'databases':'*','tables':'changed'"), AT_A
		": metabase_sync.tables: \"changed\" has no dbt cell to learn from: the cell s "
		"needs none that builds in environment m"},
	{SYNC("'databases':'*','tables':'all'"),
		AT_A ": metabase_sync.tables: \"all\" is neither \"changed\" nor a list of "
		     "\"schema.table\""},
	{SYNC("'databases':[{'names':['A'],'target':'pg'}]"),
		AT_A ": metabase_sync.databases: no dbt stage that this one needs has a cell with "
		     "target = \"pg\""},
	{SYNC("'databases':[{'names':['A'],'target':'x'}]"),
		AT_A ": metabase_sync.databases: no dbt stage that this one needs has a cell with "
		     "target = \"x\""},
	{SYNC("'databases':''"), AT_A ": metabase_sync.databases: a name is empty"},
	{SYNC("'databases':[]"), AT_A ": metabase_sync.databases: it names none"},
	{SYNC("'databases':['A','B','A']"), AT_A ": metabase_sync.databases: \"A\" is named twice"},
	{SYNC("'databases':['A','*']"),
		AT_A ": metabase_sync.databases: \"*\" is all of them: it stands alone"},
	{SYNC("'databases':['A',{'names':['B']}]"),
		AT_A ": metabase_sync.databases: a list holds names or groups, not both"},
	{SYNC("'databases':[{'names':['A','B']},{'names':'B'}]"),
		AT_A ": metabase_sync.databases: \"B\" is named twice"},
	{SYNC("'databases':[{'names':[]}]"), AT_A ": metabase_sync.databases: it names none"},
	{SYNC("'databases':{'names':'A','rename':{'build':''}}"), AT_A
		": metabase_sync.databases: rename.build: it needs the schema under which it is "
		"served"},
	{SYNC("'databases':{'names':'A','rename':{'build':3}}"), AT_A
		": metabase_sync.databases: rename.build: it needs the schema under which it is "
		"served"},
	{SYNC("'databases':{'names':'A','conninfo':''}"),
		AT_A ": metabase_sync.databases: the conninfo is empty"},
	{SYNC("'databases':'A','tables':['mart']"),
		AT_A ": metabase_sync.tables: \"mart\" is not \"schema.table\""},
	{SYNC("'databases':'A','tables':['a..b']"),
		AT_A ": metabase_sync.tables: \"a..b\" is not \"schema.table\""},
	{SYNC("'databases':'A','tables':['a.b','a.b']"),
		AT_A ": metabase_sync.tables: \"a.b\" is in the list twice"},
	{SYNC("'databases':'A','columns':['a.b']"),
		AT_A ": metabase_sync.columns: \"a.b\" is not \"schema.table.column\""},
	{SYNC("'databases':'A','columns':'a.b.'"),
		AT_A ": metabase_sync.columns: \"a.b.\" is not \"schema.table.column\""},
	{ONE("'metabase_sync':{'databases':'*'}"),
		AT_A ": metabase_sync: the cell has no environment, and so it has no metabase"},
	{IN_E("'metabase_sync':{'databases':'*'}"),
		AT_A ": metabase_sync: environment \"e\" has no metabase"},

	/* those who are told */
	{"{'notify':[{'on':['failed']}]}",
		"notify[0]: it does not say whom to tell: one of slack, email, ping is missing"},
	{"{'notify':[{'ping':'http://x','slack':'http://y','on':['failed']}]}",
		"notify[0]: it says slack and ping: make two rules of it"},
	{"{'notify':[{'ping':'http://x','on':['fialed']}]}",
		"notify[0].on: \"fialed\" is none of ok, failed, transient, not_ready, timed_out, "
		"interrupted, cancelled, needs_person, skipped, recovered, waiting_approval, "
		"missed, "
		"did you mean \"failed\"?"},
	{"{'notify':[{'ping':'http://x','on':['ok'],'job':'x'}]}",
		"notify[0]: there is no job \"x\""},
	{"{'notify':[{'ping':'http://x','on':['ok'],'stage':'x'}]}",
		"notify[0]: no job has a stage \"x\""},
	{"{'notify':[{'ping':'http://x/${vars.A}','on':['ok']}]}",
		"notify[0]: ${vars.A}: it has no meaning here, outside of any environment"},
	{"{'notify':[{'ping':'http://x','on':['ok'],'environments':['p']}]}",
		"notify[0]: there is no environment \"p\""},
	{"{'heartbeat':{'interval':'5m'}}",
		"heartbeat: \"ping\" is missing: an address that is fetched"},
};

static void each_wrong_configuration_is_refused_with_its_sentence(void **state)
{
	struct spec_world w = help_world();
	size_t wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(complaints_fini) struct complaints c = {0};
		_cleanup_node_ struct node *tree = help_tree(cases[i].text);
		struct spec *spec = NULL;
		const char *first = NULL;

		if (spec_load(tree, &w, &c, &spec) == 0) {
			print_message("case %zu is wrong, and loads: %s\n", i, cases[i].text);
			spec_free(spec);
			wrong++;
			continue;
		}
		for (size_t k = 0; k < c.n && !first; k++)
			if (!c.items[k].is_warning)
				first = c.items[k].message;
		if (c.n_errors != 1 || strcmp(first, cases[i].message) != 0) {
			print_message("case %zu: wanted \"%s\", got:\n", i, cases[i].message);
			help_print(&c);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void all_errors_are_said_at_once_each_with_its_line(void **state)
{
	struct spec_world w = help_world();
	_cleanup_(complaints_fini) struct complaints c = {0};
	_cleanup_node_ struct node *tree =
		help_tree("{'jobs':[{'name':'j','shedule':'@daily','deadline':'x','stages':["
			  "{'name':'s','needs':['t']," STEPS "}]}]}");
	struct node *job = node_get(tree, "jobs")->children[0];
	struct spec *spec = NULL;

	for (size_t i = 0; i < job->n_children; i++)
		job->children[i]->line = 10 + (unsigned)i;
	assert_int_equal(spec_load(tree, &w, &c, &spec), -EINVAL);
	assert_int_equal(c.n_errors, 3);
	assert_int_equal(c.items[0].line, 0);
	assert_int_equal(c.items[1].line, 11);
	assert_int_equal(c.items[2].line, 12);
	assert_string_equal(c.items[2].file, "test.conf");
}

static void what_nothing_uses_is_a_warning_and_no_error(void **state)
{
	struct spec_world w = help_world();
	_cleanup_(complaints_fini) struct complaints c = {0};
	_cleanup_node_ struct node *tree = help_tree(
		"{'locks':{'l':1},'sets':{'s':{}},'checks':[{'name':'c','url':'http://x'}]}");
	struct spec *spec = NULL;

	assert_int_equal(spec_load(tree, &w, &c, &spec), 0);
	assert_int_equal(c.n, 2); /* a check is asked whether or not a step waits for it */
	assert_int_equal(c.n_errors, 0);
	assert_string_equal(c.items[0].message, "locks.l: nothing uses this lock");
	assert_string_equal(c.items[1].message, "sets.s: nothing uses this set");
	spec_free(spec);
}

static void vars_that_go_round_are_each_named(void **state)
{
	struct spec_world w = help_world();
	_cleanup_(complaints_fini) struct complaints c = {0};
	_cleanup_node_ struct node *tree =
		help_tree("{'environments':{'e':{'vars':{"
			  "'A':'${vars.B}','B':'${vars.C}','C':'${vars.B}'}}}}");
	struct spec *spec = NULL;

	assert_int_equal(spec_load(tree, &w, &c, &spec), -EINVAL);
	assert_int_equal(c.n, 2);
	assert_string_equal(
		c.items[0].message, "environments.e: ${vars.B} (through ${vars.C}): it goes round");
	assert_string_equal(
		c.items[1].message, "environments.e: ${vars.C} (through ${vars.B}): it goes round");
}

static void a_variable_of_nightjars_own_is_a_warning(void **state)
{
	struct spec_world w = help_world();
	_cleanup_(complaints_fini) struct complaints c = {0};
	_cleanup_node_ struct node *tree = help_tree(JOB("'env':{'NIGHTJAR_RUN':'x'}"));
	struct spec *spec = NULL;

	assert_int_equal(spec_load(tree, &w, &c, &spec), 0);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.items[0].message,
		"env: NIGHTJAR_RUN is nightjar's own: this value never arrives");
	spec_free(spec);
}

static void a_matrix_has_ten_thousand_cells_at_most(void **state)
{
	struct spec_world w = help_world();
	_cleanup_buf_ struct buf text = BUF_NULL;
	_cleanup_(complaints_fini) struct complaints c = {0};
	struct spec *spec = NULL;
	struct node *tree;

	buf_puts(&text, "{'jobs':[{'name':'j','stages':[{'name':'s'," STEPS ",'matrix':{");
	for (int d = 0; d < 5; d++) {
		buf_printf(&text, "%s'd%d':[", d ? "," : "", d);
		for (int i = 0; i < 7; i++)
			buf_printf(&text, "%s'v%d'", i ? "," : "", i);
		buf_puts(&text, "]");
	}
	buf_puts(&text, "}}]}]}");
	tree = help_tree(buf_str(&text));
	assert_int_equal(spec_load(tree, &w, &c, &spec), -EINVAL);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.items[0].message, AT ": the stage has more than 10000 cells");
	node_free(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_wrong_configuration_is_refused_with_its_sentence),
		cmocka_unit_test(all_errors_are_said_at_once_each_with_its_line),
		cmocka_unit_test(what_nothing_uses_is_a_warning_and_no_error),
		cmocka_unit_test(vars_that_go_round_are_each_named),
		cmocka_unit_test(a_variable_of_nightjars_own_is_a_warning),
		cmocka_unit_test(a_matrix_has_ten_thousand_cells_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
