/* api/graph_settings.c: options on their way to the table of a connector: what fields of structs say, settings, and
 * KEY=VALUE of the command line. One thread. */
#include "api/graph_int.h"
#include "connectors/deadletter/deadletter.h"
#include "connectors/secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- a list of them ---- */

bool wr_settings_put(struct wr_settings *settings, const char *key, const char *text) {
  if (text == NULL) return true;
  WR_ASSERT(settings->count < settings->room);
  struct wr_connector_setting *item = &settings->items[settings->count++];
  *item = (struct wr_connector_setting){.key = wr_builder_copy(settings->builder, key),
                                        .text = wr_builder_copy(settings->builder, text)};
  return item->key != NULL && item->text != NULL;
}

bool wr_settings_put_number(struct wr_settings *settings, const char *key, int64_t number, const char *unit) {
  char text[32];
  snprintf(text, sizeof text, "%" PRId64 "%s", number, unit);
  return wr_settings_put(settings, key, number == 0 ? NULL : text);
}

bool wr_settings_init(struct wr_settings *settings, struct weir_job_builder *builder, const char *uid,
                      const struct weir_setting *given, uint32_t count, uint32_t more) {
  *settings = (struct wr_settings){.builder = builder, .uid = uid, .room = count + more};
  settings->items = wr_builder_alloc(builder, (settings->room + 1) * sizeof *settings->items);
  for (uint32_t i = 0; settings->items != NULL && i < count; i++) {
    if (given[i].key == NULL || given[i].value == NULL) {
      wr_builder_invalid(builder, uid, "a setting has a key and a value");
      return false;
    }
    if (!wr_settings_put(settings, given[i].key, given[i].value)) return false;
  }
  return settings->items != NULL;
}

bool wr_settings_read(const struct wr_settings *settings, const struct wr_connector_option *table, uint32_t count,
                      const char *kind, struct wr_connector_value *out_values) {
  char what[WR_UID_BYTES_MAX + 64];
  struct weir_error error;
  snprintf(what, sizeof what, "%s \"%s\"", kind, settings->uid);
  if (wr_connector_options_read(table, count, settings->items, settings->count, what, out_values, &error) == WEIR_OK)
    return true;
  wr_builder_fail(settings->builder, &error);
  return false;
}

bool wr_settings_read_source(const struct wr_settings *settings, const struct wr_connector_option *table,
                             uint32_t count, const char *kind, struct wr_connector_value *out_values,
                             struct wr_connector_value *out_dead_letter) {
  uint32_t all = count + WR_DEAD_LETTER_OPTION_COUNT;
  struct wr_connector_option *both = wr_builder_alloc(settings->builder, all * sizeof *both);
  struct wr_connector_value *values = wr_builder_alloc(settings->builder, all * sizeof *values);
  if (both == NULL || values == NULL) return false;
  memcpy(both, table, count * sizeof *both);
  memcpy(both + count, wr_dead_letter_options, sizeof wr_dead_letter_options);
  if (!wr_settings_read(settings, both, all, kind, values)) return false;
  memcpy(out_values, values, count * sizeof *values);
  memcpy(out_dead_letter, values + count, WR_DEAD_LETTER_OPTION_COUNT * sizeof *values);
  return true;
}

/* ---- the command line ---- */

bool wr_settings_check_secret(struct weir_job_builder *builder, const char *option, const char *key) {
  size_t length = strlen(key);
  if (!wr_secret_is_key(key)) return true;
  if (length > 3 && strcmp(key + length - 3, "pem") == 0)
    wr_builder_invalid(builder, NULL,
                       "--%s %.64s=...: every user of this machine can read what is on the command line; give the file "
                       "that holds the key by %.*slocation",
                       option, key, (int)length - 3, key);
  else
    wr_builder_invalid(builder, NULL,
                       "--%s %.64s=...: every user of this machine can read what is on the command line; give the file "
                       "or the environment variable that holds it by %.64s-file or %.64s-env",
                       option, key, key, key);
  return false;
}

static bool read_setting(struct weir_job_builder *builder, const char *option, const char *text,
                         struct weir_setting *out_setting) {
  char *key = wr_builder_copy(builder, text);
  if (key == NULL) return false;
  char *equals = strchr(key, '=');
  if (equals == NULL || equals == key) {
    wr_builder_invalid(builder, NULL, "--%s is KEY=VALUE, not \"%.*s\"", option, equals == NULL ? 64 : 0, text);
    return false;
  }
  *equals = 0;
  *out_setting = (struct weir_setting){.key = key, .value = equals + 1};
  return wr_settings_check_secret(builder, option, key);
}

struct weir_setting *wr_settings_of_options(struct weir_job_builder *builder, const struct weir_options *options,
                                            const char *option, uint32_t more, uint32_t *out_count) {
  uint32_t count = weir_options_count(options, option);
  struct weir_setting *settings = wr_builder_alloc(builder, (count + more + 1) * sizeof *settings);
  *out_count = count;
  if (settings == NULL) return NULL;
  for (uint32_t i = 0; i < count; i++)
    if (!read_setting(builder, option, weir_options_item(options, option, i), &settings[i])) return NULL;
  return settings;
}
