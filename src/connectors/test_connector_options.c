/* connectors/test_connector_options.c: values by a table, what is refused and how, help. */
#include "base/test.h"
#include "connectors/connector_options.h"

enum { SIZE, EVERY, RETRIES, HEADER, FORMAT, PASSWORD, PASSWORD_FILE, NAME, OPEN, OPEN_OWN, OPTION_COUNT };

static const struct wr_connector_option table[OPTION_COUNT] = {
    [SIZE] = {"sink.file-size", WR_CONNECTOR_BYTES, "128mb", 1, INT64_MAX, NULL, false, "bytes after which it rolls"},
    [EVERY] = {"sink.every", WR_CONNECTOR_DURATION, "30min", 0, 86400000, NULL, false, "time after which it rolls"},
    [RETRIES] = {"retries", WR_CONNECTOR_NUMBER, NULL, -1, 10, NULL, false, "how often; -1: for ever"},
    [HEADER] = {"csv.header", WR_CONNECTOR_FLAG, "false", 0, 0, NULL, false,
                "whether the first line names the columns"},
    [FORMAT] = {"format", WR_CONNECTOR_CHOICE, "json", 0, 0, "json|csv", false, "what a line is"},
    [PASSWORD] = {"password", WR_CONNECTOR_TEXT, NULL, 0, 0, NULL, true, "of the user"},
    [PASSWORD_FILE] = {"password-file", WR_CONNECTOR_TEXT, NULL, 0, 0, NULL, false,
                       "a file whose line is the password"},
    [NAME] = {"an-option-whose-name-is-longer-than-its-column", WR_CONNECTOR_TEXT, NULL, 0, 0, NULL, false, "a name"},
    [OPEN] = {"client.*", WR_CONNECTOR_TEXT, NULL, 0, 0, NULL, false, "what the client has settings for"},
    [OPEN_OWN] = {"client.size", WR_CONNECTOR_NUMBER, NULL, 1, 9, NULL, false, "of the client"},
};

static enum weir_code read(const struct wr_connector_setting *settings, uint32_t count,
                           struct wr_connector_value *values, struct weir_error *error) {
  return wr_connector_options_read(table, OPTION_COUNT, settings, count, "the sink \"pv\"", values, error);
}

TEST(defaults) {
  struct wr_connector_value values[OPTION_COUNT];
  struct weir_error error;
  CHECK_INT(read(NULL, 0, values, &error), WEIR_OK);
  CHECK_INT(values[SIZE].number, 128 << 20);
  CHECK_STRING(values[SIZE].text, "128mb");
  CHECK_INT(values[EVERY].number, 1800000);
  CHECK_INT(values[HEADER].number, 0);
  CHECK_INT(values[FORMAT].number, 0);
  CHECK(values[RETRIES].text == NULL && values[PASSWORD].text == NULL);
  for (unsigned i = 0; i < OPTION_COUNT; i++)
    CHECK(!values[i].is_set);
}

TEST(values) {
  static const struct wr_connector_setting settings[] = {{"format", "csv"},   {"csv.header", "true"},
                                                         {"retries", "-1"},   {"sink.every", "0s"},
                                                         {"password", "cat"}, {"sink.file-size", "1 kb"}};
  struct wr_connector_value values[OPTION_COUNT];
  struct weir_error error;
  CHECK_INT(read(settings, 6, values, &error), WEIR_OK);
  CHECK_INT(values[FORMAT].number, 1);
  CHECK_INT(values[HEADER].number, 1);
  CHECK_INT(values[RETRIES].number, -1);
  CHECK(values[EVERY].is_set && values[EVERY].number == 0);
  CHECK_INT(values[SIZE].number, 1024);
  CHECK(values[PASSWORD].text == settings[4].text);
}

/* A row for all keys that begin so, but for those that have a row of their own. */
TEST(open_rows) {
  static const struct wr_connector_setting settings[] = {
      {"client.size", "4"}, {"client.colour", ""}, {"client.sizes", "many"}, {"client.colour", "red"}};
  struct wr_connector_value values[OPTION_COUNT];
  struct weir_error error;
  CHECK_INT(read(settings, 3, values, &error), WEIR_OK);
  CHECK(values[OPEN].is_set && values[OPEN].text == NULL);
  CHECK_INT(values[OPEN_OWN].number, 4);
  CHECK_INT(read(settings, 1, values, &error), WEIR_OK);
  CHECK(!values[OPEN].is_set);
  CHECK_INT(read(settings, 4, values, &error), WEIR_INVALID);
  CHECK(strstr(error.message, "option \"client.colour\" is given twice") != NULL);
  CHECK_INT(wr_connector_options_find(table, OPTION_COUNT, "client.x"), OPEN);
  CHECK_INT(wr_connector_options_find(table, OPTION_COUNT, "client.size"), OPEN_OWN);
  CHECK_INT(wr_connector_options_find(table, OPTION_COUNT, "client."), OPTION_COUNT);
  CHECK_INT(wr_connector_options_find(table, OPTION_COUNT, "client"), OPTION_COUNT);
}

TEST(mistakes) {
  static const struct {
    struct wr_connector_setting first, second;
    const char *says;
  } cases[] = {
      {{"formt", "csv"}, {NULL, NULL}, "the sink \"pv\" has no option \"formt\"; did you mean \"format\"?"},
      {{"colour", "red"}, {NULL, NULL}, "has no option \"colour\"; it has sink.file-size, sink.every, retries"},
      {{"format", "csv"}, {"format", "csv"}, "option \"format\" is given twice"},
      {{"format", "xml"}, {NULL, NULL}, "option \"format\" is json or csv, not \"xml\""},
      {{"csv.header", "yes"}, {NULL, NULL}, "\"csv.header\" is true or false, not \"yes\""},
      {{"sink.file-size", "0"}, {NULL, NULL}, "is a size, as 4096, 64kb or 128mb, at least 1 bytes, not \"0\""},
      {{"sink.every", "2d"}, {NULL, NULL}, "(ms, s, min, h or d), from 0 to 86400000 ms, not \"2d\""},
      {{"retries", "11"}, {NULL, NULL}, "is a whole number, from -1 to 10, not \"11\""},
      {{"retries", "many"}, {NULL, NULL}, "not \"many\""},
      {{"an-option-whose-name-is-longer-than-its-column", ""}, {NULL, NULL}, "is a text that is not empty"},
      {{"password", ""}, {NULL, NULL}, "its value is not shown"},
      {{"password", "tomcat"}, {"password-file", "f"}, "\"password\" and \"password-file\" are given both"},
      {{"password-file", "f"}, {"password", "tomcat"}, "are given both"},
      {{"pasword", "tomcat"}, {NULL, NULL}, "did you mean \"password\"?"},
      {{"client.size", "10"}, {NULL, NULL}, "\"client.size\" is a whole number, from 1 to 9, not \"10\""},
      {{"client.", "x"}, {NULL, NULL}, "has no option \"client.\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct wr_connector_value values[OPTION_COUNT];
    struct wr_connector_setting settings[] = {cases[i].first, cases[i].second};
    struct weir_error error = {.code = WEIR_OK};
    CHECK_INT(read(settings, cases[i].second.key == NULL ? 1 : 2, values, &error), WEIR_INVALID);
    CHECK_INT(weir_code_exit(error.code), 2);
    if (strstr(error.message, cases[i].says) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", error.message, cases[i].says);
    if (strstr(error.message, "tomcat") != NULL) TEST_FAIL("\"%s\" shows a secret", error.message);
  }
}

TEST(help) {
  char text[4096], cut[40];
  size_t length = wr_connector_options_help(table, OPTION_COUNT, false, text, sizeof text);
  CHECK_INT(length, strlen(text));
  CHECK(strstr(text, "  sink.file-size                          bytes after which it rolls (default: 128mb)\n") ==
        text);
  CHECK(strstr(text, "  what a line is: json or csv (default: json)\n") != NULL);
  CHECK(strstr(text, "  an-option-whose-name-is-longer-than-its-column\n                    ") != NULL);
  CHECK_INT(wr_connector_options_help(table, OPTION_COUNT, false, cut, sizeof cut), length);
  CHECK(memcmp(cut, text, sizeof cut - 1) == 0 && cut[sizeof cut - 1] == 0);
  CHECK_INT(wr_connector_options_help(table, OPTION_COUNT, false, NULL, 0), length);
  wr_connector_options_help(table, OPTION_COUNT, true, text, sizeof text);
  CHECK(strstr(text, "| `sink.file-size` | a size, as 4096, 64kb or 128mb, at least 1 bytes | `128mb` | bytes after") ==
        text);
  CHECK(strstr(text, "| `password` | a text that is not empty | none | of the user |\n") != NULL);
  CHECK(strstr(text, "| `client.*` | a text | none | what the client has settings for |\n") != NULL);
  wr_connector_options_help(table, 0, false, text, sizeof text);
  CHECK_STRING(text, "");
}

TEST_MAIN(TEST_CASE(defaults), TEST_CASE(values), TEST_CASE(open_rows), TEST_CASE(mistakes), TEST_CASE(help))
