/* operators/committer.c: see committer.h.
 *
 * Between submit and done the call alone touches `epoch`, `already`, `code`, `call_error` and the target; `epoch` is
 * the machine's and stays in place until it is answered for. Always: at most one call; `epoch` is set exactly while the
 * machine waits for an answer. One thread, and the call's.
 */
#include "operators/committer.h"

#include "runtime/sink.h"

#include <inttypes.h>

static const uint64_t DELAY_FIRST_NS = 100ull * 1000 * 1000, DELAY_MAX_NS = 10ull * 1000 * 1000 * 1000;
static const uint64_t REFRESH_NS = 24ull * 60 * 60 * 1000 * 1000 * 1000;
enum { LOG_EVERY = 10 }; /* failures in a row between two log lines */

enum errand { ERRAND_NONE, ERRAND_REFRESH, ERRAND_SETTLED };

struct committer {
  struct wr_operator op;
  struct wr_commit_limits limits;
  struct wr_commit *commit; /* from restored() on */
  struct wr_call call;
  const struct wr_epoch *epoch; /* being committed; NULL: none */
  enum errand errand;           /* what else the call is on; never while an epoch is being committed */
  uint64_t refresh_at_ns;       /* of a target that forgets; 0: not set yet */
  bool has_settled;             /* the target was told that what R carried is committed, if it wants to know */
  uint64_t settle_at_ns;        /* the next time to tell it */
  bool reconnect;               /* the call first opens a new connection */
  bool already;                 /* the call's answer */
  enum weir_code code;          /* the call's answer */
  struct weir_error call_error;
  uint32_t failures; /* in a row */
  uint64_t delay_ns; /* before the next try */
  uint64_t retry_at_ns;
};

static struct committer *committer_of(struct wr_operator *op) {
  return (struct committer *)op;
}

/* Tells the writers and the metrics. After every change of the machine. */
static void publish(struct committer *committer) {
  struct wr_sink_shared *shared = committer->op.context->sink;
  if (shared == NULL) return;
  atomic_store_explicit(&shared->waiting_epochs, wr_commit_waiting_epochs(committer->commit), memory_order_release);
  bool over_limit = wr_commit_is_over_limit(committer->commit);
  if (atomic_exchange_explicit(&shared->over_limit, over_limit, memory_order_acq_rel) == over_limit) return;
  const struct wr_operator_context *context = committer->op.context;
  if (over_limit)
    wr_log_write(
        context->seams->log, WR_LOG_WARN,
        "sink %s: %u epochs wait for their commit, more than its limit allows; it takes no more rows until the "
        "target has taken some",
        context->uid, wr_commit_waiting_epochs(committer->commit));
  else
    wr_log_write(context->seams->log, WR_LOG_INFO, "sink %s: commits have caught up; it takes rows again",
                 context->uid);
}

static enum weir_code restored(struct wr_operator *op, struct wr_subtask_state *state, struct weir_error *error) {
  struct committer *committer = committer_of(op);
  WR_ASSERT(committer->commit == NULL);
  WR_TRY(wr_commit_new(op->context->memory, &committer->limits,
                       state != NULL && state->has_commit ? &state->commit : NULL, op->context->marker_checkpoint_id,
                       &committer->commit, error));
  publish(committer);
  return WEIR_OK;
}

/* ---- parts ---- */

static enum weir_code take_part(struct committer *committer, const struct wr_batch *batch, const struct wr_view *view,
                                struct weir_error *error) {
  struct wr_memory *memory = committer->op.context->memory;
  struct wr_reader reader = wr_reader_of(wr_view_bytes(batch, view), (size_t)view->length);
  struct wr_part part = {0};
  WR_TRY(wr_part_read(&reader, memory, &part, error));
  enum weir_code code = wr_commit_part(committer->commit, &part, error);
  if (code != WEIR_OK) wr_part_deinit(memory, &part);
  return code;
}

static enum wr_result process(struct wr_operator *op, uint32_t input, struct wr_batch *batch, uint64_t *wake_at_ns) {
  (void)input;
  (void)wake_at_ns;
  const struct wr_view *views = wr_column_views(&batch->columns[0]);
  for (uint32_t i = 0; i < batch->selected_count; i++)
    if (take_part(committer_of(op), batch, &views[wr_batch_row(batch, i)], &op->context->error) != WEIR_OK)
      return WR_RESULT_ERROR;
  return WR_RESULT_OK;
}

/* ---- committing ---- */

static void run_commit(struct wr_call *call) {
  struct committer *committer = (struct committer *)((char *)call - offsetof(struct committer, call));
  struct wr_target *target = committer->op.context->target;
  committer->already = false;
  committer->code = WEIR_OK;
  if (committer->reconnect) {
    target->vtable->close(target);
    committer->code = target->vtable->connect(target, &committer->call_error);
    committer->reconnect = committer->code != WEIR_OK;
  }
  if (committer->code != WEIR_OK) return;
  switch (committer->errand) {
  case ERRAND_REFRESH:
    committer->code = target->vtable->refresh(target, &committer->call_error);
    break;
  case ERRAND_SETTLED:
    committer->code = target->vtable->settled(target, &committer->call_error);
    break;
  case ERRAND_NONE:
    committer->code = target->vtable->commit(target, committer->epoch, &committer->already, &committer->call_error);
  }
}

static void begin_next(struct committer *committer) {
  committer->epoch = wr_commit_begin_next(committer->commit);
  if (committer->epoch != NULL) wr_call_submit(committer->op.context->seams->calls, &committer->call);
}

static void acknowledged(struct committer *committer) {
  const struct wr_operator_context *context = committer->op.context;
  if (committer->failures >= 1)
    wr_log_write(context->seams->log, WR_LOG_INFO, "sink %s: epoch %" PRIu64 " is committed, after %u failures",
                 context->uid, committer->epoch->checkpoint_id, committer->failures);
  wr_commit_acknowledged(committer->commit, committer->epoch->checkpoint_id);
  committer->failures = 0;
  committer->delay_ns = DELAY_FIRST_NS;
  committer->reconnect = false;
  publish(committer);
}

static void try_again_later(struct committer *committer) {
  const struct wr_operator_context *context = committer->op.context;
  if (committer->failures++ % LOG_EVERY == 0)
    wr_log_write(context->seams->log, WR_LOG_WARN,
                 "sink %s: epoch %" PRIu64 " could not be committed, it is tried again (failure %u in a row): %s",
                 context->uid, committer->epoch->checkpoint_id, committer->failures, committer->call_error.message);
  /* Busy and full are answers of a connection that works; after anything else it may be broken. One that could not be
   * opened is opened again in any case. */
  if (committer->code != WEIR_BUSY && committer->code != WEIR_NO_SPACE) committer->reconnect = true;
  wr_commit_retry(committer->commit, committer->epoch->checkpoint_id);
  committer->retry_at_ns = context->now_ns + committer->delay_ns;
  committer->delay_ns = committer->delay_ns * 2 < DELAY_MAX_NS ? committer->delay_ns * 2 : DELAY_MAX_NS;
}

/* What the call answered. */
static enum wr_result settle(struct committer *committer) {
  enum weir_code code = committer->code;
  struct wr_operator_context *context = committer->op.context;
  enum wr_result result = WR_RESULT_OK;
  if (code == WEIR_OK) {
    acknowledged(committer);
  } else if (weir_code_is_transient(code)) {
    try_again_later(committer);
  } else {
    context->error = committer->call_error;
    wr_error_prefix(&context->error, "sink %s: epoch %" PRIu64 " cannot be committed", context->uid,
                    committer->epoch->checkpoint_id);
    wr_commit_retry(committer->commit, committer->epoch->checkpoint_id);
    result = WR_RESULT_ERROR;
  }
  committer->epoch = NULL;
  return result;
}

/* ---- errands: what a target wants besides commits ---- */

static enum wr_result errand_failed(struct committer *committer, const char *what) {
  struct wr_operator_context *context = committer->op.context;
  committer->reconnect = true;
  if (weir_code_is_transient(committer->code)) {
    wr_log_write(context->seams->log, WR_LOG_WARN, "sink %s: %s: %s", context->uid, what,
                 committer->call_error.message);
    return WR_RESULT_OK;
  }
  context->error = committer->call_error;
  wr_error_prefix(&context->error, "sink %s: %s", context->uid, what);
  return WR_RESULT_ERROR;
}

/* What the errand's call answered. That one failed matters only when it keeps failing for long, so a transient failure
 * is tried again a while later, over a new connection. */
static enum wr_result settle_errand(struct committer *committer) {
  const uint64_t now_ns = committer->op.context->now_ns;
  const enum errand errand = committer->errand;
  const bool is_done = committer->code == WEIR_OK;
  committer->errand = ERRAND_NONE;
  if (errand == ERRAND_SETTLED) {
    committer->has_settled = is_done;
    committer->settle_at_ns = now_ns + DELAY_MAX_NS;
    return is_done ? WR_RESULT_OK : errand_failed(committer, "what earlier starts have staged cannot be removed");
  }
  committer->refresh_at_ns = now_ns + (is_done ? REFRESH_NS : REFRESH_NS / 24);
  return is_done ? WR_RESULT_OK : errand_failed(committer, "its marker cannot be written anew");
}

static bool begin_errand(struct committer *committer, enum errand errand) {
  committer->errand = errand;
  wr_call_submit(committer->op.context->seams->calls, &committer->call);
  return true;
}

/* Is it time? Sees to being woken for it. */
static bool is_due(const struct committer *committer, uint64_t at_ns, uint64_t *wake_at_ns) {
  if (committer->op.context->now_ns >= at_ns) return true;
  if (*wake_at_ns > at_ns) *wake_at_ns = at_ns;
  return false;
}

/* The marker of a target that forgets. */
static bool begin_refresh(struct committer *committer, uint64_t *wake_at_ns) {
  const struct wr_operator_context *context = committer->op.context;
  if (context->target->vtable->refresh == NULL) return false;
  if (committer->refresh_at_ns == 0) committer->refresh_at_ns = context->now_ns + REFRESH_NS; /* it was just claimed */
  return is_due(committer, committer->refresh_at_ns, wake_at_ns) && begin_errand(committer, ERRAND_REFRESH);
}

/* When all that was restored is committed; before anything else can be. */
static bool begin_settled(struct committer *committer, uint64_t *wake_at_ns) {
  if (committer->has_settled || committer->op.context->target->vtable->settled == NULL) return false;
  if (!wr_commit_is_settled(committer->commit)) return false;
  return is_due(committer, committer->settle_at_ns, wake_at_ns) && begin_errand(committer, ERRAND_SETTLED);
}

static enum wr_result poll(struct wr_operator *op, uint64_t *wake_at_ns) {
  struct committer *committer = committer_of(op);
  enum wr_result result = WR_RESULT_WAIT;
  if (committer->errand != ERRAND_NONE) {
    if (!wr_call_take_done(&committer->call)) return WR_RESULT_WAIT;
    result = settle_errand(committer);
    if (result == WR_RESULT_ERROR) return result;
  }
  if (committer->epoch != NULL) {
    if (!wr_call_take_done(&committer->call)) return WR_RESULT_WAIT;
    result = settle(committer);
    if (result == WR_RESULT_ERROR) return result;
  }
  if (committer->failures > 0 && op->context->now_ns < committer->retry_at_ns) {
    if (*wake_at_ns > committer->retry_at_ns) *wake_at_ns = committer->retry_at_ns;
    return result;
  }
  if (begin_settled(committer, wake_at_ns)) return WR_RESULT_OK;
  begin_next(committer);
  if (committer->epoch != NULL || begin_refresh(committer, wake_at_ns)) return WR_RESULT_OK;
  return result;
}

/* ---- checkpoints ---- */

static enum weir_code copy_epoch(struct wr_memory *memory, const struct wr_epoch *from, struct wr_epoch *to,
                                 struct weir_error *error) {
  *to = *from;
  to->part_count = 0;
  to->parts = wr_alloc_zeroed(memory, from->part_count, sizeof *to->parts, WR_MEMORY_SINK);
  if (to->parts == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the snapshot of a committer");
  for (; to->part_count < from->part_count; to->part_count++) {
    const struct wr_part *part = &from->parts[to->part_count];
    to->parts[to->part_count] = *part;
    WR_TRY(wr_handle_copy(memory, &part->handle, &to->parts[to->part_count].handle, error));
  }
  return WEIR_OK;
}

static enum weir_code copy_snapshot(struct wr_memory *memory, const struct wr_commit_snapshot *from,
                                    struct wr_commit_snapshot *to, struct weir_error *error) {
  *to = (struct wr_commit_snapshot){.last_committed = from->last_committed};
  if (from->epoch_count == 0) return WEIR_OK;
  to->epochs = wr_alloc_zeroed(memory, from->epoch_count, sizeof *to->epochs, WR_MEMORY_SINK);
  if (to->epochs == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the snapshot of a committer");
  for (uint32_t i = 0; i < from->epoch_count; i++) {
    to->epoch_count++;
    enum weir_code code = copy_epoch(memory, &from->epochs[i], &to->epochs[i], error);
    if (code == WEIR_OK) continue;
    wr_commit_snapshot_deinit(memory, to);
    return code;
  }
  return WEIR_OK;
}

static enum weir_code snapshot_commit(struct wr_operator *op, uint64_t id, struct wr_commit_snapshot *out_commit,
                                      struct weir_error *error) {
  struct committer *committer = committer_of(op);
  WR_TRY(wr_commit_barrier(committer->commit, id, error));
  struct wr_commit_snapshot view = wr_commit_snapshot_view(committer->commit);
  return copy_snapshot(op->context->memory, &view, out_commit, error);
}

static void complete(struct wr_operator *op, uint64_t id) {
  struct committer *committer = committer_of(op);
  wr_commit_completed(committer->commit, id);
  publish(committer);
}

static bool is_settled(struct wr_operator *op) {
  const struct committer *committer = committer_of(op);
  return committer->commit != NULL && committer->epoch == NULL && wr_commit_is_settled(committer->commit);
}

static bool is_idle(struct wr_operator *op) {
  return atomic_load_explicit(&committer_of(op)->call.state, memory_order_acquire) != WR_CALL_SUBMITTED;
}

static void free_committer(struct wr_operator *op) {
  WR_ASSERT(is_idle(op));
  wr_commit_free(committer_of(op)->commit);
  wr_free(op->context->memory, committer_of(op));
}

static const struct wr_operator_vtable vtable = {.name = "committer",
                                                 .restored = restored,
                                                 .process = process,
                                                 .poll = poll,
                                                 .snapshot_commit = snapshot_commit,
                                                 .complete = complete,
                                                 .is_settled = is_settled,
                                                 .is_idle = is_idle,
                                                 .free = free_committer};

enum weir_code wr_committer_new(struct wr_operator_context *context, const struct wr_commit_limits *limits,
                                struct wr_operator **out_operator, struct weir_error *error) {
  *out_operator = NULL;
  struct committer *committer = wr_alloc_zeroed(context->memory, 1, sizeof *committer, WR_MEMORY_SINK);
  if (committer == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the committer of sink %s", context->uid);
  committer->op = (struct wr_operator){.vtable = &vtable, .context = context};
  committer->limits = *limits;
  committer->delay_ns = DELAY_FIRST_NS;
  committer->call.run = run_commit;
  committer->call.waker = context->waker;
  *out_operator = &committer->op;
  return WEIR_OK;
}
