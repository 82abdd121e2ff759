/* Configuration files, through libconfig, to checked structs and back from a job's definition. What
 * is refused has a complaint. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "daemon/config/read.h"
#include "kinds/kind.h"
#include "spec/spec.h"
#include "tests/fuzz/fuzz.h"

/* Two zones are known. */
static int zone_bytes(void *context, const char *name, void **ret, size_t *ret_len)
{
	static const char tzif[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\0\0\0\0\0\0\0\1\0\0\0\4\0\0\0\0\0\0UTC\0"
				   "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\0\0\0\0\0\0\0\1\0\0\0\4\0\0\0\0\0\0UTC\0\nUTC0\n";

	if (strcmp(name, "UTC") != 0 && strcmp(name, "Europe/Paris") != 0)
		return -ENOENT;
	*ret = xmemdup(tzif, sizeof(tzif) - 1);
	*ret_len = sizeof(tzif) - 1;
	return 0;
}

static void check_definitions(const struct spec *spec, const struct spec_world *world)
{
	for (size_t i = 0; i < spec->n_jobs; i++) {
		_cleanup_free_ char *error = NULL;
		struct spec_job *again = NULL;

		assert(spec_job_from_definition(spec->jobs[i]->definition, world, &again, &error) ==
			0);
		assert(strcmp(again->hash, spec->jobs[i]->hash) == 0);
		spec_job_unref(again);
	}
}

static void check(const char *path)
{
	struct complaints complaints = {0};
	struct spec_world world = {.zone_bytes = zone_bytes};
	struct node *tree = NULL;
	struct spec *spec = NULL;

	world.kinds = kind_specs(&world.n_kinds);
	if (config_read_tree(path, &complaints, &tree) < 0)
		assert(complaints.n_errors > 0);
	else if (spec_load(tree, &world, &complaints, &spec) < 0)
		assert(complaints.n_errors > 0);
	else if (complaints.n_errors == 0) /* none of single values either */
		check_definitions(spec, &world);
	spec_free(spec);
	node_free(tree);
	complaints_fini(&complaints);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int fd;

	if (memmem(data, size, "@include", 8)) /* what it names is not the fuzzer's */
		return 0;
	fd = memfd_create("nightjar.conf", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check(path);
	close(fd);
	return 0;
}
