#include "tests/unit/unit.h"
#include <sys/socket.h>
#include <unistd.h>
#include "daemon/control/peer.h"
#include "base/memory.h"

static void peer_knows_the_uid_and_the_groups_of_the_other_end(void **state)
{
	int fds[2];
	struct peer peer = {0};
	bool found = false;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(peer_read(fds[0], &peer), 0);
	assert_int_equal(peer.uid, geteuid());
	for (size_t i = 0; i < peer.n_groups; i++)
		found |= peer.groups[i] == getegid();
	assert_true(found);
	peer_fini(&peer);
	assert_null(peer.groups);
	close(fds[0]);
	close(fds[1]);
}

static void what_is_no_socket_has_no_peer(void **state)
{
	int fds[2];
	struct peer peer = {.uid = 77};
	assert_int_equal(pipe(fds), 0);
	assert_true(peer_read(fds[0], &peer) < 0);
	assert_int_equal(peer.uid, 77);
	close(fds[0]);
	close(fds[1]);
}

static void root_and_the_group_of_operators_may_operate_and_nobody_else(void **state)
{
	gid_t groups[] = {1000, 4242};
	struct peer root = {.uid = 0}, member = {.uid = 1000, .groups = groups, .n_groups = 2};
	struct peer other = {.uid = 1001, .groups = groups, .n_groups = 1};
	assert_true(peer_may_operate(&root, 4242));
	assert_true(peer_may_operate(&root, (gid_t)-1));
	assert_true(peer_may_operate(&member, 4242));
	assert_false(peer_may_operate(&member, (gid_t)-1));
	assert_false(peer_may_operate(&other, 4242));
}

static void a_name_is_said_with_its_number_and_a_number_alone_without(void **state)
{
	_cleanup_free_ char *root = peer_name(0), *nobody = peer_name(3999999999u);
	assert_string_equal(root, "root (uid 0)");
	assert_string_equal(nobody, "uid 3999999999");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_knows_the_uid_and_the_groups_of_the_other_end),
		cmocka_unit_test(what_is_no_socket_has_no_peer),
		cmocka_unit_test(root_and_the_group_of_operators_may_operate_and_nobody_else),
		cmocka_unit_test(a_name_is_said_with_its_number_and_a_number_alone_without),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
