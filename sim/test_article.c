/* Tests of sim/article.c: the numbers of the two examples, from several seeds. */
#include "base/test.h"
#include "sim/article.h"

enum { SEEDS = 3 };

static void check_first(uint64_t seed, bool at_least_once) {
  struct sim_article_report report;
  CHECK(sim_article_first(stderr, seed, at_least_once, &report));
  CHECK_INT(report.wrong, 0);
  CHECK_INT(report.checkpoint, 100);
  CHECK_INT(report.positions[0], 1000);
  CHECK_INT(report.counts[0], 50000);
  CHECK_INT(report.counts[1], 10000);
  CHECK_INT(report.memory[0], 50080);
  CHECK_INT(report.memory[1], 10020);
  CHECK_INT(report.restored, 100);
  CHECK_INT(report.restored_counts[0], 50000);
  CHECK_INT(report.restored_counts[1], 10000);
  CHECK_INT(report.read_again, 100);
  CHECK_INT(report.table[0], 50080);
  CHECK_INT(report.table[1], 10020);
}

static void check_second(uint64_t seed, enum sim_article_run run) {
  bool aligned = run == SIM_ARTICLE_ALIGNED, crash = run != SIM_ARTICLE_NOT_ALIGNED_NO_CRASH;
  struct sim_article_report report;
  CHECK(sim_article_second(stderr, seed, run, &report));
  CHECK_INT(report.wrong, 0);
  CHECK_INT(report.checkpoint, 100);
  CHECK_INT(report.positions[0], 10000);
  CHECK_INT(report.positions[1], 10005);
  CHECK_INT(report.counts[0], 8000);
  CHECK_INT(report.counts[1], aligned ? 12005 : 12050);
  CHECK_INT(report.restored, crash ? 100 : 0);
  CHECK_INT(report.table[0], report.log[0]);
  CHECK_INT(report.table[1], report.log[1] + (crash && !aligned ? 45 : 0));
}

TEST(first_example) {
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < SEEDS; i++)
    for (int at_least_once = 0; at_least_once < 2; at_least_once++) {
      check_first(seed + i, at_least_once != 0);
      CHECK_PASSED();
    }
}

TEST(second_example) {
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < SEEDS; i++)
    for (int run = SIM_ARTICLE_ALIGNED; run <= SIM_ARTICLE_NOT_ALIGNED_NO_CRASH; run++) {
      check_second(seed + i, (enum sim_article_run)run);
      CHECK_PASSED();
    }
}

TEST_MAIN(TEST_CASE(first_example), TEST_CASE(second_example))
