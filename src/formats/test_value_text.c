/* formats/test_value_text.c: values as text: vectors, and random ones against the C library. */
#include "base/random.h"
#include "base/test.h"
#include "formats/civil_time.h"
#include "formats/value_text.h"

#include <math.h>

/* In a buffer of exactly the room that is asked for. */
static void check_bigint(int64_t value) {
  char expected[32], *exact = malloc(WR_BIGINT_TEXT_MAX);
  size_t length = wr_text_of_bigint(value, exact), expected_length;
  expected_length = (size_t)snprintf(expected, sizeof expected, "%" PRId64, value);
  if (length != expected_length || memcmp(exact, expected, length) != 0)
    TEST_FAIL("%s became %.*s", expected, (int)length, exact);
  free(exact);
}

TEST(bigints) {
  static const int64_t values[] = {0, 1, -1, 9, 10, 99, 100, -100, INT32_MIN, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
    check_bigint(values[i]);
  for (int64_t power = 1, last = 0; last != power;) {
    check_bigint(power - 1);
    check_bigint(power);
    last = power;
    if (power <= INT64_MAX / 10) power *= 10;
  }
  for (int64_t value = 0; value < 10000; value++) { /* every half of eight digits, on either side */
    check_bigint(value);
    check_bigint(value * 10000 + 9999 - value);
  }
}

TEST(random_bigints) {
  struct wr_random random = wr_random_of(test_seed());
  for (int i = 0; i < 200000; i++)
    check_bigint((int64_t)wr_random_next(&random) >> wr_random_below(&random, 64));
}

TEST(doubles) {
  static const struct {
    double value;
    const char *text;
  } cases[] = {{0, "0.0"},
               {-0.0, "-0.0"},
               {1, "1.0"},
               {-12.5, "-12.5"},
               {100, "100.0"},
               {9999999, "9999999.0"},
               {1e7, "1.0E7"},
               {1.25e10, "1.25E10"},
               {0.001, "0.001"},
               {0.00123, "0.00123"},
               {0.00099, "9.9E-4"},
               {0.1 + 0.2, "0.30000000000000004"},
               {123456.789, "123456.789"},
               {5e-324, "5.0E-324"},
               {1.7976931348623157e308, "1.7976931348623157E308"},
               {NAN, "NaN"},
               {INFINITY, "Infinity"},
               {-INFINITY, "-Infinity"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[WR_DOUBLE_TEXT_MAX + 1];
    text[wr_text_of_double(cases[i].value, text)] = 0;
    CHECK_STRING(text, cases[i].text);
  }
}

static size_t count_digits(const char *text) {
  size_t count = 0;
  for (; *text != 0 && *text != 'E' && *text != 'e'; text++)
    count += *text >= '0' && *text <= '9';
  return count;
}

/* Read back as the same number, and with no more digits than the first precision of printf that does. */
TEST(random_doubles) {
  struct wr_random random = wr_random_of(test_seed());
  for (int n = 0; n < 100000; n++) {
    uint64_t bits = wr_random_next(&random);
    double value;
    if (n % 2 == 0)
      value = (double)(int64_t)(bits >> 20) / (double)(1 + bits % 1000);
    else
      memcpy(&value, &bits, sizeof value);
    if (!isfinite(value)) continue;
    char text[WR_DOUBLE_TEXT_MAX + 1], shortest[64];
    text[wr_text_of_double(value, text)] = 0;
    double again = strtod(text, NULL);
    if (memcmp(&again, &value, sizeof value) != 0) TEST_FAIL("%.17g is written as %s", value, text);
    int digits = 0;
    do
      snprintf(shortest, sizeof shortest, "%.*e", digits++, value);
    while (strtod(shortest, NULL) != value);
    bool is_plain = strchr(text, 'E') == NULL;
    if (!is_plain && count_digits(text) > count_digits(shortest) + (digits == 1))
      TEST_FAIL("%s is longer than %s", text, shortest);
  }
}

TEST(timestamps) {
  static const struct {
    struct weir_timestamp value;
    const char *text;
  } cases[] = {{{0, 0, 0}, "1970-01-01 00:00:00"},
               {{1500, 0, 0}, "1970-01-01 00:00:01.5"},
               {{61000, 1000, 0}, "1970-01-01 00:01:01.000001"},
               {{-1, 999999, 0}, "1969-12-31 23:59:59.999999999"},
               {{-62135596800000, 0, 0}, "0001-01-01 00:00:00"},
               {{253402300799999, 0, 0}, "9999-12-31 23:59:59.999"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[WR_TIMESTAMP_TEXT_MAX + 1];
    text[wr_text_of_timestamp(cases[i].value, text)] = 0;
    CHECK_STRING(text, cases[i].text);
  }
  char longest[WR_TIMESTAMP_TEXT_MAX];
  CHECK(wr_text_of_timestamp((struct weir_timestamp){INT64_MIN, 999999, 0}, longest) <= sizeof longest);
  CHECK(wr_text_of_timestamp((struct weir_timestamp){INT64_MAX, 999999, 0}, longest) <= sizeof longest);
}

TEST(civil_times) {
  static const struct {
    int64_t ms, year;
    unsigned month, day, hour;
  } vectors[] = {{0, 1970, 1, 1, 0},
                 {951782400000, 2000, 2, 29, 0},
                 {-62135596800000, 1, 1, 1, 0},
                 {253402300799999, 9999, 12, 31, 23},
                 {-2203891200001, 1900, 2, 28, 23},
                 {-2203891200000, 1900, 3, 1, 0},
                 {1709164800000, 2024, 2, 29, 0}};
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    struct wr_civil_time civil = wr_civil_time_of((struct weir_timestamp){.milliseconds = vectors[i].ms});
    CHECK_INT(civil.year, vectors[i].year);
    CHECK_INT(civil.month, vectors[i].month);
    CHECK_INT(civil.day, vectors[i].day);
    CHECK_INT(civil.hour, vectors[i].hour);
  }
}

TEST(base64) {
  static const char *const vectors[] = {
      "",     "",         "f",     "Zg==",     "fo",     "Zm8=",     "foo",          "Zm9v",
      "foob", "Zm9vYg==", "fooba", "Zm9vYmE=", "foobar", "Zm9vYmFy", "\xff\xfe\xfd", "//79"};
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i += 2) {
    char text[64];
    size_t length = wr_text_of_base64(vectors[i], strlen(vectors[i]), text);
    CHECK_INT(length, wr_base64_length(strlen(vectors[i])));
    text[length] = 0;
    CHECK_STRING(text, vectors[i + 1]);
  }
}

TEST_MAIN(TEST_CASE(bigints), TEST_CASE(random_bigints), TEST_CASE(doubles), TEST_CASE(random_doubles),
          TEST_CASE(timestamps), TEST_CASE(civil_times), TEST_CASE(base64))
