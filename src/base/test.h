/* base/test.h: the test harness: a table of functions, both values printed, a last line "N passed, N failed".
 *
 * A test program is one file: TEST(name) { ... } bodies, then TEST_MAIN(TEST_CASE(a), TEST_CASE(b)). Arguments choose
 * tests by name. A failed CHECK ends its test (return), so a test cleans up only what a passing run needs cleaned.
 */
#ifndef WR_BASE_TEST_H
#define WR_BASE_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct test_case {
  const char *name;
  void (*run)(void);
};
static bool test_failed;

/* A sanitizer makes a program several times slower: where rounds are many it runs every so-many-th, other builds all.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TEST_ONE_IN = 4 };
#else
enum { TEST_ONE_IN = 1 };
#endif

#define TEST(name) static void test_##name(void)
#define TEST_CASE(name)                                                                                                \
  { #name, test_##name }
#define TEST_FAIL(...)                                                                                                 \
  do {                                                                                                                 \
    fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                                    \
    fprintf(stderr, __VA_ARGS__);                                                                                      \
    fputc('\n', stderr);                                                                                               \
    test_failed = true;                                                                                                \
    return;                                                                                                            \
  } while (0)
#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) TEST_FAIL("not true: %s", #condition);                                                           \
  } while (0)
#define CHECK_INT(actual, expected)                                                                                    \
  do {                                                                                                                 \
    int64_t check_a = (int64_t)(actual), check_e = (int64_t)(expected);                                                \
    if (check_a != check_e)                                                                                            \
      TEST_FAIL("%s is %" PRId64 ", expected %s = %" PRId64, #actual, check_a, #expected, check_e);                    \
  } while (0)
#define CHECK_STRING(actual, expected)                                                                                 \
  do {                                                                                                                 \
    const char *check_a = (actual), *check_e = (expected);                                                             \
    if (strcmp(check_a, check_e) != 0) TEST_FAIL("%s is \"%s\", expected \"%s\"", #actual, check_a, check_e);          \
  } while (0)
/* For helpers that return after a failed CHECK: leaves the test too. */
#define CHECK_PASSED()                                                                                                 \
  do {                                                                                                                 \
    if (test_failed) return;                                                                                           \
  } while (0)
#define TEST_MAIN(...)                                                                                                 \
  int main(int argc, char **argv) {                                                                                    \
    static const struct test_case cases[] = {__VA_ARGS__};                                                             \
    return test_run(cases, sizeof cases / sizeof cases[0], argc, argv);                                                \
  }

/* The seed of a random test: from WEIR_TEST_SEED, else from the clock; printed, so that a failure can be replayed. */
static inline uint64_t test_seed(void) {
  const char *text = getenv("WEIR_TEST_SEED");
  uint64_t seed;
  if (text != NULL) {
    seed = strtoull(text, NULL, 0);
  } else {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
  }
  fprintf(stderr, "seed: WEIR_TEST_SEED=%" PRIu64 "\n", seed);
  return seed;
}

static inline int test_run(const struct test_case *cases, size_t count, int argc, char **argv) {
  size_t passed = 0, failed = 0;
  for (size_t i = 0; i < count; i++) {
    bool wanted = argc < 2;
    for (int a = 1; a < argc; a++)
      wanted = wanted || strcmp(argv[a], cases[i].name) == 0;
    if (!wanted) continue;
    test_failed = false;
    cases[i].run();
    if (test_failed) fprintf(stderr, "FAILED: %s\n", cases[i].name);
    *(test_failed ? &failed : &passed) += 1;
  }
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed != 0;
}

#endif
