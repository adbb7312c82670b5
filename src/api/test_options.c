/* api/test_options.c: texts of options, the command line, the help. */
#include "base/test.h"
#include "weir/options.h"

static enum weir_code parse(struct weir_options *options, const char *first, const char *second, bool *help,
                            struct weir_error *error) {
  char *argv[] = {"pv", (char *)first, (char *)second};
  return weir_options_parse(options, second == NULL ? 2 : 3, argv, help, error);
}

TEST(command_line) {
  struct weir_options *options = NULL;
  struct weir_error error;
  bool help = false;
  CHECK_INT(weir_options_new(&options, &error), WEIR_OK);
  CHECK_STRING(weir_options_text(options, "mode"), "exactly-once");
  CHECK_INT(weir_options_number(options, "checkpoint-interval"), 1000);
  CHECK(weir_options_text(options, "source") == NULL);
  CHECK_INT(parse(options, "--source", "a b", &help, &error), WEIR_OK);
  CHECK_STRING(weir_options_text(options, "source"), "a b");
  CHECK_INT(parse(options, "--checkpoint-interval=200ms", "--bounded", &help, &error), WEIR_OK);
  CHECK_INT(weir_options_number(options, "checkpoint-interval"), 200);
  CHECK(weir_options_flag(options, "bounded") && !weir_options_flag(options, "fresh"));
  CHECK_INT(parse(options, "--parallelism", "7", &help, &error), WEIR_OK);
  CHECK_INT(weir_options_number(options, "parallelism"), 7);
  CHECK(!help);
  CHECK_INT(parse(options, "--nonsense", "--help", &help, &error), WEIR_OK);
  CHECK(help);
  weir_options_free(&options);
  CHECK(options == NULL);
  weir_options_free(&options);
}

TEST(lists) {
  struct weir_options *options = NULL;
  struct weir_error error;
  bool help = false;
  CHECK_INT(weir_options_new(&options, &error), WEIR_OK);
  CHECK_INT(weir_options_count(options, "kafka"), 0);
  CHECK_INT(parse(options, "--kafka", "a=1", &help, &error), WEIR_OK);
  CHECK_INT(parse(options, "--kafka=b=2", "--kafka=a=3", &help, &error), WEIR_OK);
  CHECK_INT(weir_options_count(options, "kafka"), 3);
  CHECK_STRING(weir_options_item(options, "kafka", 0), "a=1");
  CHECK_STRING(weir_options_item(options, "kafka", 1), "b=2");
  CHECK_STRING(weir_options_item(options, "kafka", 2), "a=3");
  weir_options_free(&options);
}

TEST(mistakes_on_the_command_line) {
  static const struct {
    const char *first, *second, *says;
  } cases[] = {
      {"--bonded", NULL, "did you mean --bounded"},
      {"--checkpoint-intreval", "1s", "did you mean --checkpoint-interval"},
      {"--zzzzzzzzzzzz", NULL, "--help lists all"},
      {"views", NULL, "is no option"},
      {"--", NULL, "is no option"},
      {"--source", NULL, "needs a value"},
      {"--source", "--bounded", "needs a value"},
      {"--source=", NULL, "needs a value"},
      {"--kafka=", NULL, "needs a value"},
      {"--parallelism", "0", "from 1 to 256"},
      {"--parallelism", "many", "from 1 to 256"},
      {"--mode", "twice", "exactly-once|at-least-once"},
      {"--checkpoint-interval", "200", "a unit"},
      {"--checkpoint-interval", "0s", "above 0"},
      {"--bounded=yes", NULL, "takes no value"},
      {"--on-error", "ignore", "fail|skip"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_options *options = NULL;
    struct weir_error error = {.code = WEIR_OK};
    bool help = false;
    CHECK_INT(weir_options_new(&options, &error), WEIR_OK);
    enum weir_code code = parse(options, cases[i].first, cases[i].second, &help, &error);
    weir_options_free(&options);
    CHECK_INT(code, WEIR_INVALID);
    CHECK_INT(weir_code_exit(code), 2);
    if (strstr(error.message, cases[i].says) == NULL)
      TEST_FAIL("%s: \"%s\" does not say \"%s\"", cases[i].first, error.message, cases[i].says);
  }
}

TEST(own_options_and_help) {
  static const struct weir_option own = {
      "idle-after", WEIR_OPTION_DURATION, "TIME", NULL, "30s", "an app without views for so long is quiet", 0};
  static const struct weir_option bad = {"bad",  WEIR_OPTION_DURATION,     "TIME", NULL,
                                         "soon", "a default that is none", 0};
  struct weir_options *options = NULL;
  struct weir_error error;
  char text[16384], cut[64];
  CHECK_INT(weir_options_new(&options, &error), WEIR_OK);
  CHECK_INT(weir_options_add(options, &own, &error), WEIR_OK);
  CHECK_INT(weir_options_number(options, "idle-after"), 30000);
  CHECK_INT(weir_options_add(options, &own, &error), WEIR_INVALID);
  CHECK_INT(weir_options_add(options, &bad, &error), WEIR_INVALID);
  size_t length = weir_options_help(options, "pv", "counts views", text, sizeof text);
  CHECK_INT(length, strlen(text));
  CHECK(strstr(text, "pv counts views") == text);
  CHECK(strstr(text, "--idle-after TIME") != NULL && strstr(text, "(default: 30s)") != NULL);
  static const char *const names[] = {"source",
                                      "sink",
                                      "mode exactly-once|at-least-once",
                                      "parallelism",
                                      "state",
                                      "checkpoint-interval",
                                      "bounded",
                                      "on-error fail|skip",
                                      "dead-letter",
                                      "fresh",
                                      "accept-duplicates",
                                      "accept-loss",
                                      "help"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strstr(text, names[i]) == NULL) TEST_FAIL("the help does not name --%s", names[i]);
  CHECK_INT(weir_options_help(options, "pv", "counts views", cut, sizeof cut), length);
  CHECK(memcmp(cut, text, sizeof cut - 1) == 0 && cut[sizeof cut - 1] == 0);
  CHECK_INT(weir_options_help(options, "pv", "counts views", NULL, 0), length);
  weir_options_free(&options);
}

TEST_MAIN(TEST_CASE(command_line), TEST_CASE(lists), TEST_CASE(mistakes_on_the_command_line),
          TEST_CASE(own_options_and_help))
