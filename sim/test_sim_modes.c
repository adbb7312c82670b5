/* The two modes side by side: the same histories, seed by seed, with barriers aligned and not aligned. Not aligned, a
 * slow channel and a crash make some count too high; aligned, the same seed is exact. */
#include "base/test.h"
#include "sim/sim_run.h"

enum { SEEDS_MAX = 3000, WANTED = TEST_ONE_IN == 1 ? 3 : 1 };

TEST(unaligned_counts_too_high_and_aligned_does_not) {
  uint64_t first = test_seed();
  int found = 0;
  for (uint64_t seed = first; seed < first + SEEDS_MAX && found < WANTED; seed++) {
    enum wr_mode mode = WR_AT_LEAST_ONCE;
    struct sim_run_options options = {.seed = seed, .mode = &mode};
    struct sim_run_report report;
    bool good = sim_run(&options, &report);
    if (!good) TEST_FAIL("seed %" PRIu64 ", at least once: %s", seed, report.violation);
    if (report.events[SIM_EVENT_TOO_HIGH] == 0) continue;
    found++;
    mode = WR_EXACTLY_ONCE;
    good = sim_run(&options, &report);
    if (!good) TEST_FAIL("seed %" PRIu64 ", exactly once: %s", seed, report.violation);
    CHECK_INT(report.events[SIM_EVENT_TOO_HIGH], 0);
    fprintf(stderr, "seed %" PRIu64 ": too high when not aligned, exact when aligned\n", seed);
  }
  CHECK_INT(found, WANTED);
}

TEST_MAIN(TEST_CASE(unaligned_counts_too_high_and_aligned_does_not))
