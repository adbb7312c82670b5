/* base/test_option_values.c: texts of options. */
#include "base/option_values.h"

#include "base/test.h"

struct text_case {
  const char *text;
  int64_t value; /* -1: refused */
};

static void check_cases(const struct text_case *cases, size_t count, bool (*parse)(const char *, int64_t *)) {
  for (size_t i = 0; i < count; i++) {
    int64_t value = -1;
    bool good = parse(cases[i].text, &value);
    if (good != (cases[i].value != -1)) TEST_FAIL("\"%s\" is%s taken", cases[i].text, good ? "" : " not");
    CHECK_INT(value, cases[i].value);
  }
}

TEST(durations) {
  static const struct text_case cases[] = {{"200ms", 200},
                                           {"1s", 1000},
                                           {"5min", 300000},
                                           {"5 min", 300000},
                                           {"2h", 7200000},
                                           {"1d", 86400000},
                                           {"365000d", 31536000000000},
                                           {"0s", 0},
                                           {"", -1},
                                           {"s", -1},
                                           {"5", -1},
                                           {"-1s", -1},
                                           {"1.5s", -1},
                                           {"1 s ", -1},
                                           {"5m", -1},
                                           {"1S", -1},
                                           {"365001d", -1},
                                           {"99999999999999999999ms", -1}};
  check_cases(cases, sizeof cases / sizeof cases[0], wr_parse_duration);
}

TEST(sizes) {
  static const struct text_case cases[] = {{"0", 0},
                                           {"4096", 4096},
                                           {"1 b", 1},
                                           {"64kb", 65536},
                                           {"128MB", 134217728},
                                           {"1 gb", 1073741824},
                                           {"1g", 1073741824},
                                           {"2 Tebibytes", 2199023255552},
                                           {"8388607t", 9223370937343148032},
                                           {"8388608t", -1},
                                           {"9223372036854775807", INT64_MAX},
                                           {"9223372036854775808", -1},
                                           {"", -1},
                                           {"mb", -1},
                                           {"-1", -1},
                                           {"1.5mb", -1},
                                           {"1 mbs", -1},
                                           {"1 mb ", -1}};
  check_cases(cases, sizeof cases / sizeof cases[0], wr_parse_bytes);
}

TEST(numbers_and_words) {
  int64_t number = 0;
  CHECK(wr_parse_number("256", 1, 256, &number) && number == 256);
  CHECK(!wr_parse_number("257", 1, 256, &number) && !wr_parse_number("0", 1, 256, &number));
  CHECK(!wr_parse_number("", 0, 256, &number) && !wr_parse_number("1x", 0, 256, &number));
  CHECK(wr_parse_number("0", 0, 256, &number) && number == 0);
  CHECK(wr_parse_number("-3", -3, 0, &number) && number == -3);
  CHECK(!wr_parse_number("-4", -3, 0, &number) && !wr_parse_number("-", -3, 0, &number));
  CHECK(wr_parse_number("9223372036854775807", 1, INT64_MAX, &number) && number == INT64_MAX);
  CHECK(!wr_parse_number("9223372036854775808", 1, INT64_MAX, &number));
  CHECK(wr_parse_number("-9223372036854775808", INT64_MIN, 0, &number) && number == INT64_MIN);
  CHECK(!wr_parse_number("-9223372036854775809", INT64_MIN, 0, &number));
  CHECK_INT(wr_find_choice("fail|skip", "fail"), 0);
  CHECK_INT(wr_find_choice("fail|skip", "skip"), 1);
  CHECK_INT(wr_find_choice("fail|skip", "ski"), -1);
  CHECK_INT(wr_find_choice("fail|skip", ""), -1);
  CHECK_INT(wr_find_choice("fail|skip", "fail|skip"), -1);
}

TEST_MAIN(TEST_CASE(durations), TEST_CASE(sizes), TEST_CASE(numbers_and_words))
