/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "fs/affinity.h"

#include <pthread.h>
#include <sys/wait.h>

enum {
	ENOUGH = 64, /* requests in a row, until a client is followed */
};

static cpu_set_t allowed;

static int processor(int n)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &allowed) && n-- == 0)
			return cpu;
	}
	return -1;
}

/* A process that stays on that processor, until it is killed. */
static pid_t client_start(int cpu)
{
	pid_t pid = fork();
	cpu_set_t one;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		_exit(1);
	raise(SIGSTOP);
	for (;;)
		pause();
}

static pid_t client_on(int cpu)
{
	pid_t pid = client_start(cpu);
	int status;

	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void client_end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Each request is waited for, as one from another processor. */
static void ask(struct affinity *affinity, pid_t pid, int times)
{
	while (times-- > 0)
		affinity_follow(affinity, (uint32_t)pid, 1, true);
}

/* Move the client there, which takes effect when it runs next. */
static void client_move(pid_t pid, int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(pid, sizeof(one), &one), 0);
	kill(pid, SIGCONT);
}

static bool runs_on(int cpu)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	return cpu < 0 ? CPU_EQUAL(&set, &allowed) : CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set);
}

static int remember_processors(void **state)
{
	return sched_getaffinity(0, sizeof(allowed), &allowed);
}

static int run_anywhere(void **state)
{
	return sched_setaffinity(0, sizeof(allowed), &allowed);
}

static void one_client_is_followed(void **state)
{
	int last = processor(CPU_COUNT(&allowed) - 1);
	pid_t client = client_on(last);
	struct affinity affinity;

	affinity_init(&affinity, &allowed, false);
	ask(&affinity, client, ENOUGH - 1);
	assert_int_equal(affinity.cpu, -1);
	assert_false(affinity_is_alone(&affinity, (uint32_t)client));
	ask(&affinity, client, 1);
	assert_int_equal(affinity.cpu, last);
	assert_true(affinity_is_alone(&affinity, (uint32_t)client));
	assert_false(affinity_is_alone(&affinity, (uint32_t)getpid()));
	assert_true(runs_on(last));
	affinity_release(&affinity);
	assert_false(affinity_is_alone(&affinity, (uint32_t)client));
	assert_true(runs_on(-1));
	affinity_free(&affinity);
	client_end(client);
}

static void a_client_that_moves_is_found_again(void **state)
{
	int first = processor(0), last = processor(CPU_COUNT(&allowed) - 1);
	pid_t client = client_on(last);
	struct affinity affinity;

	affinity_init(&affinity, &allowed, false);
	ask(&affinity, client, ENOUGH);
	client_move(client, first);
	for (int i = 0; affinity.cpu != first && i < 1000; i++) {
		usleep(1000);
		ask(&affinity, client, 64);
	}
	assert_int_equal(affinity.cpu, first);
	affinity_free(&affinity);
	client_end(client);
}

static void a_client_is_looked_for_once_it_has_to_be_waited_for(void **state)
{
	int last = processor(CPU_COUNT(&allowed) - 1);
	pid_t client = client_on(last);
	struct affinity affinity;

	affinity_init(&affinity, &allowed, false);
	ask(&affinity, client, ENOUGH);
	assert_int_equal(affinity.looked_ns, 1);
	for (int i = 0; i < 1000; i++) {
		affinity_follow(&affinity, (uint32_t)client, 2, true);
		affinity_follow(&affinity, (uint32_t)client, 2, false);
	}
	assert_int_equal(affinity.looked_ns, 1);
	affinity_follow(&affinity, (uint32_t)client, 3, true);
	affinity_follow(&affinity, (uint32_t)client, 4, true);
	assert_int_equal(affinity.looked_ns, 4);
	/* It is still there: it has something to do, and is asked after less often. */
	affinity_follow(&affinity, (uint32_t)client, 5, true);
	affinity_follow(&affinity, (uint32_t)client, 5, true);
	assert_int_equal(affinity.looked_ns, 4);
	affinity_free(&affinity);
	client_end(client);
}

static void several_clients_are_not_followed(void **state)
{
	pid_t a = client_on(processor(0)), b = client_on(processor(0));
	struct affinity affinity;

	affinity_init(&affinity, &allowed, false);
	ask(&affinity, a, ENOUGH);
	assert_int_equal(affinity.cpu, processor(0));
	ask(&affinity, b, 1); /* and what the first one does there now is its own */
	assert_int_equal(affinity.cpu, -1);
	assert_true(runs_on(-1));
	affinity_free(&affinity);
	client_end(a);
	client_end(b);
}

static void requests_of_nobody_change_nothing(void **state)
{
	pid_t client = client_on(processor(0));
	struct affinity affinity;

	affinity_init(&affinity, &allowed, false);
	ask(&affinity, client, ENOUGH - 1);
	ask(&affinity, 0, 100); /* write-back, or from another PID namespace */
	assert_int_equal(affinity.cpu, -1);
	ask(&affinity, client, 1);
	assert_int_equal(affinity.cpu, processor(0));
	affinity_free(&affinity);
	client_end(client);
}

static void a_client_that_is_gone_is_no_error(void **state)
{
	pid_t client = client_on(processor(0));
	struct affinity affinity;

	affinity_init(&affinity, &allowed, false);
	ask(&affinity, client, ENOUGH - 1);
	client_end(client);
	ask(&affinity, client, 200);
	assert_int_equal(affinity.cpu, -1);
	affinity_free(&affinity);
}

static void *bound_thread(void *arg)
{
	struct affinity affinity;

	affinity_init(&affinity, &allowed, false);
	*(bool *)arg = runs_on(-1);
	affinity_free(&affinity);
	return NULL;
}

static void *other_thread(void *arg)
{
	*(bool *)arg = runs_on(-1) && sched_getscheduler(0) == SCHED_OTHER;
	return NULL;
}

static void a_thread_made_by_a_bound_one_is_free(void **state)
{
	pid_t client = client_on(processor(0));
	struct affinity affinity;
	pthread_t thread;
	bool free_again = false;

	affinity_init(&affinity, &allowed, false);
	ask(&affinity, client, ENOUGH);
	assert_int_equal(pthread_create(&thread, NULL, bound_thread, &free_again), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(free_again);
	affinity_free(&affinity);
	client_end(client);
}

/* The client leaves the processor that it was followed to. */
static void chase(struct affinity *affinity, pid_t client)
{
	ask(affinity, client, ENOUGH);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	client_move(client, processor(0));
	for (int i = 0; affinity->cpu != processor(0) && i < 1000; i++) {
		usleep(1000);
		ask(affinity, client, 100);
	}
	assert_int_equal(affinity->cpu, processor(0));
}

static void who_chases_its_client_goes_behind_it(void **state)
{
	bool possible = yield_possible();
	int goes = possible && CPU_COUNT(&allowed) > 1 ? SCHED_IDLE : SCHED_OTHER;
	pid_t client = client_on(processor(CPU_COUNT(&allowed) - 1)), other = client_on(processor(0));
	struct affinity affinity;
	pthread_attr_t attr;
	pthread_t thread;
	bool as_others = false;

	affinity_init(&affinity, &allowed, possible);
	chase(&affinity, client);
	assert_int_equal(sched_getscheduler(0), goes);

	assert_int_equal(pthread_attr_init(&attr), 0);
	affinity_attr(&attr, &allowed);
	assert_int_equal(pthread_create(&thread, &attr, other_thread, &as_others), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
	assert_true(as_others);

	ask(&affinity, other, 1);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	affinity_free(&affinity);
	client_end(client);
	client_end(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(one_client_is_followed, run_anywhere),
		cmocka_unit_test_teardown(a_client_that_moves_is_found_again, run_anywhere),
		cmocka_unit_test_teardown(a_client_is_looked_for_once_it_has_to_be_waited_for, run_anywhere),
		cmocka_unit_test_teardown(several_clients_are_not_followed, run_anywhere),
		cmocka_unit_test_teardown(requests_of_nobody_change_nothing, run_anywhere),
		cmocka_unit_test_teardown(a_client_that_is_gone_is_no_error, run_anywhere),
		cmocka_unit_test_teardown(a_thread_made_by_a_bound_one_is_free, run_anywhere),
		cmocka_unit_test_teardown(who_chases_its_client_goes_behind_it, run_anywhere),
	};

	return cmocka_run_group_tests(tests, remember_processors, NULL);
}
