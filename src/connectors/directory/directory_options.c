/* connectors/directory/directory_options.c: the options of the folder sink, and its config by them. Pure. */
#include "connectors/directory/directory.h"

#include <stdio.h>

enum {
  FORMAT,
  FILE_SIZE,
  ROLLOVER_INTERVAL,
  CHECK_INTERVAL,
  IGNORE_NULL_FIELDS,
  FIELD_DELIMITER,
  QUOTE_CHARACTER,
  DISABLE_QUOTE,
  NULL_LITERAL,
  HEADER,
  FLUSH_INTERVAL,
  OPTION_COUNT
};
_Static_assert((int)OPTION_COUNT == (int)WR_DIRECTORY_OPTION_COUNT, "the table of the header has another size");

const struct wr_connector_option wr_directory_options[WR_DIRECTORY_OPTION_COUNT] = {
    [FORMAT] = {"format", WR_CONNECTOR_CHOICE, "json", 0, 0, "json|csv", false, "what a line of a file is"},
    [FILE_SIZE] = {"sink.rolling-policy.file-size", WR_CONNECTOR_BYTES, "128mb", 1024, INT64_MAX, NULL, false,
                   "largest size of a file, unless a single row is larger"},
    [ROLLOVER_INTERVAL] = {"sink.rolling-policy.rollover-interval", WR_CONNECTOR_DURATION, "30min", 1, INT64_MAX, NULL,
                           false, "longest time whose rows one file has; a checkpoint ends a file in any case"},
    [CHECK_INTERVAL] = {"sink.rolling-policy.check-interval", WR_CONNECTOR_DURATION, "1min", 1, INT64_MAX, NULL, false,
                        "taken for Flink's sake: the time is looked at with every batch of rows"},
    [IGNORE_NULL_FIELDS] = {"json.encode.ignore-null-fields", WR_CONNECTOR_FLAG, "false", 0, 0, NULL, false,
                            "leave a NULL out of its object"},
    [FIELD_DELIMITER] = {"csv.field-delimiter", WR_CONNECTOR_TEXT, ",", 0, 0, NULL, false,
                         "the character between two fields; \\t is a tab"},
    [QUOTE_CHARACTER] = {"csv.quote-character", WR_CONNECTOR_TEXT, "\"", 0, 0, NULL, false,
                         "the character around a field that needs it"},
    [DISABLE_QUOTE] = {"csv.disable-quote-character", WR_CONNECTOR_FLAG, "false", 0, 0, NULL, false,
                       "no quotes; a field that needs them is an error"},
    [NULL_LITERAL] = {"csv.null-literal", WR_CONNECTOR_TEXT, NULL, 0, 0, NULL, false,
                      "what a NULL is written as (default: nothing)"},
    [HEADER] = {"csv.header", WR_CONNECTOR_FLAG, "false", 0, 0, NULL, false,
                "begin each file with the names of the columns"},
    [FLUSH_INTERVAL] = {"sink.buffer-flush.interval", WR_CONNECTOR_DURATION, "1s", 1, 3600000, NULL, false,
                        "how often a plain sink writes what it has; only with --plain"},
};

static enum weir_code read_character(const struct wr_connector_value *value, const char *key, char *out,
                                     struct weir_error *error) {
  const char *text = value->text;
  *out = strcmp(text, "\\t") == 0 ? '\t' : text[0];
  if (*out == '\t' || (text[1] == 0 && text[0] > 0)) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "option \"%s\" is one ASCII character, or \\t, not \"%.64s\"", key, text);
}

/* Options of the format that was not chosen would change nothing. */
static enum weir_code check_format(const struct wr_connector_value *values, struct weir_error *error) {
  const char *other = values[FORMAT].number == WR_DIRECTORY_JSON ? "csv." : "json.";
  for (uint32_t i = 0; i < OPTION_COUNT; i++)
    if (values[i].is_set && strncmp(wr_directory_options[i].key, other, strlen(other)) == 0)
      return WR_FAIL(error, WEIR_INVALID, "option \"%s\" belongs to another format; this one is \"%s\"",
                     wr_directory_options[i].key, values[FORMAT].text);
  return WEIR_OK;
}

static enum weir_code read_values(const struct wr_connector_value *values, const struct weir_schema *schema,
                                  struct wr_directory_config *config, struct weir_error *error) {
  struct wr_csv_encoder encoder;
  WR_TRY(check_format(values, error));
  config->format = (enum wr_directory_format)values[FORMAT].number;
  config->file_bytes = (uint64_t)values[FILE_SIZE].number;
  config->rollover_ms = values[ROLLOVER_INTERVAL].number;
  config->flush_interval_ms = values[FLUSH_INTERVAL].number;
  config->has_flush_interval = values[FLUSH_INTERVAL].is_set;
  config->json.ignore_null_fields = values[IGNORE_NULL_FIELDS].number != 0;
  config->csv_header = values[HEADER].number != 0;
  config->csv.null_literal = values[NULL_LITERAL].text == NULL ? "" : values[NULL_LITERAL].text;
  WR_TRY(read_character(&values[FIELD_DELIMITER], "csv.field-delimiter", &config->csv.field_delimiter, error));
  WR_TRY(read_character(&values[QUOTE_CHARACTER], "csv.quote-character", &config->csv.quote_character, error));
  if (values[DISABLE_QUOTE].number != 0) config->csv.quote_character = 0;
  return wr_csv_encoder_init(&encoder, schema, &config->csv, error);
}

enum weir_code wr_directory_config_read(const char *path, const char *uid, const struct weir_schema *schema,
                                        const struct wr_connector_setting *settings, uint32_t setting_count,
                                        struct wr_directory_config *out_config, struct weir_error *error) {
  struct wr_connector_value values[OPTION_COUNT];
  char what[WR_UID_BYTES_MAX + 32];
  snprintf(what, sizeof what, "the folder sink \"%s\"", uid);
  *out_config = (struct wr_directory_config){.path = path, .uid = uid};
  WR_TRY(wr_connector_options_read(wr_directory_options, OPTION_COUNT, settings, setting_count, what, values, error));
  enum weir_code code = read_values(values, schema, out_config, error);
  return code == WEIR_OK ? code : wr_error_prefix(error, "%s", what);
}
