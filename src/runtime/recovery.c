/* runtime/recovery.c: see recovery.h. The order of the steps is the promise; each is safe to be cut off anywhere:
 *
 *   1 lock             2 identity          3 R, and every byte of its files        4 uids of R against the graph
 *   5 markers read and compared, for every sink                                    -- up to here nothing is changed
 *   6 (fresh) the old folder is moved aside
 *   7 identity: start number + 1, ids + a block, perhaps a new incarnation         -- durable before anything outside
 *   8 R published again          9 clean-up           10 every target claimed
 *  11 after a clean stop, where a target may forget its marker: identity once more, now something may be in doubt
 */
#include "runtime/recovery.h"

#include "base/limits.h"

#include <inttypes.h>

/* ---- open ---- */

/* The first start of `--fresh`: nothing of what is in the folder counts. */
static bool begins_anew(const struct wr_recovery *recovery) {
  return recovery->fresh && !recovery->fresh_begun;
}

static enum weir_code read_identity(struct wr_recovery *recovery, struct weir_error *error) {
  if (recovery->folder == NULL)
    WR_TRY(wr_folder_open(recovery->seams->files, recovery->seams->memory, recovery->folder_path, false,
                          &recovery->folder, error));
  enum weir_code code = wr_folder_read_identity(recovery->folder, &recovery->identity, &recovery->has_identity, error);
  if (begins_anew(recovery) && (code == WEIR_CORRUPT || code == WEIR_NEWER)) {
    /* A fresh start needs nothing of what is there: it is moved aside, whatever it is. */
    recovery->identity = (struct wr_identity){.start_number = 0};
    recovery->has_identity = true;
    return WEIR_OK;
  }
  if (code != WEIR_OK) return code;
  if (!recovery->has_identity || begins_anew(recovery)) return WEIR_OK;
  if (strcmp(recovery->identity.job_name, recovery->job_name) != 0)
    return WR_FAIL(error, WEIR_FOREIGN,
                   "the folder %s belongs to job '%s', not to '%s'; give another --state, or begin anew with --fresh",
                   recovery->folder_path, recovery->identity.job_name, recovery->job_name);
  recovery->already_finished = recovery->identity.finished;
  return WEIR_OK;
}

static enum weir_code list_retained(struct wr_recovery *recovery, struct weir_error *error) {
  uint64_t *ids = NULL;
  uint32_t count = 0;
  WR_TRY(wr_folder_list_checkpoints(recovery->folder, &ids, &count, error));
  uint32_t kept = 0;
  while (kept < count && ids[kept] <= recovery->restored.checkpoint_id)
    kept++;
  recovery->retained = ids;
  recovery->retained_count = kept;
  return WEIR_OK;
}

static bool has_state(const struct wr_operator_state *state) {
  for (uint32_t i = 0; i < state->subtask_count; i++) {
    const struct wr_subtask_state *subtask = &state->subtasks[i];
    if (subtask->keyed_count != 0 || subtask->split_count != 0 || subtask->raw.length != 0) return true;
    if (subtask->has_commit && subtask->commit.epoch_count != 0) return true;
  }
  return false;
}

/* State or a waiting epoch that no operator takes is refused by name. */
static enum weir_code check_uids(struct wr_recovery *recovery, struct weir_error *error) {
  for (uint32_t i = 0; i < recovery->restored.operator_count; i++) {
    const struct wr_operator_state *state = &recovery->restored.operators[i];
    bool known = false;
    for (uint32_t n = 0; n < recovery->graph->node_count; n++)
      known = known || strcmp(recovery->graph->nodes[n].uid, state->uid) == 0;
    if (known || !has_state(state)) continue;
    if (!recovery->allow_non_restored)
      return WR_FAIL(error, WEIR_REFUSED,
                     "checkpoint %" PRIu64 " has state of operator '%s', which the job no longer has; "
                     "--allow-non-restored-state drops it",
                     recovery->restored.checkpoint_id, state->uid);
    wr_log_write(recovery->seams->log, WR_LOG_WARN, "state of operator '%s' is dropped: the job no longer has it",
                 state->uid);
  }
  return WEIR_OK;
}

static void count_file(void *argument, const struct wr_handle *handle) {
  (void)handle;
  ++*(uint32_t *)argument;
}

static void add_file(void *argument, const struct wr_handle *handle) {
  struct wr_recovery *recovery = argument;
  recovery->files[recovery->file_count++] = *handle;
}

static enum weir_code list_files(struct wr_recovery *recovery, struct weir_error *error) {
  uint32_t count = 0;
  wr_metadata_each_file(&recovery->restored, count_file, &count);
  if (count == 0) return WEIR_OK;
  recovery->files = wr_alloc(recovery->seams->memory, count * sizeof *recovery->files, WR_MEMORY_ENGINE);
  if (recovery->files == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the names of %u files", count);
  wr_metadata_each_file(&recovery->restored, add_file, recovery);
  return WEIR_OK;
}

/* The newest checkpoint lacks what it has staged, and no older one can be gone on from. */
static enum weir_code refuse_lack(struct wr_recovery *recovery, struct weir_error *error) {
  return WR_FAIL(error, WEIR_REFUSED,
                 "the target of sink '%s' was replaced or has lost data: %s; put it back, or go on without it with "
                 "--accept-duplicates (commit what is there) or --accept-loss (leave out all that waits)",
                 recovery->lacking_uid, recovery->lack.message);
}

static enum weir_code find_restored(struct wr_recovery *recovery, struct weir_error *error) {
  if (!recovery->has_identity || begins_anew(recovery)) return WEIR_OK;
  struct weir_error damage = {.code = WEIR_OK};
  uint64_t below_id = recovery->passed_over_id == 0 ? UINT64_MAX : recovery->passed_over_id;
  uint32_t damaged_count = 0;
  WR_TRY(wr_folder_load_newest(recovery->folder, below_id, &recovery->restored, &recovery->has_restored, &damaged_count,
                               &damage, error));
  if (recovery->damaged_count == 0) recovery->damage = damage;
  recovery->damaged_count += damaged_count;
  if (recovery->has_restored) return list_files(recovery, error);
  if (recovery->damaged_count == 0) return WEIR_OK;
  if (recovery->lack.code != WEIR_OK) return refuse_lack(recovery, error);
  return WR_FAIL(error, WEIR_CORRUPT,
                 "no checkpoint in %s can be read (%s); `weir check` shows the damage; --fresh begins anew",
                 recovery->folder_path, recovery->damage.message);
}

static void forget_restored(struct wr_recovery *recovery) {
  wr_free(recovery->seams->memory, recovery->files);
  recovery->files = NULL;
  recovery->file_count = 0;
  atomic_store(&recovery->next_file, 0);
  if (recovery->has_restored) wr_metadata_deinit(recovery->seams->memory, &recovery->restored);
  recovery->restored = (struct wr_metadata){0};
  recovery->has_restored = false;
}

enum weir_code wr_recovery_verify(struct wr_recovery *recovery, struct weir_error *error) {
  for (;;) {
    uint32_t next = atomic_fetch_add(&recovery->next_file, 1);
    if (next >= recovery->file_count) return WEIR_OK;
    WR_TRY(wr_blob_verify(recovery->store, &recovery->files[next], error));
  }
}

void wr_recovery_pass_over(struct wr_recovery *recovery, const struct weir_error *damage) {
  recovery->passed_over_id = recovery->restored.checkpoint_id;
  if (recovery->damaged_count++ == 0) recovery->damage = *damage;
  forget_restored(recovery);
}

static enum weir_code check_restored(struct wr_recovery *recovery, struct weir_error *error) {
  if (!recovery->has_restored) return WEIR_OK;
  if (recovery->damaged_count != 0)
    wr_log_write(recovery->seams->log, WR_LOG_WARN,
                 "%u checkpoint(s) newer than %" PRIu64 " cannot be restored and are passed over: %s",
                 recovery->damaged_count, recovery->restored.checkpoint_id, recovery->damage.message);
  if (recovery->restored.checkpoint_id >= recovery->identity.checkpoint_id_limit)
    return WR_FAIL(error, WEIR_CORRUPT,
                   "%s has checkpoint %" PRIu64 ", but its file JOB has given out ids up to %" PRIu64
                   " only: JOB is older than the checkpoints; put the newer one back, or begin anew with --fresh",
                   recovery->folder_path, recovery->restored.checkpoint_id, recovery->identity.checkpoint_id_limit - 1);
  uint32_t stored = recovery->restored.max_parallelism;
  if (recovery->max_parallelism != 0 && recovery->max_parallelism != stored)
    return WR_FAIL(error, WEIR_INVALID, "the maximum parallelism of %s is %u and cannot become %u",
                   recovery->folder_path, stored, recovery->max_parallelism);
  WR_TRY(list_retained(recovery, error));
  return check_uids(recovery, error);
}

/* What R stored for a committer. */
static struct wr_commit_snapshot *stored_commit(struct wr_recovery *recovery, const char *uid) {
  if (!recovery->has_restored) return NULL;
  const struct wr_operator_state *state = wr_metadata_find(&recovery->restored, uid);
  if (state == NULL || state->subtask_count == 0 || !state->subtasks[0].has_commit) return NULL;
  return &state->subtasks[0].commit;
}

static bool same_incarnation(const uint8_t *a, const uint8_t *b) {
  return memcmp(a, b, WR_INCARNATION_BYTES) == 0;
}

static enum wr_compare compare(struct wr_recovery *recovery, const struct wr_recovery_sink *sink) {
  const struct wr_identity *identity = &recovery->identity;
  const struct wr_commit_snapshot *stored = stored_commit(recovery, recovery->graph->nodes[sink->node].uid);
  if (recovery->fresh) return WR_COMPARE_OK;
  static const uint8_t nobody[WR_INCARNATION_BYTES];
  if (!recovery->has_identity) return wr_commit_compare(&sink->seen, nobody, 0, 0, NULL);
  uint64_t r = recovery->has_restored ? recovery->restored.checkpoint_id : 0;
  const uint8_t *incarnation = identity->incarnation;
  /* A new incarnation that goes on from its parent's R: a target that was not claimed for it yet still has the parent's
   * marker; one that was has nothing of R recorded under the new name. */
  if (recovery->has_restored && !same_incarnation(recovery->restored.incarnation, identity->incarnation)) {
    if (sink->seen.present && same_incarnation(sink->seen.incarnation, identity->incarnation))
      stored = NULL;
    else
      incarnation = recovery->restored.incarnation;
  }
  return wr_commit_compare(&sink->seen, incarnation, identity->start_number, r, stored);
}

/* A target that may forget its marker has forgotten it, and the folder says that the job was stopped when all up to its
 * last checkpoint was committed. When that is R (its id is the last that was used), nothing is lost, or can come twice;
 * when it is not there, what came after R would come twice. */
static void judge_forgotten(struct wr_recovery *recovery, struct wr_recovery_sink *sink) {
  const char *uid = recovery->graph->nodes[sink->node].uid;
  if (sink->seen.present || sink->target->vtable->refresh == NULL || recovery->fresh) return;
  if (!recovery->has_identity || recovery->identity.in_doubt) return;
  if (recovery->has_restored && stored_commit(recovery, uid) == NULL) return; /* the sink is new */
  if (!recovery->has_restored || recovery->restored.checkpoint_id + 1 != recovery->identity.checkpoint_id_limit) {
    sink->verdict = WR_COMPARE_LOST;
    return;
  }
  sink->verdict = WR_COMPARE_OK;
  sink->marker_checkpoint_id = recovery->restored.checkpoint_id;
  wr_log_write(recovery->seams->log, WR_LOG_INFO,
               "sink '%s': its target has forgotten the job's marker; the job was stopped when all up to checkpoint "
               "%" PRIu64 " was committed, and goes on from there",
               uid, sink->marker_checkpoint_id);
}

static bool accepts(const struct wr_recovery *recovery) {
  return recovery->accept_duplicates || recovery->accept_loss;
}

/* The marker fits R, and not all is there that R has staged: an older checkpoint makes those rows again, if there is
 * one and nobody has asked to go on as it is. */
static enum weir_code go_back(struct wr_recovery *recovery, struct weir_error *error) {
  struct wr_metadata older;
  struct weir_error damage;
  uint32_t damaged_count = 0;
  if (accepts(recovery)) return WEIR_OK;
  WR_TRY(wr_folder_load_newest(recovery->folder, recovery->restored.checkpoint_id, &older, &recovery->goes_back,
                               &damaged_count, &damage, error));
  if (recovery->goes_back) wr_metadata_deinit(recovery->seams->memory, &older);
  return WEIR_OK;
}

/* The marker fits R: is what R carries above it, and has staged beside the target, still there? */
static enum weir_code check_carried(struct wr_recovery *recovery, struct wr_recovery_sink *sink,
                                    struct weir_error *error) {
  const char *uid = recovery->graph->nodes[sink->node].uid;
  const struct wr_commit_snapshot *stored = stored_commit(recovery, uid);
  if (sink->verdict != WR_COMPARE_OK || sink->target->vtable->check_carried == NULL || stored == NULL) return WEIR_OK;
  uint32_t first = 0;
  while (first < stored->epoch_count && stored->epochs[first].checkpoint_id <= sink->marker_checkpoint_id)
    first++;
  struct weir_error lack;
  enum weir_code code = sink->target->vtable->check_carried(sink->target, &sink->seen, recovery->identity.incarnation,
                                                            stored->epochs + first, stored->epoch_count - first, &lack);
  if (code == WEIR_REFUSED) {
    sink->verdict = WR_COMPARE_LOST;
    if (recovery->lack.code == WEIR_OK) {
      recovery->lack = lack;
      recovery->lacking_uid = uid;
    }
    return go_back(recovery, error);
  }
  if (code != WEIR_OK && error != NULL) *error = lack;
  return code;
}

static enum weir_code refuse(struct wr_recovery *recovery, const struct wr_recovery_sink *sink,
                             struct weir_error *error) {
  const char *uid = recovery->graph->nodes[sink->node].uid;
  uint64_t r = recovery->has_restored ? recovery->restored.checkpoint_id : 0;
  const struct wr_commit_snapshot *stored = stored_commit(recovery, uid);
  uint64_t recorded = stored == NULL ? 0 : stored->last_committed;
  switch (sink->verdict) {
  case WR_COMPARE_FOREIGN:
    return WR_FAIL(error, WEIR_REFUSED,
                   "the target of sink '%s' holds output of an earlier run of job '%s' (up to its checkpoint %" PRIu64
                   "), but %s is a new folder; give that run's --state, or write on top of it with --fresh",
                   uid, recovery->job_name, sink->seen.checkpoint_id, recovery->folder_path);
  case WR_COMPARE_LOST:
    if (!sink->seen.present && sink->target->vtable->refresh != NULL)
      return WR_FAIL(
          error, WEIR_REFUSED,
          "the target of sink '%s' knows nothing of this job, which has made checkpoint %" PRIu64
          ": it was replaced, or the brokers forgot the sink's marker while the job was not running (they keep it for "
          "offsets.retention.minutes, seven days by default); put the target back, or go on as it is with "
          "--accept-duplicates (write what is in doubt) or --accept-loss (leave it out)",
          uid, recovery->identity.in_doubt ? r : recovery->identity.checkpoint_id_limit - 1);
    if (!sink->seen.present)
      return WR_FAIL(
          error, WEIR_REFUSED,
          "the target of sink '%s' was replaced or has lost data: it knows nothing of this job, which has made "
          "checkpoint %" PRIu64 "; put the target back, or go on as it is with --accept-duplicates (write what "
          "is in doubt) or --accept-loss (leave it out)",
          uid, r);
    return WR_FAIL(
        error, WEIR_REFUSED,
        "the target of sink '%s' was replaced or has lost data: it holds output up to checkpoint %" PRIu64
        ", but checkpoint %" PRIu64 " says that output up to %" PRIu64 " was committed; put the target back, "
        "or go on as it is with --accept-duplicates (write what is in doubt) or --accept-loss (leave it out)",
        uid, sink->seen.checkpoint_id, r, recorded);
  case WR_COMPARE_NEWER_OUTPUT:
    return WR_FAIL(error, WEIR_REFUSED,
                   "the target of sink '%s' holds output up to checkpoint %" PRIu64
                   ", but the newest checkpoint that can "
                   "be restored is %" PRIu64 ": going on from it writes the output after it once more; put the newer "
                   "checkpoint back, or go on with --accept-duplicates or --accept-loss (which do the same here)",
                   uid, sink->seen.checkpoint_id, r);
  case WR_COMPARE_OTHER_HISTORY:
    return WR_FAIL(error, WEIR_REFUSED,
                   "the target of sink '%s' holds output of checkpoint %" PRIu64 ", of which checkpoint %" PRIu64
                   " knows nothing although it is newer: it was made when that one could not be read, and was put back "
                   "after the job had gone on without it; take chk-%" PRIu64
                   " out of %s, so that the one before it is restored, or go on from it with --accept-duplicates "
                   "(write what it carries) or --accept-loss (leave it out)",
                   uid, sink->seen.checkpoint_id, r, r, recovery->folder_path);
  case WR_COMPARE_FENCED:
    return WR_FAIL(error, WEIR_FENCED,
                   "the target of sink '%s' is held by start %" PRIu64
                   " of this job, a later one than this folder knows "
                   "(%" PRIu64 "): a copy of the folder is running or has run elsewhere",
                   uid, sink->seen.start_number, recovery->identity.start_number);
  case WR_COMPARE_OTHER:
    return WR_FAIL(
        error, WEIR_REFUSED,
        "the target of sink '%s' was taken over by another run of job '%s'; put the target back, or go on with "
        "--accept-duplicates or --accept-loss",
        uid, recovery->job_name);
  case WR_COMPARE_OK:
    break;
  }
  return WEIR_OK;
}

/* The rows of a sink are what its writer takes; its committer takes parts. */
static const struct weir_schema *row_schema(const struct wr_graph *graph, uint32_t committer) {
  for (uint32_t e = 0; e < graph->edge_count; e++)
    if (graph->edges[e].to_node == committer) return graph->nodes[graph->edges[e].from_node].input_schemas[0];
  return graph->nodes[committer].input_schemas[0];
}

static enum weir_code ask_target(struct wr_recovery *recovery, struct wr_recovery_sink *sink,
                                 struct weir_error *error) {
  const struct wr_node *node = &recovery->graph->nodes[sink->node];
  sink->context = (struct wr_target_context){.seams = recovery->seams,
                                             .memory = recovery->seams->memory,
                                             .store = recovery->store,
                                             .job_name = recovery->job_name,
                                             .uid = node->uid,
                                             .schema = row_schema(recovery->graph, sink->node),
                                             .rejected_rows = recovery->rejected_rows};
  WR_TRY(node->new_target(node->config, &sink->context, &sink->target, error));
  WR_TRY(sink->target->vtable->connect(sink->target, error));
  WR_TRY(sink->target->vtable->read_marker(sink->target, &sink->seen, error));
  sink->verdict = compare(recovery, sink);
  sink->marker_checkpoint_id = sink->seen.present && !recovery->fresh ? sink->seen.checkpoint_id : 0;
  judge_forgotten(recovery, sink);
  WR_TRY(check_carried(recovery, sink, error));
  if (sink->verdict == WR_COMPARE_OK || recovery->goes_back) return WEIR_OK;
  bool is_fenced = sink->verdict == WR_COMPARE_FENCED;
  if (recovery->lack.code != WEIR_OK && !accepts(recovery) && !is_fenced) return refuse_lack(recovery, error);
  if (!accepts(recovery) || is_fenced) return refuse(recovery, sink, error);
  /* A target that is ahead of R has all that R carries: only what comes after R is in doubt, and is read again. */
  bool has_all = recovery->accept_loss || sink->verdict == WR_COMPARE_NEWER_OUTPUT;
  sink->marker_checkpoint_id = has_all && recovery->has_restored ? recovery->restored.checkpoint_id : 0;
  wr_log_write(recovery->seams->log, WR_LOG_WARN, "sink '%s': its target does not fit the checkpoint; %s", node->uid,
               recovery->accept_loss ? "what is in doubt is left out (--accept-loss)"
                                     : "what is in doubt is written (--accept-duplicates)");
  return WEIR_OK;
}

static enum weir_code ask_targets(struct wr_recovery *recovery, struct weir_error *error) {
  uint32_t count = 0;
  for (uint32_t n = 0; n < recovery->graph->node_count; n++)
    count += recovery->graph->nodes[n].new_target != NULL;
  if (count == 0) return WEIR_OK;
  recovery->sinks = wr_alloc_zeroed(recovery->seams->memory, count, sizeof *recovery->sinks, WR_MEMORY_SINK);
  if (recovery->sinks == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u sinks", count);
  for (uint32_t n = 0; n < recovery->graph->node_count && !recovery->goes_back; n++) {
    if (recovery->graph->nodes[n].new_target == NULL) continue;
    struct wr_recovery_sink *sink = &recovery->sinks[recovery->sink_count++];
    sink->node = n;
    WR_TRY(ask_target(recovery, sink, error));
  }
  return WEIR_OK;
}

enum weir_code wr_recovery_open(struct wr_recovery *recovery, struct weir_error *error) {
  WR_TRY(read_identity(recovery, error));
  if (recovery->already_finished) return WEIR_OK;
  return find_restored(recovery, error);
}

/* What was found about R and the targets that it was compared with. */
static void forget_compared(struct wr_recovery *recovery) {
  struct wr_memory *memory = recovery->seams->memory;
  for (uint32_t i = 0; i < recovery->sink_count; i++) {
    if (recovery->sinks[i].target == NULL) continue;
    recovery->sinks[i].target->vtable->close(recovery->sinks[i].target);
    recovery->sinks[i].target->vtable->free(recovery->sinks[i].target);
  }
  wr_free(memory, recovery->sinks);
  recovery->sinks = NULL;
  recovery->sink_count = 0;
  wr_free(memory, recovery->retained);
  recovery->retained = NULL;
  recovery->retained_count = 0;
}

enum weir_code wr_recovery_compare(struct wr_recovery *recovery, struct weir_error *error) {
  recovery->goes_back = false;
  WR_TRY(check_restored(recovery, error));
  WR_TRY(ask_targets(recovery, error));
  if (!recovery->goes_back) return WEIR_OK;
  forget_compared(recovery);
  wr_recovery_pass_over(recovery, &recovery->lack);
  return WEIR_OK;
}

/* ---- claim ---- */

static void begin_incarnation(struct wr_recovery *recovery, struct wr_identity *next) {
  memcpy(next->parent, recovery->identity.incarnation, WR_INCARNATION_BYTES);
  recovery->seams->entropy->fill(recovery->seams->entropy, next->incarnation, WR_INCARNATION_BYTES);
  next->resumed_from = recovery->has_restored ? recovery->restored.checkpoint_id : 0;
}

/* Is there a target that can forget its marker by itself? Then the folder says that nothing is in doubt until all are
 * claimed: a start that dies before that has left nothing, and the next one may find the marker missing too. */
static bool may_forget(const struct wr_recovery *recovery) {
  for (uint32_t i = 0; i < recovery->sink_count; i++)
    if (recovery->sinks[i].target->vtable->refresh != NULL) return true;
  return false;
}

static enum weir_code next_identity(struct wr_recovery *recovery, struct wr_identity *out_next,
                                    struct weir_error *error) {
  struct wr_identity next = recovery->identity;
  bool accepted = false;
  for (uint32_t i = 0; i < recovery->sink_count; i++)
    accepted = accepted || recovery->sinks[i].verdict != WR_COMPARE_OK;
  if (begins_anew(recovery) || !recovery->has_identity) {
    next = (struct wr_identity){.checkpoint_id_limit = 1, .in_doubt = true};
    size_t length = strlen(recovery->job_name);
    if (length > WR_NAME_BYTES_MAX)
      return WR_FAIL(error, WEIR_INVALID, "the job's name has %zu bytes; the limit is %d", length, WR_NAME_BYTES_MAX);
    memcpy(next.job_name, recovery->job_name, length + 1);
    begin_incarnation(recovery, &next);
    if (!recovery->has_identity) memset(next.parent, 0, sizeof next.parent);
    next.resumed_from = 0;
  } else if (accepted) {
    begin_incarnation(recovery, &next);
  }
  next.start_number++;
  next.finished = false;
  next.in_doubt = next.in_doubt || accepted || !may_forget(recovery);
  if (next.in_doubt) next.checkpoint_id_limit += WR_CHECKPOINT_ID_BLOCK;
  *out_next = next;
  return WEIR_OK;
}

/* Under a new name nothing is recorded as committed beyond what the target will be claimed with. */
static void forget_records(struct wr_recovery *recovery) {
  for (uint32_t i = 0; i < recovery->sink_count; i++) {
    struct wr_commit_snapshot *stored = stored_commit(recovery, recovery->graph->nodes[recovery->sinks[i].node].uid);
    if (stored != NULL) stored->last_committed = recovery->sinks[i].marker_checkpoint_id;
  }
}

static enum weir_code publish_identity(struct wr_recovery *recovery, struct weir_error *error) {
  struct wr_identity next;
  WR_TRY(next_identity(recovery, &next, error));
  if (begins_anew(recovery) && recovery->has_identity) {
    char *moved_to = NULL;
    enum weir_code code = wr_folder_move_aside(recovery->folder, &moved_to, error);
    if (code != WEIR_OK) { /* It may stand under either name now: the next start opens it anew. */
      wr_folder_close(recovery->folder);
      recovery->folder = NULL;
      return code;
    }
    wr_log_write(recovery->seams->log, WR_LOG_INFO, "the old folder was moved to %s", moved_to);
    wr_free(recovery->seams->memory, moved_to);
    recovery->has_identity = false;
  }
  if (wr_folder_publish_identity(recovery->folder, &next, error) != WR_PUBLISH_DURABLE)
    return error == NULL ? WEIR_IO : error->code;
  if (recovery->has_restored && !same_incarnation(recovery->restored.incarnation, next.incarnation))
    forget_records(recovery);
  recovery->identity = next;
  recovery->has_identity = true;
  recovery->fresh_begun = recovery->fresh;
  memcpy(recovery->store->incarnation, next.incarnation, WR_INCARNATION_BYTES);
  recovery->store->start_number = next.start_number;
  atomic_store(&recovery->store->next_file_serial, 0);
  return WEIR_OK;
}

static enum weir_code settle_folder(struct wr_recovery *recovery, struct weir_error *error) {
  if (!recovery->has_restored) return WEIR_OK;
  if (wr_folder_publish_again(recovery->folder, recovery->restored.checkpoint_id, error) != WR_PUBLISH_DURABLE)
    return error == NULL ? WEIR_IO : error->code;
  struct wr_folder_cleanup cleanup = {.retained = recovery->retained,
                                      .retained_count = recovery->retained_count,
                                      .present_start = recovery->store->start_number};
  uint32_t removed = 0;
  struct weir_error ignored;
  if (wr_folder_clean_up(recovery->folder, &cleanup, &removed, &ignored) != WEIR_OK)
    wr_log_write(recovery->seams->log, WR_LOG_WARN, "old files of %s could not be removed: %s", recovery->folder_path,
                 ignored.message);
  return WEIR_OK;
}

/* From here on something may be, and ids are used. */
static enum weir_code publish_doubt(struct wr_recovery *recovery, struct weir_error *error) {
  struct wr_identity next = recovery->identity;
  if (next.in_doubt) return WEIR_OK;
  next.in_doubt = true;
  next.checkpoint_id_limit += WR_CHECKPOINT_ID_BLOCK;
  if (wr_folder_publish_identity(recovery->folder, &next, error) != WR_PUBLISH_DURABLE)
    return error == NULL ? WEIR_IO : error->code;
  recovery->identity = next;
  return WEIR_OK;
}

enum weir_code wr_recovery_claim(struct wr_recovery *recovery, struct weir_error *error) {
  WR_TRY(publish_identity(recovery, error));
  WR_TRY(settle_folder(recovery, error));
  for (uint32_t i = 0; i < recovery->sink_count; i++) {
    struct wr_recovery_sink *sink = &recovery->sinks[i];
    WR_TRY(sink->target->vtable->claim(sink->target, &sink->seen, sink->marker_checkpoint_id, error));
  }
  WR_TRY(publish_doubt(recovery, error));
  /* Only now: a claim that failed is made again, and its target still holds what was asked to be passed over. */
  recovery->fresh = recovery->fresh_begun = recovery->accept_duplicates = recovery->accept_loss = false;
  return WEIR_OK;
}

void wr_recovery_reset(struct wr_recovery *recovery) {
  forget_compared(recovery);
  forget_restored(recovery);
  recovery->damaged_count = 0;
  recovery->passed_over_id = 0;
  recovery->lack.code = WEIR_OK;
  recovery->goes_back = false;
}

void wr_recovery_deinit(struct wr_recovery *recovery) {
  wr_recovery_reset(recovery);
  wr_folder_close(recovery->folder);
  recovery->folder = NULL;
}
