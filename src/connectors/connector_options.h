/* connectors/connector_options.h: the options of a connector: one table each, from which the checks, --help and the
 * reference page come. Pure.
 *
 * A table is an array of struct wr_connector_option, indexed by the connector's own enum; names are Flink's where Flink
 * has the option. Values come as key and text (from the command line, the C API, later SQL), and go into an array of
 * struct wr_connector_value of the same index. A secret is never in a message, a log line or a help text; its value may
 * come from a file (KEY-file) or the environment (KEY-env names the variable).
 *
 * A row whose key ends with ".*" takes every key that begins so and has no row of its own, with any text; it has no
 * default, its value says only whether there was one, and the connector looks for them among the settings itself.
 */
#ifndef WR_CONNECTORS_CONNECTOR_OPTIONS_H
#define WR_CONNECTORS_CONNECTOR_OPTIONS_H

#include "base/error.h"
#include "base/memory.h"

enum wr_connector_option_type {
  WR_CONNECTOR_TEXT,
  WR_CONNECTOR_NUMBER,   /* whole, minimum to maximum */
  WR_CONNECTOR_DURATION, /* "200ms", "5min"; in milliseconds, minimum to maximum */
  WR_CONNECTOR_BYTES,    /* "64mb", "1 gb", "4096"; in bytes, minimum to maximum */
  WR_CONNECTOR_FLAG,     /* "true" or "false" */
  WR_CONNECTOR_CHOICE    /* one of `choices` */
};

struct wr_connector_option {
  const char *key; /* "sink.rolling-policy.file-size", "properties.*" */
  enum wr_connector_option_type type;
  const char *default_text; /* NULL: none */
  int64_t minimum, maximum;
  const char *choices; /* CHOICE: "json|csv" */
  bool is_secret;
  const char *help; /* a sentence without a full stop, units included */
};

struct wr_connector_value {
  const char *text; /* as given, or the default; NULL: neither */
  int64_t number;   /* of a number, duration, bytes; a flag: 0 or 1; a choice: its index */
  bool is_set;      /* given, not the default */
};

struct wr_connector_setting {
  const char *key, *text;
};

/* Reads `settings` by the table into `out_values` (`count` of them, as the table); texts are borrowed from settings.
 * `what` names the connector in messages ("the files sink \"pv\""). INVALID: unknown key (the nearest is named), given
 * twice, bad value (with what is allowed). */
enum weir_code wr_connector_options_read(const struct wr_connector_option *table, uint32_t count,
                                         const struct wr_connector_setting *settings, uint32_t setting_count,
                                         const char *what, struct wr_connector_value *out_values,
                                         struct weir_error *error);
/* The row that takes this key; `count`: none does. */
uint32_t wr_connector_options_find(const struct wr_connector_option *table, uint32_t count, const char *key);
/* The table as lines for --help ("  key  help (default: ...)"), or, with markdown, as rows of a reference page. Written
 * into `buffer` as snprintf does; returns the length of the whole text. */
size_t wr_connector_options_help(const struct wr_connector_option *table, uint32_t count, bool markdown, char *buffer,
                                 size_t size);

#endif
