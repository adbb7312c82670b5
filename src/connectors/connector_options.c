/* connectors/connector_options.c: see connector_options.h. Pure; any thread.
 *
 * A secret's other ways in, KEY-file and KEY-env, are options of the connector's table like any other; here it is only
 * seen to that no more than one of the three is given.
 */
#include "connectors/connector_options.h"

#include "base/option_values.h"
#include "base/text_distance.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

/* Length of the beginning that an open row ("properties.*") stands for; 0: it is a row for one key. */
static size_t open_length(const struct wr_connector_option *option) {
  size_t length = strlen(option->key);
  return length > 2 && strcmp(option->key + length - 2, ".*") == 0 ? length - 1 : 0;
}

uint32_t wr_connector_options_find(const struct wr_connector_option *table, uint32_t count, const char *key) {
  uint32_t i = 0, open = count;
  while (i < count && strcmp(table[i].key, key) != 0) {
    size_t length = open_length(&table[i]);
    if (length > 0 && strncmp(table[i].key, key, length) == 0 && key[length] != 0) open = i;
    i++;
  }
  return i < count ? i : open;
}

/* ---- messages ---- */

/* What an option takes, for a person: "a duration from 1 to 60000 ms". */
static void put_allowed(struct wr_text *text, const struct wr_connector_option *option) {
  static const char *const kinds[] = {[WR_CONNECTOR_TEXT] = "a text that is not empty",
                                      [WR_CONNECTOR_NUMBER] = "a whole number",
                                      [WR_CONNECTOR_DURATION] = "a whole number and a unit (ms, s, min, h or d)",
                                      [WR_CONNECTOR_BYTES] = "a size, as 4096, 64kb or 128mb",
                                      [WR_CONNECTOR_FLAG] = "true or false",
                                      [WR_CONNECTOR_CHOICE] = ""};
  static const char *const units[] = {[WR_CONNECTOR_DURATION] = " ms", [WR_CONNECTOR_BYTES] = " bytes"};
  wr_text_append(text, "%s", open_length(option) > 0 ? "a text" : kinds[option->type]);
  if (option->type == WR_CONNECTOR_CHOICE) {
    for (const char *at = option->choices; *at != 0; at++)
      if (*at == '|')
        wr_text_append(text, " or ");
      else
        wr_text_append(text, "%c", *at);
    return;
  }
  if (option->type == WR_CONNECTOR_TEXT || option->type == WR_CONNECTOR_FLAG) return;
  const char *unit = option->type == WR_CONNECTOR_NUMBER ? "" : units[option->type];
  if (option->maximum == INT64_MAX)
    wr_text_append(text, ", at least %" PRId64 "%s", option->minimum, unit);
  else
    wr_text_append(text, ", from %" PRId64 " to %" PRId64 "%s", option->minimum, option->maximum, unit);
}

static enum weir_code fail_unknown(const struct wr_connector_option *table, uint32_t count, const char *key,
                                   const char *what, struct weir_error *error) {
  uint32_t best = UINT32_MAX, nearest = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t distance = wr_text_distance(key, table[i].key);
    if (distance >= best || open_length(&table[i]) > 0) continue;
    best = distance;
    nearest = i;
  }
  if (count > 0 && wr_text_is_near(key, best))
    return WR_FAIL(error, WEIR_INVALID, "%s has no option \"%.64s\"; did you mean \"%s\"?", what, key,
                   table[nearest].key);
  char all[1024];
  struct wr_text text = {.buffer = all, .size = sizeof all};
  wr_text_append(&text, "%s", count == 0 ? "none" : "");
  for (uint32_t i = 0; i < count; i++)
    wr_text_append(&text, "%s%s", i == 0 ? "" : ", ", table[i].key);
  return WR_FAIL(error, WEIR_INVALID, "%s has no option \"%.64s\"; it has %s", what, key, all);
}

static enum weir_code fail_value(const struct wr_connector_option *option, const char *value, const char *what,
                                 struct weir_error *error) {
  char allowed[256];
  struct wr_text text = {.buffer = allowed, .size = sizeof allowed};
  put_allowed(&text, option);
  if (option->is_secret)
    return WR_FAIL(error, WEIR_INVALID, "%s: option \"%s\" is %s (its value is not shown)", what, option->key, allowed);
  return WR_FAIL(error, WEIR_INVALID, "%s: option \"%s\" is %s, not \"%.64s\"", what, option->key, allowed, value);
}

/* ---- values ---- */

static bool is_within(const struct wr_connector_option *option, int64_t number) {
  return number >= option->minimum && number <= option->maximum;
}

static bool parse(const struct wr_connector_option *option, const char *text, int64_t *out_number) {
  int64_t number = 0;
  bool good = false;
  switch (option->type) {
  case WR_CONNECTOR_TEXT:
    good = text[0] != 0;
    break;
  case WR_CONNECTOR_NUMBER:
    good = wr_parse_number(text, option->minimum, option->maximum, &number);
    break;
  case WR_CONNECTOR_DURATION:
    good = wr_parse_duration(text, &number) && is_within(option, number);
    break;
  case WR_CONNECTOR_BYTES:
    good = wr_parse_bytes(text, &number) && is_within(option, number);
    break;
  case WR_CONNECTOR_FLAG:
    number = wr_find_choice("false|true", text);
    good = number >= 0;
    break;
  case WR_CONNECTOR_CHOICE:
    number = wr_find_choice(option->choices, text);
    good = number >= 0;
    break;
  }
  if (good) *out_number = number;
  return good;
}

/* Is `key` another way to give the secret `secret`? */
static bool is_way_in(const char *key, const char *secret) {
  size_t length = strlen(secret);
  return strncmp(key, secret, length) == 0 &&
         (key[length] == 0 || strcmp(key + length, "-file") == 0 || strcmp(key + length, "-env") == 0);
}

static enum weir_code check_secrets(const struct wr_connector_option *table, uint32_t count, const char *what,
                                    const struct wr_connector_value *values, struct weir_error *error) {
  for (uint32_t i = 0; i < count; i++) {
    const char *first = NULL;
    for (uint32_t j = 0; table[i].is_secret && j < count; j++) {
      if (!values[j].is_set || !is_way_in(table[j].key, table[i].key)) continue;
      if (first != NULL)
        return WR_FAIL(error, WEIR_INVALID, "%s: \"%s\" and \"%s\" are given both; give one of them", what, first,
                       table[j].key);
      first = table[j].key;
    }
  }
  return WEIR_OK;
}

enum weir_code wr_connector_options_read(const struct wr_connector_option *table, uint32_t count,
                                         const struct wr_connector_setting *settings, uint32_t setting_count,
                                         const char *what, struct wr_connector_value *out_values,
                                         struct weir_error *error) {
  for (uint32_t i = 0; i < count; i++) {
    out_values[i] = (struct wr_connector_value){.text = table[i].default_text};
    WR_ASSERT(table[i].default_text == NULL || parse(&table[i], table[i].default_text, &out_values[i].number));
  }
  for (uint32_t s = 0; s < setting_count; s++) {
    uint32_t i = wr_connector_options_find(table, count, settings[s].key);
    if (i == count) return fail_unknown(table, count, settings[s].key, what, error);
    for (uint32_t before = 0; before < s; before++)
      if (strcmp(settings[before].key, settings[s].key) == 0)
        return WR_FAIL(error, WEIR_INVALID, "%s: option \"%.64s\" is given twice", what, settings[s].key);
    struct wr_connector_value *value = &out_values[i];
    value->is_set = true;
    if (open_length(&table[i]) > 0) continue;
    if (!parse(&table[i], settings[s].text, &value->number))
      return fail_value(&table[i], settings[s].text, what, error);
    value->text = settings[s].text;
  }
  return check_secrets(table, count, what, out_values, error);
}

/* ---- help ---- */

static void put_markdown(struct wr_text *text, const struct wr_connector_option *option) {
  wr_text_append(text, "| `%s` | ", option->key);
  put_allowed(text, option);
  if (option->default_text == NULL)
    wr_text_append(text, " | none");
  else
    wr_text_append(text, " | `%s`", option->default_text);
  wr_text_append(text, " | %s |\n", option->help);
}

static void put_line(struct wr_text *text, const struct wr_connector_option *option) {
  enum { KEY_WIDTH = 38 };
  if (strlen(option->key) <= KEY_WIDTH)
    wr_text_append(text, "  %-*s  %s", KEY_WIDTH, option->key, option->help);
  else
    wr_text_append(text, "  %s\n  %-*s  %s", option->key, KEY_WIDTH, "", option->help);
  if (option->type == WR_CONNECTOR_CHOICE) {
    wr_text_append(text, ": ");
    put_allowed(text, option);
  }
  if (option->default_text != NULL) wr_text_append(text, " (default: %s)", option->default_text);
  wr_text_append(text, "\n");
}

size_t wr_connector_options_help(const struct wr_connector_option *table, uint32_t count, bool markdown, char *buffer,
                                 size_t size) {
  struct wr_text text = {.buffer = buffer, .size = size};
  if (size > 0) buffer[0] = 0;
  for (uint32_t i = 0; i < count; i++)
    if (markdown)
      put_markdown(&text, &table[i]);
    else
      put_line(&text, &table[i]);
  return text.length;
}
