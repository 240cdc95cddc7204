/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "fs/yield.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

enum {
	MS = 1000000,
	START = 1000 * MS,
	FIRST_PAUSE = 20 * MS,
};

/* A thread of a driver; what it would do itself is done for it, which works as well. */
static struct {
	struct yield yield;
	pthread_t thread;
	sem_t made, ends;
	bool possible, computes;
	_Atomic bool stops;
} driver;

static void *driver_run(void *arg)
{
	yield_init(&driver.yield, driver.possible);
	sem_post(&driver.made);
	while (driver.computes && !atomic_load(&driver.stops))
		;
	sem_wait(&driver.ends);
	return NULL;
}

static int driver_start(bool computes)
{
	driver.possible = yield_possible();
	driver.computes = computes;
	atomic_store(&driver.stops, false);
	sem_init(&driver.made, 0, 0);
	sem_init(&driver.ends, 0, 0);
	if (pthread_create(&driver.thread, NULL, driver_run, NULL) != 0)
		return -1;
	sem_wait(&driver.made);
	return 0;
}

static int driver_computes(void **state)
{
	return driver_start(true);
}

static int driver_waits(void **state)
{
	return driver_start(false);
}

static int driver_end(void **state)
{
	yield_end(&driver.yield);
	atomic_store(&driver.stops, true);
	sem_post(&driver.ends);
	pthread_join(driver.thread, NULL);
	sem_destroy(&driver.made);
	sem_destroy(&driver.ends);
	return 0;
}

static bool is_behind(void)
{
	return sched_getscheduler(driver.yield.thread) == SCHED_IDLE;
}

static bool is_asleep(void)
{
	char path[64], text[512] = "";
	AUTO(closep) int fd = -1;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", driver.yield.thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	return strstr(text, ") S ") != NULL;
}

static void who_may_not_come_back_never_goes(void **state)
{
	struct yield yield;

	yield_init(&yield, false);
	yield_begin(&yield, START);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	yield_rescue(&yield, START + 100 * MS);
	yield_end(&yield);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

static void begins_at(uint64_t at_ns, bool begins)
{
	yield_begin(&driver.yield, at_ns);
	assert_int_equal(is_behind(), begins);
}

static void rescued_at(uint64_t at_ns, bool rescued)
{
	yield_rescue(&driver.yield, at_ns);
	assert_int_equal(is_behind(), !rescued);
}

static void it_begins_and_ends(void **state)
{
	if (!driver.possible) /* whoever runs the tests may not: what is above is all that there is */
		return;
	for (int i = 0; i < 2; i++) {
		begins_at(START, true);
		yield_end(&driver.yield);
		assert_false(is_behind());
	}
}

static void who_is_held_up_is_helped_out(void **state)
{
	const uint64_t first = START + 2 * MS, second = first + FIRST_PAUSE + 2 * MS;

	if (!driver.possible)
		return;
	begins_at(START, true);
	rescued_at(START + MS / 2, false); /* just begun */
	rescued_at(first, true);
	begins_at(first + FIRST_PAUSE - 1, false);
	begins_at(first + FIRST_PAUSE, true);
	rescued_at(second, true);
	/* Twice as long the second time. */
	begins_at(second + 2 * FIRST_PAUSE - 1, false);
	begins_at(second + 2 * FIRST_PAUSE, true);
}

static void who_goes_on_is_left_alone(void **state)
{
	if (!driver.possible)
		return;
	begins_at(START, true);
	for (unsigned i = 2; i < 10; i++) {
		yield_count(&driver.yield);
		rescued_at(START + i * MS, false);
	}
}

static void who_wants_nothing_is_left_alone(void **state)
{
	const struct timespec moment = { .tv_nsec = MS };

	if (!driver.possible)
		return;
	while (!is_asleep())
		nanosleep(&moment, NULL);
	begins_at(START, true);
	for (unsigned i = 2; i < 10; i++)
		rescued_at(START + i * MS, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_not_come_back_never_goes),
		cmocka_unit_test_setup_teardown(it_begins_and_ends, driver_waits, driver_end),
		cmocka_unit_test_setup_teardown(who_is_held_up_is_helped_out, driver_computes, driver_end),
		cmocka_unit_test_setup_teardown(who_goes_on_is_left_alone, driver_computes, driver_end),
		cmocka_unit_test_setup_teardown(who_wants_nothing_is_left_alone, driver_waits, driver_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
