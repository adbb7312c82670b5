/* sim/sim_plain.c: see sim_plain.h. */
#include "sim/sim_plain.h"

#include "sim/sim_model.h"
#include "sim/sim_run_int.h"
#include "weir/batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct plain_target {
  struct wr_plain_target base;
  struct sim_plain *plain;
  const struct wr_target_context *context;
};

static void begin_start(struct sim_plain *plain, uint64_t start) {
  if (plain->start == start) return;
  plain->start = start;
  for (uint32_t p = 0; p < SIM_LOG_PARTITIONS_MAX; p++) {
    plain->first[p] = plain->last[p] = -1;
    plain->first_is_judged[p] = false;
  }
}

static uint32_t partition_of(struct sim_run *run, const char *name, size_t length) {
  uint32_t p = 0;
  while (p < run->log.options.partitions &&
         (strlen(run->log.partitions[p].name) != length || memcmp(run->log.partitions[p].name, name, length) != 0))
    p++;
  if (p == run->log.options.partitions) sim_violation(run, "a row of partition %.*s", (int)length, name);
  return p < run->log.options.partitions ? p : 0;
}

static void add_row(struct sim_plain *plain, const struct weir_batch *batch, uint32_t row,
                    int64_t newest[SIM_LOG_PARTITIONS_MAX]) {
  size_t length = 0;
  const char *name = weir_batch_bytes(batch, 0, row, &length);
  uint32_t p = partition_of(plain->run, name, length);
  int64_t position = weir_batch_bigint(batch, 1, row);
  if (position <= newest[p])
    sim_violation(plain->run, "%.*s %" PRId64 " is written after %" PRId64 " within a start", (int)length, name,
                  position, newest[p]);
  newest[p] = position;
  if (plain->first[p] < 0) plain->first[p] = position;
  if (plain->count == plain->capacity) {
    plain->capacity = plain->capacity == 0 ? 256 : plain->capacity * 2;
    plain->rows = sim_host_resize(plain->rows, plain->capacity * sizeof *plain->rows);
  }
  plain->rows[plain->count++] = (struct sim_plain_row){.partition = p, .position = position};
}

static enum weir_code connect(struct wr_plain_target *target, struct weir_error *error) {
  (void)target, (void)error;
  return WEIR_OK;
}

static enum weir_code write_rows(struct wr_plain_target *target, struct wr_batch *const *batches, uint32_t count,
                                 struct weir_error *error) {
  struct plain_target *self = (struct plain_target *)target;
  struct sim_plain *plain = self->plain;
  struct sim_run *run = plain->run;
  int64_t newest[SIM_LOG_PARTITIONS_MAX];
  begin_start(plain, self->context->store->start_number);
  memcpy(newest, plain->last, sizeof newest);
  bool fails = plain->fails_one_in != 0 && !run->last_life && one_in(run, plain->fails_one_in);
  uint64_t rows_left = fails ? below(run, 20) : UINT64_MAX;
  for (uint32_t b = 0; b < count; b++) {
    const struct weir_batch *batch = (const struct weir_batch *)batches[b];
    for (uint32_t row = 0; row < weir_batch_row_count(batch) && rows_left > 0; row++, rows_left--)
      add_row(plain, batch, row, newest);
  }
  if (fails) {
    run->report->events[SIM_EVENT_PLAIN_FAILED]++;
    return WR_FAIL(error, WEIR_IO, "the target does not answer");
  }
  memcpy(plain->last, newest, sizeof newest);
  return WEIR_OK;
}

static void close_target(struct wr_plain_target *target) {
  (void)target;
}

static void free_target(struct wr_plain_target *target) {
  wr_free(((struct plain_target *)target)->context->memory, target);
}

static const struct wr_plain_target_vtable vtable = {
    .connect = connect, .write = write_rows, .close = close_target, .free = free_target};

enum weir_code sim_plain_new_target(void *config, const struct wr_target_context *context,
                                    struct wr_plain_target **out_target, struct weir_error *error) {
  struct plain_target *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SINK);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a target");
  *self = (struct plain_target){.base = {&vtable}, .plain = config, .context = context};
  *out_target = &self->base;
  return WEIR_OK;
}

/* ---- the oracle ---- */

/* In a start rows ascend, so the first one tells of all. */
static void judge_first(struct sim_run *run, uint32_t p) {
  struct sim_plain *plain = &run->plain;
  if (plain->first[p] < 0 || plain->first_is_judged[p]) return;
  plain->first_is_judged[p] = true;
  const struct sim_line *line = sim_log_line_at(&run->log, p, plain->first[p]);
  if (line == NULL)
    sim_violation(run, "%s %" PRId64 " is not of the log", run->log.partitions[p].name, plain->first[p]);
  else if (plain->restored[p].is_known && (int64_t)line->begin < plain->restored[p].position)
    sim_violation(run, "%s %" PRId64 " (byte %zu) comes again, and the restored checkpoint is at %" PRId64,
                  run->log.partitions[p].name, plain->first[p], line->begin, plain->restored[p].position);
}

void sim_plain_step(struct sim_run *run) {
  struct sim_plain *plain = &run->plain;
  struct wr_job_status status;
  if (run->kind != SIM_JOB_PLAIN) return;
  wr_job_read_status(run->job, &status);
  if (status.phase == WR_JOB_RUN && status.start_number != plain->restored_start) {
    memset(plain->restored, 0, sizeof plain->restored);
    uint64_t r = status.restored_checkpoint;
    if (r != 0 && sim_checkpoint_read(run, r + 1, plain->restored) != r)
      memset(plain->restored, 0, sizeof plain->restored);
    plain->restored_start = status.start_number;
  }
  for (uint32_t p = 0; plain->start != 0 && plain->restored_start == plain->start && p < run->log.options.partitions;
       p++)
    judge_first(run, p);
}

void sim_plain_forget(struct sim_run *run) {
  free(run->plain.rows);
  run->plain.rows = NULL;
  run->plain.count = run->plain.capacity = 0;
  run->plain.start = run->plain.restored_start = 0; /* starts are counted anew */
}

void sim_plain_judge(struct sim_run *run) {
  const struct sim_plain *plain = &run->plain;
  uint8_t *seen[SIM_LOG_PARTITIONS_MAX];
  for (uint32_t p = 0; p < run->log.options.partitions; p++) {
    seen[p] = calloc(run->log.partitions[p].line_count + 1, 1);
    WR_ASSERT(seen[p] != NULL);
  }
  for (size_t i = 0; i < plain->count; i++) {
    uint32_t p = plain->rows[i].partition;
    const struct sim_line *line = sim_log_line_at(&run->log, p, plain->rows[i].position);
    if (line == NULL || line->kind != SIM_LINE_RECORD) {
      sim_violation(run, "a row (%s, %" PRId64 ") is not of the log", run->log.partitions[p].name,
                    plain->rows[i].position);
      continue;
    }
    uint8_t *times = &seen[p][line - run->log.partitions[p].lines];
    if (*times == 1) run->report->events[SIM_EVENT_PLAIN_DOUBLED]++;
    if (*times < UINT8_MAX) ++*times;
  }
  for (uint32_t p = 0; p < run->log.options.partitions; p++) {
    for (uint32_t i = 0; i < run->log.partitions[p].line_count; i++)
      if (run->log.partitions[p].lines[i].kind == SIM_LINE_RECORD && seen[p][i] == 0)
        sim_violation(run, "%s, line %u is missing: rows lost", run->log.partitions[p].name, i);
    free(seen[p]);
  }
}
