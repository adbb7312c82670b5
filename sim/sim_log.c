/* sim/sim_log.c: see sim_log.h. */
#include "sim/sim_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *need(void *block) {
  WR_ASSERT(block != NULL);
  return block;
}

__attribute__((format(printf, 2, 3))) static void put(struct sim_partition *partition, const char *format, ...) {
  char line[512 + SIM_LOG_APP_BYTES_MAX];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  WR_ASSERT(length >= 0 && (size_t)length < sizeof line);
  if (partition->length + (size_t)length > partition->capacity) {
    partition->capacity = (partition->capacity + (size_t)length) * 2;
    partition->text = need(realloc(partition->text, partition->capacity));
  }
  memcpy(partition->text + partition->length, line, (size_t)length);
  partition->length += (size_t)length;
}

static void put_record(struct sim_partition *partition, const char *app, struct wr_random *random) {
  const char *end = wr_random_one_in(random, 20) ? "\r\n" : "\n";
  switch (wr_random_below(random, 5)) {
  case 0:
    put(partition, "{\"app_id\":\"%s\"}%s", app, end);
    break;
  case 1:
    put(partition, "{\"ts\":%" PRIu64 ",\"app_id\":\"%s\",\"tags\":[1,2.5e3,null,{\"app_id\":7}]}%s",
        wr_random_next(random) >> 20, app, end);
    break;
  case 2: /* a name twice: the last wins */
    put(partition, "{\"app_id\":\"first\",\"user\":\"u\\u00e9\\n\",\"app_id\":\"%s\"}%s", app, end);
    break;
  case 3:
    put(partition, " { \"a\" : true , \"app_id\" : \"%s\" } %s", app, end);
    break;
  default:
    put(partition, "{\"url\":\"/p/%" PRIu64 "?q=\\\"x\\\"\",\"ms\":-12,\"app_id\":\"%s\",\"ok\":false}%s",
        wr_random_below(random, 1000), app, end);
  }
}

static void put_bad(struct sim_partition *partition, struct wr_random *random) {
  static const char *const lines[] = {"not json",     "{\"app_id\":\"x\"",     "{\"app_id\":17}",  "{\"other\":\"x\"}",
                                      "[\"app_id\"]", "{\"app_id\":\"x\"} {}", "{\"app_id\":null}"};
  put(partition, "%s\n", lines[wr_random_below(random, sizeof lines / sizeof lines[0])]);
}

static void add_line(struct sim_log *log, struct wr_random *random) {
  struct sim_partition *partition = &log->partitions[wr_random_below(random, log->options.partitions)];
  struct sim_line line = {.kind = SIM_LINE_RECORD, .begin = partition->length, .offset = SIM_LOG_NOT_PRODUCED};
  if (log->options.kafka == NULL && wr_random_one_in(random, 40))
    line.kind = SIM_LINE_BLANK;
  else if (log->options.bad_lines && wr_random_one_in(random, 25))
    line.kind = SIM_LINE_BAD;
  if (line.kind == SIM_LINE_BLANK) put(partition, "%s\n", wr_random_one_in(random, 2) ? "" : " \t");
  bool is_empty = log->options.kafka != NULL && wr_random_one_in(random, 3); /* a bad one */
  if (line.kind == SIM_LINE_BAD && is_empty) put(partition, "\n");
  if (line.kind == SIM_LINE_BAD && !is_empty) put_bad(partition, random);
  if (line.kind == SIM_LINE_BAD) log->bad++;
  if (line.kind == SIM_LINE_RECORD) {
    uint64_t a = wr_random_below(random, log->options.apps), b = wr_random_below(random, log->options.apps);
    line.app = (uint32_t)(a < b ? a : b); /* skewed to the first ones */
    put_record(partition, log->apps[line.app], random);
    log->app_counts[line.app]++;
    log->records++;
  }
  partition->lines[partition->line_count++] = line;
}

/* The end of the line in which byte `at` is. */
static size_t end_of_line(const struct sim_partition *partition, size_t at) {
  while (at > 0 && at < partition->length && partition->text[at - 1] != '\n')
    at++;
  return at;
}

static void plan_growth(struct sim_log *log, struct sim_partition *partition, struct wr_random *random) {
  uint32_t steps = log->options.all_at_once ? 1 : 1 + (uint32_t)wr_random_below(random, SIM_LOG_STEPS_MAX - 1);
  uint64_t first_ns = !log->options.all_at_once && wr_random_one_in(random, 4)
                          ? wr_random_below(random, log->options.duration_ns)
                          : 0; /* some partitions come late */
  for (uint32_t i = 0; i < steps; i++) {
    bool last = i + 1 == steps;
    partition->step_end[i] = last ? partition->length : wr_random_below(random, partition->length + 1);
    if (log->options.whole_lines) partition->step_end[i] = end_of_line(partition, partition->step_end[i]);
    partition->step_ns[i] = first_ns + (log->options.duration_ns - first_ns) / steps * i;
  }
  for (uint32_t i = 1; i < steps; i++) /* ascending */
    for (uint32_t k = i; k > 0 && partition->step_end[k - 1] > partition->step_end[k]; k--) {
      size_t swap = partition->step_end[k];
      partition->step_end[k] = partition->step_end[k - 1];
      partition->step_end[k - 1] = swap;
    }
  partition->step_count = steps;
}

static void name_app(struct sim_log *log, uint32_t a) {
  char *name = log->apps[a];
  int length = snprintf(name, sizeof log->apps[a], a % 3 == 0 ? "a%u" : "application-number-%u", a);
  WR_ASSERT(log->options.app_bytes <= SIM_LOG_APP_BYTES_MAX);
  for (uint32_t i = (uint32_t)length; i < log->options.app_bytes; i++)
    name[i] = (char)('a' + (a + i) % 26);
}

void sim_log_init(struct sim_log *log, const struct sim_log_options *options) {
  memset(log, 0, sizeof *log);
  log->options = *options;
  struct wr_random random = wr_random_of(options->seed);
  log->random = wr_random_of(~options->seed);
  for (uint32_t a = 0; a < options->apps; a++)
    name_app(log, a);
  for (uint32_t p = 0; p < options->partitions; p++) {
    struct sim_partition *partition = &log->partitions[p];
    snprintf(partition->name, sizeof partition->name, options->kafka == NULL ? "p%u.ndjson" : "%u", p);
    snprintf(partition->path, sizeof partition->path, "%s/p%u.ndjson", options->folder, p);
    partition->capacity = 4096;
    partition->text = need(malloc(partition->capacity));
    partition->lines = need(calloc(options->lines + 1, sizeof *partition->lines));
  }
  for (uint32_t i = 0; i < options->lines; i++)
    add_line(log, &random);
  for (uint32_t p = 0; p < options->partitions; p++)
    plan_growth(log, &log->partitions[p], &random);
}

void sim_log_deinit(struct sim_log *log) {
  for (uint32_t p = 0; p < log->options.partitions; p++) {
    free(log->partitions[p].text);
    free(log->partitions[p].lines);
  }
}

/* The next step of a partition: from where to where. */
static void write_step(struct sim_log *log, struct sim_world *world, uint32_t p, size_t from, size_t to) {
  struct sim_partition *partition = &log->partitions[p];
  if (log->options.kafka != NULL) {
    sim_topic_add_partitions(log, p);
    sim_topic_produce(log, p, to);
    return;
  }
  if (!sim_disk_exists(world, partition->path)) sim_disk_write(world, partition->path, "", 0);
  if (to > from) sim_disk_append(world, partition->path, partition->text + from, to - from);
}

void sim_log_grow(struct sim_log *log, struct sim_world *world, bool all) {
  uint64_t now_ns = sim_world_now_ns(world);
  if (log->options.kafka != NULL) sim_topic_add_partitions(log, 0); /* a topic has one */
  for (uint32_t p = 0; p < log->options.partitions; p++) {
    struct sim_partition *partition = &log->partitions[p];
    if (log->options.kafka != NULL) sim_topic_end_transactions(log, p);
    while (partition->steps_done < partition->step_count &&
           (all || partition->step_ns[partition->steps_done] <= now_ns)) {
      size_t from = partition->steps_done == 0 ? 0 : partition->step_end[partition->steps_done - 1];
      size_t to = partition->step_end[partition->steps_done++];
      write_step(log, world, p, from, to);
    }
  }
}

/* It does not count any more. */
static void forget(struct sim_log *log, struct sim_line *line) {
  log->bad -= line->kind == SIM_LINE_BAD;
  log->records -= line->kind == SIM_LINE_RECORD;
  if (line->kind == SIM_LINE_RECORD) log->app_counts[line->app]--;
  line->kind = SIM_LINE_BLANK;
}

void sim_log_end_at(struct sim_log *log, uint32_t partition, uint64_t end) {
  struct sim_partition *cut = &log->partitions[partition];
  while (cut->line_count > 0) {
    struct sim_line *line = &cut->lines[cut->line_count - 1];
    if ((log->options.kafka == NULL ? line->begin : (uint64_t)line->offset) < end) break;
    forget(log, line);
    cut->line_count--;
  }
}

void sim_log_begin_at(struct sim_log *log, uint32_t partition, int64_t begin) {
  struct sim_partition *cut = &log->partitions[partition];
  for (uint32_t i = 0; i < cut->line_count && cut->lines[i].offset < begin; i++)
    forget(log, &cut->lines[i]);
}

const struct sim_line *sim_log_line_at(const struct sim_log *log, uint32_t partition, int64_t position) {
  const struct sim_partition *in = &log->partitions[partition];
  if (log->options.kafka == NULL) return position >= 0 && position < in->line_count ? &in->lines[position] : NULL;
  uint32_t low = 0, high = in->line_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (in->lines[middle].offset < position)
      low = middle + 1;
    else
      high = middle;
  }
  return low < in->line_count && in->lines[low].offset == position ? &in->lines[low] : NULL;
}

uint64_t sim_log_next_ns(const struct sim_log *log) {
  uint64_t next_ns = UINT64_MAX;
  for (uint32_t p = 0; p < log->options.partitions; p++) {
    const struct sim_partition *partition = &log->partitions[p];
    if (partition->steps_done < partition->step_count && partition->step_ns[partition->steps_done] < next_ns)
      next_ns = partition->step_ns[partition->steps_done];
    if (log->options.kafka != NULL && sim_topic_next_ns(log, p) < next_ns) next_ns = sim_topic_next_ns(log, p);
  }
  return next_ns;
}
