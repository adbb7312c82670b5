/* Seeds that once failed, each with what was wrong. A seed tells its history only as long as nobody draws anything in
 * front of what mattered in it; afterwards it is one seed like any other, and costs no more. */
#include "base/test.h"
#include "sim/sim_run.h"

static void check_seed(uint64_t seed) {
  struct sim_run_options options = {.seed = seed};
  struct sim_run_report report;
  if (!sim_run(&options, &report)) TEST_FAIL("seed %" PRIu64 ": %s", seed, report.violation);
}

/* A staged file was taken away, the life after it was killed before its first checkpoint, and the topic was made again:
 * the harness took the newest checkpoint, which every start passes over, for the one that is restored. */
TEST(a_checkpoint_that_lacks_what_it_staged) {
  check_seed(1795911326943365);
}

/* A server was replaced by an older copy, a commit to that one was tried and left rows out, and the newer one was put
 * back, which had committed the same epoch whole: whose try has left a file goes on with the copy. */
TEST(a_try_on_an_older_server) {
  check_seed(1795917422171220);
}

/* Some two hundred files were staged on a disk that was full again and again, each time for 100 ms: that can take
 * longer than a stop waits. */
TEST(a_stop_while_the_disk_of_a_folder_is_full) {
  check_seed(1795918019397985);
}

TEST_MAIN(TEST_CASE(a_checkpoint_that_lacks_what_it_staged), TEST_CASE(a_try_on_an_older_server),
          TEST_CASE(a_stop_while_the_disk_of_a_folder_is_full))
