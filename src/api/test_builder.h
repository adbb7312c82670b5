/* api/test_builder.h: a graph that is built again and again, while one allocation after the other fails. Header only.
 */
#ifndef WR_API_TEST_BUILDER_H
#define WR_API_TEST_BUILDER_H

#include "api/api_int.h"

#include "base/test.h"
#include "base/test_memory.h"

/* Puts the graph together; `with` is the test's. */
typedef void test_build(struct weir_job_builder *builder, const void *with);

/* The builder must say each time that there was no memory, and keep nothing; more than `least` allocations fail. */
static inline void test_builder_without_memory(test_build *build, const void *with, uint64_t least) {
  const struct wr_graph *graph = NULL;
  bool finished = false;
  uint64_t failures = 0;
  while (!finished) {
    struct test_memory memory;
    struct weir_job_builder builder;
    struct weir_error error = {.code = WEIR_OK};
    test_memory_init(&memory);
    test_memory_fail_after(&memory, failures + 1, false);
    CHECK_INT(wr_builder_init(&builder, &memory.memory, "pv", &error), WEIR_OK);
    build(&builder, with);
    enum weir_code code = wr_builder_finish(&builder, &graph, &error);
    finished = memory.failures == 0;
    CHECK_INT(code, finished ? WEIR_OK : WEIR_NO_MEMORY);
    failures += memory.failures;
    wr_builder_deinit(&builder);
    CHECK_INT(memory.living_count, 0);
  }
  CHECK(failures > least);
}

#endif
