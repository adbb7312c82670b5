/* connectors/files/file_enumerator.c: finds the files, and watches over those that are known, once a second, for as
 * long as the job runs, bounded or not. All work is in file_scan.c, inside a call; between submit and done `scan`,
 * `code` and `call_error` are the call's. One thread, and the call's. */
#include "connectors/files/file_scan.h"

struct file_enumerator {
  struct wr_enumerator base;
  struct wr_enumerator_context context;
  struct wr_file_scan scan;
  uint32_t handed_out; /* of scan.found */
  struct wr_call call;
  bool running;     /* the call was submitted and its answer not yet taken */
  bool ready;       /* the first scan's answer was taken, and was good */
  uint64_t next_ns; /* when to look again */
  enum weir_code code;
  struct weir_error call_error;
};

static struct file_enumerator *self_of(struct wr_enumerator *enumerator) {
  return (struct file_enumerator *)enumerator;
}

static void run_scan(struct wr_call *call) {
  struct file_enumerator *self = (struct file_enumerator *)((char *)call - offsetof(struct file_enumerator, call));
  self->code = wr_file_scan_run(&self->scan, &self->call_error);
}

static enum weir_code step(struct wr_enumerator *enumerator, uint64_t now_ns, uint64_t *wake_at_ns,
                           struct weir_error *error) {
  struct file_enumerator *self = self_of(enumerator);
  if (self->running) {
    if (!wr_call_take_done(&self->call)) return WEIR_OK;
    self->running = false;
    if (self->code != WEIR_OK) {
      if (error != NULL) *error = self->call_error;
      return self->code;
    }
    self->ready = true;
    uint64_t interval_ms = self->scan.config->scan_interval_ms;
    self->next_ns = now_ns + (interval_ms == 0 ? WR_FILES_SCAN_INTERVAL_MS : interval_ms) * 1000000;
  }
  bool all_out = self->handed_out == self->scan.found_count;
  if (now_ns >= self->next_ns && all_out) {
    self->scan.found_count = self->handed_out = 0;
    self->running = true;
    wr_call_submit(self->context.seams->calls, &self->call);
  } else if (all_out && *wake_at_ns > self->next_ns) {
    *wake_at_ns = self->next_ns;
  }
  return WEIR_OK;
}

static bool take_split(struct wr_enumerator *enumerator, struct wr_split *out_split) {
  struct file_enumerator *self = self_of(enumerator);
  if (self->running || self->code != WEIR_OK || self->handed_out == self->scan.found_count) return false;
  *out_split = self->scan.found[self->handed_out];
  self->scan.found[self->handed_out++] = (struct wr_split){0};
  return true;
}

static bool is_ready(const struct wr_enumerator *enumerator) {
  const struct file_enumerator *self = (const struct file_enumerator *)enumerator;
  return self->ready && (self->running || self->handed_out == self->scan.found_count);
}

static bool is_exhausted(const struct wr_enumerator *enumerator) {
  return ((const struct file_enumerator *)enumerator)->context.bounded && is_ready(enumerator);
}

static bool is_idle(struct wr_enumerator *enumerator) {
  const struct file_enumerator *self = (const struct file_enumerator *)enumerator;
  return atomic_load_explicit(&self->call.state, memory_order_acquire) != WR_CALL_SUBMITTED;
}

static void free_enumerator(struct wr_enumerator *enumerator) {
  struct file_enumerator *self = self_of(enumerator);
  WR_ASSERT(is_idle(enumerator));
  wr_file_scan_deinit(&self->scan);
  wr_free(self->context.memory, self);
}

static const struct wr_enumerator_vtable vtable = {.step = step,
                                                   .take_split = take_split,
                                                   .is_ready = is_ready,
                                                   .is_exhausted = is_exhausted,
                                                   .is_idle = is_idle,
                                                   .free = free_enumerator};

static enum weir_code add_restored(struct wr_file_scan *scan, const struct wr_split *restored,
                                   struct weir_error *error) {
  struct wr_file_split split = {0};
  enum weir_code code = wr_file_split_read(restored->bytes, restored->length, scan->memory, &split, error);
  if (code == WEIR_OK) code = wr_file_scan_add_known(scan, &split, error);
  if (code == WEIR_OK) return WEIR_OK;
  wr_file_split_deinit(&split, scan->memory);
  return wr_error_prefix(error, "source %s", scan->uid);
}

enum weir_code wr_files_enumerator_new(const struct wr_files_config *config,
                                       const struct wr_enumerator_context *context, const struct wr_split *restored,
                                       uint32_t restored_count, struct wr_enumerator **out_enumerator,
                                       struct weir_error *error) {
  *out_enumerator = NULL;
  struct file_enumerator *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SOURCE);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for source %s", context->uid);
  self->base.vtable = &vtable;
  self->context = *context;
  self->scan = (struct wr_file_scan){.seams = context->seams,
                                     .memory = context->memory,
                                     .config = config,
                                     .uid = context->uid,
                                     .bounded = context->bounded,
                                     .stops_are_fixed = context->stops_are_fixed};
  self->call.run = run_scan;
  self->call.waker = context->waker;
  enum weir_code code = WEIR_OK;
  for (uint32_t i = 0; i < restored_count && code == WEIR_OK; i++)
    code = add_restored(&self->scan, &restored[i], error);
  if (code != WEIR_OK) {
    free_enumerator(&self->base);
    return code;
  }
  *out_enumerator = &self->base;
  return WEIR_OK;
}
