/* api/options.c: the options of a job (weir/options.h): one table of what there is, and the values that were set. All
 * texts are copied into the options' own heap. One thread. */
#include "weir/options.h"

#include "api/api_int.h"
#include "base/limits.h"
#include "base/option_values.h"
#include "base/text.h"
#include "connectors/deadletter/deadletter.h"
#include "connectors/directory/directory.h"
#include "connectors/files/files.h"
#include "connectors/generator/generator.h"
#include "connectors/kafka/kafka_options.h"
#include "connectors/sql/sql_server.h"
#include "connectors/sqlite/sqlite_target.h"
#include "base/text_distance.h"

#include <stdio.h>
#include <string.h>

static const struct weir_option common_options[] = {
    {"source", WEIR_OPTION_TEXT, "SOURCE", NULL, NULL,
     "the input: a folder (each *.ndjson file in it is a partition), or kafka://HOST:PORT[,HOST:PORT...]/TOPIC", 0},
    {"source-option", WEIR_OPTION_LIST, "KEY=VALUE", NULL, NULL,
     "an option of the source, as scan.watermark.idle-timeout=10s; may be given several times (docs/connectors.md)", 0},
    {"kafka", WEIR_OPTION_LIST, "KEY=VALUE", NULL, NULL,
     "a setting of librdkafka for Kafka topics, as security.protocol=ssl; may be given several times", 0},
    {"sink", WEIR_OPTION_TEXT, "SINK", NULL, NULL,
     "the output: sqlite:FILE, postgresql:// or mysql://USER@HOST:PORT/DB, kafka://HOST:PORT[,HOST:PORT...]/TOPIC, "
     "dir:PATH, print or blackhole",
     0},
    {"sink-option", WEIR_OPTION_LIST, "KEY=VALUE", NULL, NULL,
     "an option of the sink, as format=csv; may be given several times (docs/connectors.md)", 0},
    {"plain", WEIR_OPTION_FLAG, NULL, NULL, NULL,
     "the sink (a database server, a topic or a folder) writes by the clock, not with the checkpoints: rows can come "
     "twice after a restart",
     0},
    {"mode", WEIR_OPTION_CHOICE, NULL, "exactly-once|at-least-once", "exactly-once", "whether checkpoints align", 0},
    {"parallelism", WEIR_OPTION_NUMBER, "N", NULL, NULL, "subtasks of each operator (default: the number of cores)",
     WR_PARALLELISM_MAX},
    {"state", WEIR_OPTION_TEXT, "DIR", NULL, NULL, "the job's folder (default: weir-state/ and the job's name)", 0},
    {"checkpoint-interval", WEIR_OPTION_DURATION, "TIME", NULL, "1s",
     "time between two checkpoints, as 200ms, 1s, 5min", 0},
    {"bounded", WEIR_OPTION_FLAG, NULL, NULL, NULL, "read what is there now, then end", 0},
    {"on-error", WEIR_OPTION_CHOICE, NULL, "fail|skip", "fail", "what becomes of a bad record", 0},
    {"dead-letter", WEIR_OPTION_TEXT, "FILE", NULL, NULL,
     "where skipped records go (default: dead-letter.ndjson in the job's folder)", 0},
    {"fresh", WEIR_OPTION_FLAG, NULL, NULL, NULL, "start over; an older folder is moved aside", 0},
    {"accept-duplicates", WEIR_OPTION_FLAG, NULL, NULL, NULL, "where in doubt whether rows are in the sink: write them",
     0},
    {"accept-loss", WEIR_OPTION_FLAG, NULL, NULL, NULL, "where in doubt whether rows are in the sink: leave them out",
     0},
    {"metrics-file", WEIR_OPTION_TEXT, "FILE", NULL, NULL, "the job's metrics in JSON, written anew every 50 ms", 0},
    {"allow-non-restored-state", WEIR_OPTION_FLAG, NULL, NULL, NULL, "drop stored state that no operator takes", 0},
};
enum { COMMON_COUNT = sizeof common_options / sizeof common_options[0], OPTIONS_MAX = 64 };

struct entry {
  const struct weir_option *option;
  char *text;     /* as set; NULL: not set */
  int64_t number; /* NUMBER, DURATION: of the text or the default */
  char **items;   /* LIST */
  uint32_t item_count;
};

struct weir_options {
  struct wr_heap_memory heap;
  uint32_t count;
  struct entry entries[OPTIONS_MAX];
};

/* ---- finding ---- */

static struct entry *find(const struct weir_options *options, const char *name) {
  for (uint32_t i = 0; i < options->count; i++)
    if (strcmp(options->entries[i].option->name, name) == 0) return (struct entry *)&options->entries[i];
  return NULL;
}

static enum weir_code fail_unknown(const struct weir_options *options, const char *name, struct weir_error *error) {
  uint32_t best = UINT32_MAX;
  const char *nearest = "";
  for (uint32_t i = 0; i < options->count; i++) {
    uint32_t distance = wr_text_distance(name, options->entries[i].option->name);
    if (distance >= best) continue;
    best = distance;
    nearest = options->entries[i].option->name;
  }
  if (wr_text_is_near(name, best))
    return WR_FAIL(error, WEIR_INVALID, "there is no option --%.64s; did you mean --%s? (--help lists all)", name,
                   nearest);
  return WR_FAIL(error, WEIR_INVALID, "there is no option --%.64s; --help lists all", name);
}

/* ---- values ---- */

static enum weir_code check_value(const struct weir_option *option, const char *value, int64_t *out_number,
                                  struct weir_error *error) {
  switch (option->kind) {
  case WEIR_OPTION_FLAG:
    if (wr_find_choice("true|false", value) >= 0) return WEIR_OK;
    return WR_FAIL(error, WEIR_INVALID, "--%s is given or not; it takes no value (\"%.64s\")", option->name, value);
  case WEIR_OPTION_TEXT:
  case WEIR_OPTION_LIST:
    if (value[0] != 0) return WEIR_OK;
    return WR_FAIL(error, WEIR_INVALID, "--%s needs a value: %s", option->name, option->help);
  case WEIR_OPTION_NUMBER:
    if (wr_parse_number(value, 1, option->maximum, out_number)) return WEIR_OK;
    return WR_FAIL(error, WEIR_INVALID, "--%s is a whole number from 1 to %lld, not \"%.64s\"", option->name,
                   (long long)option->maximum, value);
  case WEIR_OPTION_DURATION:
    if (wr_parse_duration(value, out_number) && *out_number > 0) return WEIR_OK;
    return WR_FAIL(error, WEIR_INVALID,
                   "--%s is a whole number above 0 and a unit (ms, s, min, h or d), as 200ms or 5min, not \"%.64s\"",
                   option->name, value);
  case WEIR_OPTION_CHOICE:
    if (wr_find_choice(option->choices, value) >= 0) return WEIR_OK;
    return WR_FAIL(error, WEIR_INVALID, "--%s is %s, not \"%.64s\"", option->name, option->choices, value);
  }
  return WR_FAIL(error, WEIR_INVALID, "option --%s is of a kind that is not known", option->name);
}

/* Takes `text` over as one more of a list's. False: no memory. */
static bool add_item(struct weir_options *options, struct entry *entry, char *text) {
  struct wr_memory *memory = &options->heap.memory;
  char **items = wr_resize(memory, entry->items, (entry->item_count + 1) * sizeof *items, WR_MEMORY_ENGINE);
  if (items == NULL) return false;
  entry->items = items;
  items[entry->item_count++] = text;
  return true;
}

enum weir_code weir_options_set(struct weir_options *options, const char *name, const char *value,
                                struct weir_error *error) {
  struct entry *entry = find(options, name);
  if (entry == NULL) return fail_unknown(options, name, error);
  int64_t number = 0;
  WR_TRY(check_value(entry->option, value, &number, error));
  char *text = wr_copy_string(&options->heap.memory, value, WR_MEMORY_ENGINE);
  if (text == NULL || (entry->option->kind == WEIR_OPTION_LIST && !add_item(options, entry, text))) {
    wr_free(&options->heap.memory, text);
    return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for option --%s", name);
  }
  if (entry->option->kind == WEIR_OPTION_LIST) return WEIR_OK;
  wr_free(&options->heap.memory, entry->text);
  entry->text = text;
  entry->number = number;
  return WEIR_OK;
}

enum weir_code weir_options_add(struct weir_options *options, const struct weir_option *option,
                                struct weir_error *error) {
  if (option->name == NULL || option->name[0] == 0 || option->help == NULL ||
      (option->kind == WEIR_OPTION_CHOICE && option->choices == NULL))
    return WR_FAIL(error, WEIR_INVALID, "an option has a name and a help text, and choices where it is a choice");
  if (find(options, option->name) != NULL || strcmp(option->name, "help") == 0)
    return WR_FAIL(error, WEIR_INVALID, "there is an option --%s already", option->name);
  if (options->count == OPTIONS_MAX) return WR_FAIL(error, WEIR_LIMIT, "a program has at most %d options", OPTIONS_MAX);
  struct entry entry = {.option = option};
  if (option->default_text != NULL) WR_TRY(check_value(option, option->default_text, &entry.number, error));
  options->entries[options->count++] = entry;
  return WEIR_OK;
}

enum weir_code weir_options_new(struct weir_options **out_options, struct weir_error *error) {
  struct weir_options *options = wr_api_block_new(sizeof *options);
  if (options == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for the options");
  wr_heap_memory_init(&options->heap, 0);
  for (uint32_t i = 0; i < COMMON_COUNT; i++) {
    enum weir_code code = weir_options_add(options, &common_options[i], error);
    WR_ASSERT(code == WEIR_OK);
  }
  *out_options = options;
  return WEIR_OK;
}

void weir_options_free(struct weir_options **options) {
  if (options == NULL || *options == NULL) return;
  for (uint32_t i = 0; i < (*options)->count; i++) {
    struct entry *entry = &(*options)->entries[i];
    for (uint32_t k = 0; k < entry->item_count; k++)
      wr_free(&(*options)->heap.memory, entry->items[k]);
    wr_free(&(*options)->heap.memory, entry->items);
    wr_free(&(*options)->heap.memory, entry->text);
  }
  wr_api_block_free(*options);
  *options = NULL;
}

/* ---- the command line ---- */

enum { NAME_BYTES = 128 };

/* Takes one option from argv[*at]; *at is moved to its last word. */
static enum weir_code parse_one(struct weir_options *options, int argc, char *const *argv, int *at,
                                struct weir_error *error) {
  const char *word = argv[*at] + 2, *equals = strchr(word, '=');
  size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word);
  char name[NAME_BYTES];
  if (length >= sizeof name) length = sizeof name - 1;
  memcpy(name, word, length);
  name[length] = 0;
  const struct entry *entry = find(options, name);
  if (entry == NULL) return fail_unknown(options, name, error);
  if (equals != NULL) return weir_options_set(options, name, equals + 1, error);
  if (entry->option->kind == WEIR_OPTION_FLAG) return weir_options_set(options, name, "true", error);
  if (*at + 1 == argc || strncmp(argv[*at + 1], "--", 2) == 0)
    return WR_FAIL(error, WEIR_INVALID, "--%s needs a value: %s", name, entry->option->help);
  *at += 1;
  return weir_options_set(options, name, argv[*at], error);
}

enum weir_code weir_options_parse(struct weir_options *options, int argc, char *const *argv, bool *out_help,
                                  struct weir_error *error) {
  *out_help = false;
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      *out_help = true;
      return WEIR_OK;
    }
  for (int i = 1; i < argc; i++) {
    if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == 0)
      return WR_FAIL(error, WEIR_INVALID, "\"%.64s\" is no option; options begin with --, and --help lists all",
                     argv[i]);
    WR_TRY(parse_one(options, argc, argv, &i, error));
  }
  return WEIR_OK;
}

const char *weir_options_text(const struct weir_options *options, const char *name) {
  const struct entry *entry = find(options, name);
  WR_ASSERT(entry != NULL && entry->option->kind != WEIR_OPTION_LIST);
  return entry->text != NULL ? entry->text : entry->option->default_text;
}

uint32_t weir_options_count(const struct weir_options *options, const char *name) {
  const struct entry *entry = find(options, name);
  WR_ASSERT(entry != NULL && entry->option->kind == WEIR_OPTION_LIST);
  return entry->item_count;
}

const char *weir_options_item(const struct weir_options *options, const char *name, uint32_t index) {
  WR_ASSERT(index < weir_options_count(options, name));
  return find(options, name)->items[index];
}

bool weir_options_flag(const struct weir_options *options, const char *name) {
  const char *text = weir_options_text(options, name);
  return text != NULL && strcmp(text, "true") == 0;
}

int64_t weir_options_number(const struct weir_options *options, const char *name) {
  const struct entry *entry = find(options, name);
  WR_ASSERT(entry != NULL);
  return entry->number;
}

/* ---- help ---- */

static void append_option(struct wr_text *text, const struct weir_option *option) {
  char left[NAME_BYTES];
  const char *value = option->kind == WEIR_OPTION_CHOICE ? option->choices : option->value_name;
  snprintf(left, sizeof left, "--%s%s%s", option->name, value == NULL ? "" : " ", value == NULL ? "" : value);
  wr_text_append(text, strlen(left) <= 32 ? "  %-32s  %s" : "  %s\n                                    %s", left,
                 option->help);
  if (option->default_text != NULL) wr_text_append(text, " (default: %s)", option->default_text);
  wr_text_append(text, "\n");
}

const struct wr_connector_table wr_connector_tables[WR_CONNECTOR_TABLE_COUNT] = {
    {"source", "a folder", wr_files_options, WR_FILES_OPTION_COUNT},
    {"source", "kafka://HOST:PORT/TOPIC", wr_kafka_options, WR_KAFKA_OPTION_COUNT},
    {"source", "a folder or a topic, for bad records", wr_dead_letter_options, WR_DEAD_LETTER_OPTION_COUNT},
    {NULL, "weir_generator_source", wr_generator_options, WR_GENERATOR_OPTION_COUNT},
    {"sink", "sqlite:FILE", wr_sqlite_options, WR_SQLITE_OPTION_COUNT},
    {"sink", "dir:PATH", wr_directory_options, WR_DIRECTORY_OPTION_COUNT},
    {"sink", "kafka://HOST:PORT/TOPIC", wr_kafka_sink_options, WR_KAFKA_SINK_OPTION_COUNT},
    {"sink", "postgresql:// or mysql://USER@HOST:PORT/DATABASE", wr_sql_options, WR_SQL_OPTION_COUNT}};

size_t weir_options_help(const struct weir_options *options, const char *program, const char *summary, char *buffer,
                         size_t size) {
  struct wr_text text = {.buffer = buffer, .size = size};
  wr_text_append(&text, "%s %s\n\nusage: %s --source SOURCE --sink SINK [OPTION]...\n\n", program, summary, program);
  for (uint32_t i = COMMON_COUNT; i < options->count; i++)
    append_option(&text, options->entries[i].option);
  for (uint32_t i = 0; i < COMMON_COUNT; i++)
    append_option(&text, options->entries[i].option);
  wr_text_append(&text, "  %-32s  this text\n", "--help");
  for (uint32_t i = 0; i < WR_CONNECTOR_TABLE_COUNT; i++) {
    const struct wr_connector_table *table = &wr_connector_tables[i];
    if (table->by == NULL) continue;
    wr_text_append(&text, "\nby --%s-option KEY=VALUE, with --%s %s:\n", table->by, table->by, table->connector);
    bool has_room = text.length < size;
    text.length += wr_connector_options_help(table->options, table->option_count, false,
                                             has_room ? buffer + text.length : NULL, has_room ? size - text.length : 0);
  }
  return text.length;
}
