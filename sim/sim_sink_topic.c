/* sim/sim_sink_topic.c: see sim_sink_topic.h. */
#include "sim/sim_sink_topic.h"

#include "sim/sim_run_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t ms_ns = 1000 * 1000;
static const char topic[] = "rows";

/* ---- what is watched ---- */

static const size_t run_bytes = 7 + 2 * WR_INCARNATION_BYTES; /* of the marker's text, before the start number */

static bool is_same_run(const struct wr_kafka_group_marker *a, const struct wr_kafka_group_marker *b) {
  return a->present && b->present && strncmp(a->metadata, b->metadata, run_bytes) == 0;
}

static uint64_t start_of(const struct wr_kafka_group_marker *marker) {
  return strtoull(marker->metadata + run_bytes, NULL, 10);
}

/* Whether its checkpoint is durable was judged when the commit was asked for (sim_oracle.c). */
static void committed(void *context, const struct wr_kafka_group_marker *before,
                      const struct wr_kafka_group_marker *now, uint32_t messages) {
  struct sim_run *run = context;
  if (run->sink_topic.is_replaced && messages > 0 && start_of(now) == run->sink_topic.start_before)
    sim_violation(run, "epoch %" PRId64 " goes into a topic that was replaced by an older copy", now->offset);
  bool same_run = is_same_run(before, now);
  if (same_run && now->offset < before->offset)
    sim_violation(run, "the topic's marker goes back from %" PRId64 " to %" PRId64, before->offset, now->offset);
  if (same_run && messages > 0 && now->offset == before->offset)
    sim_violation(run, "rows come to the topic, and its marker stays at %" PRId64, now->offset);
}

/* ---- draws ---- */

void sim_sink_topic_make(struct sim_run *run, uint64_t seed, uint32_t partitions) {
  struct sim_sink_topic *own = &run->sink_topic;
  own->kafka = sim_kafka_new(run->world, seed, topic);
  sim_kafka_set_partition_count(own->kafka, partitions);
  sim_kafka_on_commit(own->kafka, committed, run);
}

void sim_sink_topic_draw(struct sim_run *run) {
  sim_sink_topic_make(run, wr_random_next(&run->random), 1 + (uint32_t)below(run, SIM_KAFKA_PARTITIONS_MAX));
  if (one_in(run, 2)) run->sink_topic.timeout_ms = 1 + (uint32_t)below(run, one_in(run, 2) ? 8 : 3000);
  run->report->events[SIM_EVENT_SINK_TOPIC]++;
}

void sim_sink_topic_draw_faults(struct sim_run *run) {
  static const enum sim_fault kinds[] = {SIM_FAULT_KAFKA_BROKER_AWAY, SIM_FAULT_KAFKA_ALL_AWAY,
                                         SIM_FAULT_KAFKA_NO_ANSWER,   SIM_FAULT_KAFKA_SLOW_ANSWER,
                                         SIM_FAULT_KAFKA_WRONG_TOPIC, SIM_FAULT_KAFKA_WRONG_RIGHTS};
  struct sim_fault_plan *plan = sim_world_faults(run->world);
  struct sim_fault_rule *rule = &plan->rules[plan->rule_count++];
  memset(rule, 0, sizeof *rule);
  snprintf(rule->prefix, sizeof rule->prefix, "kafka:%s", topic);
  if (plan->away_ns_max == 0) plan->away_ns_max = (20 + below(run, 400)) * ms_ns;
  if (one_in(run, 4)) return;
  uint32_t rate = 4 + (uint32_t)below(run, 24);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (one_in(run, 3)) rule->one_in[kinds[i]] = rate * 3;
  for (int fault = SIM_FAULT_KAFKA_WRITE_LOST; fault <= SIM_FAULT_KAFKA_UNDECIDED; fault++)
    if (one_in(run, 2)) rule->one_in[fault] = rate;
  rule->one_in[SIM_FAULT_KAFKA_GONE_AT_ABORT] /= 4; /* there are few of these */
  rule->one_in[SIM_FAULT_KAFKA_WRITE_LOST] /= 2;
  rule->one_in[SIM_FAULT_KAFKA_COMMIT_OF_KILLED] = 1;
}

/* ---- what is forgotten ---- */

/* What a start must make of a marker that is missing. After a clean stop the last checkpoint must be there; else it
 * counts whether the newest one knows of an epoch that was committed, or is to be. */
static enum sim_forgotten judge_forgotten(struct sim_run *run, const struct wr_identity *identity) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  struct wr_metadata metadata;
  char path[300];
  if (!sim_checkpoint_load(run, UINT64_MAX, &heap.memory, &metadata, path))
    return identity->in_doubt ? SIM_FORGOTTEN_NOTHING : SIM_FORGOTTEN_IN_DOUBT;
  bool is_last = metadata.checkpoint_id + 1 == identity->checkpoint_id_limit;
  const struct wr_operator_state *state = wr_metadata_find(&metadata, sim_job_name(run->kind));
  const struct wr_subtask_state *sink = state == NULL || state->subtask_count == 0 ? NULL : &state->subtasks[0];
  bool knows = sink != NULL && sink->has_commit && (sink->commit.last_committed > 0 || sink->commit.epoch_count > 0);
  wr_metadata_deinit(&heap.memory, &metadata);
  if (!identity->in_doubt) return is_last ? SIM_FORGOTTEN_SETTLED : SIM_FORGOTTEN_IN_DOUBT;
  return knows ? SIM_FORGOTTEN_IN_DOUBT : SIM_FORGOTTEN_NOTHING;
}

/* The job was down for longer than the brokers keep a group's offsets. */
static void forget_marker(struct sim_run *run) {
  struct sim_sink_topic *own = &run->sink_topic;
  struct wr_identity identity = sim_identity(run);
  own->forgotten = SIM_FORGOTTEN_NOT;
  char path[300];
  snprintf(path, sizeof path, "%s/JOB", run->job_options.folder);
  bool may = sim_disk_is_durable(run->world, path) && !run->job_options.fresh && !run->last_life &&
             !run->topic.must_end && run->tamper.kind == SIM_TAMPER_NONE;
  if (!may || !sim_kafka_marker(own->kafka).present || !one_in(run, identity.in_doubt ? 10 : 2)) return;
  own->marker = sim_kafka_set_marker(own->kafka, (struct wr_kafka_group_marker){.present = false});
  own->start_before = identity.start_number;
  own->forgotten = judge_forgotten(run, &identity);
  if (own->forgotten == SIM_FORGOTTEN_SETTLED) run->report->events[SIM_EVENT_FORGOTTEN]++;
  if (run->options->verbose) fprintf(stderr, "  the marker is forgotten: %d\n", own->forgotten);
}

static void after_forgotten(struct sim_run *run) {
  struct sim_sink_topic *own = &run->sink_topic;
  if (own->forgotten == SIM_FORGOTTEN_IN_DOUBT && sim_identity(run).start_number > own->start_before)
    sim_violation(run, "the topic's marker was forgotten with epochs in doubt, and the job goes on");
  if (own->forgotten == SIM_FORGOTTEN_IN_DOUBT) sim_kafka_set_marker(own->kafka, own->marker);
}

/* ---- a topic that is replaced while the job runs ---- */

void sim_sink_topic_step(struct sim_run *run) {
  struct sim_sink_topic *own = &run->sink_topic;
  if (own->kafka == NULL || sim_world_now_ns(run->world) < own->replace_ns || own->older == NULL) return;
  struct wr_kafka_group_marker older = sim_kafka_image_marker(own->older), now = sim_kafka_marker(own->kafka);
  struct wr_job_status status;
  wr_job_read_status(run->job, &status);
  if (status.phase != WR_JOB_RUN || !is_same_run(&older, &now) || older.offset >= now.offset) return;
  own->replace_ns = run->zombie_at_ns = UINT64_MAX;
  own->is_replaced = true;
  own->start_before = status.start_number;
  sim_kafka_image_free(own->present);
  own->present = sim_kafka_image_take(own->kafka);
  sim_kafka_image_put(own->kafka, own->older);
  run->report->events[SIM_EVENT_TOPIC_REPLACED]++;
  if (run->options->verbose) fprintf(stderr, "  the topic is replaced by an older copy\n");
}

/* What was refused, or not noticed yet, is put back. A later start may have compared, and gone on with what is there.
 */
static void after_replaced(struct sim_run *run) {
  struct sim_sink_topic *own = &run->sink_topic;
  if (own->refused || sim_identity(run).start_number <= own->start_before)
    sim_kafka_image_put(own->kafka, own->present);
  else
    sim_zombie_deinit(&run->graph.zombie);
  own->is_replaced = false;
}

/* ---- a life ---- */

void sim_sink_topic_new_life(struct sim_run *run) {
  struct sim_sink_topic *own = &run->sink_topic;
  if (own->kafka == NULL) return;
  if (run->job_options.fresh) sim_kafka_empty(own->kafka);
  own->is_limited = !run->last_life && !run->topic.must_end && one_in(run, 12);
  sim_kafka_limit_messages(own->kafka, own->is_limited ? 8 : 0);
  forget_marker(run);
  own->refused = false;
  bool may_replace = !run->last_life && !run->topic.must_end && run->tamper.kind == SIM_TAMPER_NONE &&
                     own->forgotten == SIM_FORGOTTEN_NOT;
  own->replace_ns = may_replace ? sim_world_now_ns(run->world) + below(run, 200) * ms_ns : UINT64_MAX;
  run->graph.zombie_commits = !run->job_options.fresh && run->tamper.kind == SIM_TAMPER_NONE && one_in(run, 3);
}

void sim_sink_topic_commits(struct sim_run *run) {
  if (run->sink_topic.kafka == NULL || run->last_life || run->topic.must_end || !one_in(run, 5)) return;
  sim_disk_crash_at(run->world, 1 + below(run, 6), one_in(run, 2) ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER);
}

static bool is_refused(struct sim_run *run, const struct weir_error *error) {
  const struct sim_sink_topic *own = &run->sink_topic;
  if (error->code != WEIR_REFUSED) return false;
  if (own->is_replaced) return true;
  return own->forgotten == SIM_FORGOTTEN_IN_DOUBT && strstr(error->message, "offsets.retention.minutes") != NULL;
}

bool sim_sink_topic_excuses(struct sim_run *run, const struct weir_error *error) {
  struct sim_sink_topic *own = &run->sink_topic;
  if (own->kafka == NULL) return false;
  if (is_refused(run, error)) {
    own->refused = true;
    run->report->events[own->is_replaced ? SIM_EVENT_REPLACED_REFUSED : SIM_EVENT_FORGOTTEN_REFUSED]++;
    return true;
  }
  if (!own->is_limited || error->code != WEIR_CONSTRAINT) return false;
  run->report->events[SIM_EVENT_MESSAGE_REFUSED]++;
  return true;
}

void sim_sink_topic_after_life(struct sim_run *run) {
  struct sim_sink_topic *own = &run->sink_topic;
  if (own->kafka == NULL) return;
  run->report->events[SIM_EVENT_ZOMBIE_FIRST] += run->graph.zombie_commit_count;
  run->graph.zombie_commit_count = 0;
  after_forgotten(run);
  if (own->is_replaced) after_replaced(run);
  if (sim_kafka_producers(own->kafka) != 0) sim_violation(run, "a Kafka producer was left open after a life");
  if (run->finished && sim_kafka_has_open(own->kafka))
    sim_violation(run, "the job has finished, and a transaction is open");
}

/* ---- tampering ---- */

void sim_sink_topic_keep_older(struct sim_run *run) {
  struct sim_sink_topic *own = &run->sink_topic;
  if (own->kafka == NULL) return;
  sim_kafka_image_free(own->older);
  own->older = sim_kafka_image_take(own->kafka);
}

void sim_sink_topic_tamper(struct sim_run *run, enum sim_tamper_kind kind) {
  struct sim_sink_topic *own = &run->sink_topic;
  if (own->kafka == NULL) return;
  sim_kafka_image_free(own->present);
  own->present = sim_kafka_image_take(own->kafka);
  if (kind == SIM_TAMPER_TARGET_OLDER)
    sim_kafka_image_put(own->kafka, own->older);
  else
    sim_kafka_empty(own->kafka);
  if (kind == SIM_TAMPER_TARGET_OLDER) run->report->events[SIM_EVENT_TOPIC_OLDER]++;
}

void sim_sink_topic_put_back(struct sim_run *run) {
  if (run->sink_topic.kafka != NULL) sim_kafka_image_put(run->sink_topic.kafka, run->sink_topic.present);
}

/* ---- the oracle ---- */

static void copy_text(const struct sim_kafka_message *message, char *out, size_t size) {
  size_t length = message->value_length < size ? message->value_length : size - 1;
  if (length > 0) memcpy(out, message->value, length);
  out[length] = 0;
}

static void see_count(void *context, uint32_t partition, const struct sim_kafka_message *message) {
  struct sim_run *run = context;
  (void)partition;
  char text[SIM_LOG_APP_BYTES_MAX + 200];
  uint64_t before[SIM_LOG_APPS_MAX];
  memcpy(before, run->counts, sizeof before);
  copy_text(message, text, sizeof text);
  sim_directory_saw_count(run, text);
  for (uint32_t a = 0; a < run->log.options.apps; a++)
    if (before[a] != UINT64_MAX && run->counts[a] < before[a])
      sim_violation(run, "%.40s goes back from %" PRIu64 " to %" PRIu64, run->log.apps[a], before[a], run->counts[a]);
}

static void see_row(void *context, uint32_t partition, const struct sim_kafka_message *message) {
  char text[SIM_LOG_APP_BYTES_MAX + 200];
  (void)partition;
  copy_text(message, text, sizeof text);
  sim_directory_saw_row(context, text);
}

void sim_sink_topic_judge_pv(struct sim_run *run) {
  sim_kafka_read_all(run->sink_topic.kafka, see_count, run);
}

void sim_sink_topic_judge_seen(struct sim_run *run) {
  sim_kafka_read_all(run->sink_topic.kafka, see_row, run);
}

void sim_sink_topic_deinit(struct sim_run *run) {
  sim_kafka_image_free(run->sink_topic.older);
  sim_kafka_image_free(run->sink_topic.present);
  sim_kafka_free(run->sink_topic.kafka);
}
