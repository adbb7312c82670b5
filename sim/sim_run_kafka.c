/* sim/sim_run_kafka.c: see sim_run_kafka.h. */
#include "sim/sim_run_int.h"

#include <inttypes.h>
#include <string.h>

static const uint64_t ms_ns = 1000 * 1000;
static const char topic[] = "log";
static const uint64_t certain_ns = 40ULL * 1000 * 1000 * 1000; /* time enough for every doubt to become certain */

/* ---- what is watched ---- */

static void watch_assigned(void *context, uint32_t p, int64_t offset, bool first) {
  struct sim_run *run = context;
  if (!first || p >= run->log.options.partitions) return;
  struct sim_place places[SIM_LOG_PARTITIONS_MAX];
  uint64_t id = sim_checkpoint_read(run, UINT64_MAX, places);
  int64_t expected = places[p].is_known ? places[p].position : sim_kafka_low(run->kafka, p);
  run->report->events[places[p].is_known ? SIM_EVENT_BEGUN_AT_CHECKPOINT : SIM_EVENT_PARTITION_FOUND_LATER]++;
  if (run->tamper.kind == SIM_TAMPER_DATA_FILE) return; /* it may take an older one */
  if (offset != expected)
    sim_violation(run, "partition %u is begun at %" PRId64 ", but %s%" PRIu64 " says %" PRId64, p, offset,
                  places[p].is_known ? "checkpoint " : "its first record is meant, and checkpoint ", id, expected);
}

/* The newest durable checkpoint; the group is shown offsets often, checkpoints come less often. */
static void find_durable(struct sim_run *run) {
  struct sim_run_kafka *own = &run->topic;
  uint64_t id = UINT64_MAX;
  char path[300];
  while (sim_checkpoint_find(run, id, &id, path) && !sim_disk_is_durable(run->world, path))
    ;
  if (id == own->durable_id) return;
  own->durable_id = id == 0 ? 0 : sim_checkpoint_read(run, id + 1, own->durable);
}

static void watch_shown(void *context, uint32_t p, int64_t offset) {
  struct sim_run *run = context;
  run->report->events[SIM_EVENT_SHOWN]++;
  find_durable(run);
  const struct sim_place *durable = &run->topic.durable[p];
  if (!durable->is_known || durable->position < offset)
    sim_violation(run,
                  "the group is shown offset %" PRId64 " of partition %u, but the newest durable checkpoint, %" PRIu64
                  ", has %" PRId64,
                  offset, p, run->topic.durable_id, durable->is_known ? durable->position : -1);
}

/* ---- draws ---- */

void sim_run_kafka_make(struct sim_run *run, uint64_t seed, struct sim_log_options *log) {
  run->kafka = sim_kafka_new(run->world, seed, topic);
  sim_kafka_set_watch(run->kafka, (struct sim_kafka_watch){watch_assigned, watch_shown, run});
  log->world = run->world;
  log->kafka = run->kafka;
  log->whole_lines = true;
}

void sim_run_kafka_draw(struct sim_run *run, struct sim_log_options *log) {
  sim_run_kafka_make(run, wr_random_next(&run->random), log);
  log->transactions = one_in(run, 2);
  log->open_ns = (1 + below(run, 300)) * ms_ns;
  log->uncommitted = log->transactions && one_in(run, 4);
  run->topic.misleads = one_in(run, 4);
  run->topic.retention = one_in(run, 3);
  run->topic.discovery_interval_ms = 20 + below(run, one_in(run, 2) ? 100 : 2000);
  run->report->events[SIM_EVENT_TOPIC]++;
}

void sim_run_kafka_draw_faults(struct sim_run *run) {
  struct sim_fault_plan *plan = sim_world_faults(run->world);
  struct sim_fault_rule *rule = &plan->rules[plan->rule_count++];
  memset(rule, 0, sizeof *rule);
  snprintf(rule->prefix, sizeof rule->prefix, "kafka:%s", topic);
  /* Long outages only where checkpoints are rare: each one in an outage costs steps, and tells nothing. */
  plan->away_ns_max = run->job_options.checkpoint_interval_ms * ms_ns * (20 + below(run, one_in(run, 4) ? 400 : 40));
  if (one_in(run, 3)) return;
  uint32_t rate = 10 + (uint32_t)below(run, 100);
  for (int fault = SIM_FAULT_KAFKA_BROKER_AWAY; fault <= SIM_FAULT_KAFKA_COMMIT_FAILED; fault++) {
    bool wrong = fault >= SIM_FAULT_KAFKA_WRONG_TOPIC && fault <= SIM_FAULT_KAFKA_WRONG_RIGHTS;
    bool often = fault >= SIM_FAULT_KAFKA_SMALL_FETCH && fault <= SIM_FAULT_KAFKA_END_AGAIN;
    if (wrong && !run->topic.misleads) continue;
    if (one_in(run, 2))
      rule->one_in[fault] = often ? 1 + rate / 8 : fault == SIM_FAULT_KAFKA_NO_LEADER ? 4 + rate / 4 : rate;
  }
}

/* ---- retention ---- */

/* Removes what no checkpoint that could be restored needs. */
static void retain(struct sim_run *run) {
  struct sim_place places[SIM_LOG_PARTITIONS_MAX];
  int64_t least[SIM_LOG_PARTITIONS_MAX];
  for (uint32_t p = 0; p < SIM_LOG_PARTITIONS_MAX; p++)
    least[p] = INT64_MAX;
  uint64_t id = UINT64_MAX, count = 0;
  while ((id = sim_checkpoint_read(run, id, places)) != 0) {
    count++;
    for (uint32_t p = 0; p < run->log.options.partitions; p++)
      if (!places[p].is_known || places[p].position < least[p]) least[p] = places[p].is_known ? places[p].position : 0;
  }
  for (uint32_t p = 0; count > 0 && p < sim_kafka_partition_count(run->kafka); p++) {
    int64_t low = sim_kafka_low(run->kafka, p);
    if (least[p] <= low || one_in(run, 3)) continue;
    sim_kafka_set_low(run->kafka, p, low + 1 + (int64_t)below(run, (uint64_t)(least[p] - low)));
    run->report->events[SIM_EVENT_RETENTION]++;
  }
}

/* ---- harm ---- */

static enum sim_kafka_state state_of(enum sim_topic_harm harm) {
  static const enum sim_kafka_state states[] = {[SIM_HARM_NONE] = SIM_KAFKA_SOUND,
                                                [SIM_HARM_GONE] = SIM_KAFKA_TOPIC_GONE,
                                                [SIM_HARM_FEWER_PARTITIONS] = SIM_KAFKA_PARTITION_GONE,
                                                [SIM_HARM_FORBIDDEN] = SIM_KAFKA_FORBIDDEN,
                                                [SIM_HARM_CUT] = SIM_KAFKA_CUT,
                                                [SIM_HARM_REMADE] = SIM_KAFKA_REMADE,
                                                [SIM_HARM_RETAINED] = SIM_KAFKA_RETAINED};
  return states[harm];
}

/* True when it is done: there is a partition of which enough was read. */
static bool harm_topic(struct sim_run *run) {
  struct sim_run_kafka *own = &run->topic;
  struct sim_place places[SIM_LOG_PARTITIONS_MAX];
  sim_checkpoint_read(run, UINT64_MAX, places);
  uint32_t p = (uint32_t)below(run, run->log.options.partitions);
  const struct sim_place *place = &places[p];
  if (!place->is_known || place->position < 1) return false;
  int64_t low = sim_kafka_low(run->kafka, p), high = sim_kafka_high(run->kafka, p), offset = 0;
  if (own->harm == SIM_HARM_FEWER_PARTITIONS && p == 0) return false;
  if (own->harm == SIM_HARM_CUT) offset = low + (int64_t)below(run, (uint64_t)(place->position - low));
  if (own->harm == SIM_HARM_CUT && place->position == low) return false;
  if (own->harm == SIM_HARM_REMADE) offset = (int64_t)below(run, (uint64_t)place->position);
  if (own->harm == SIM_HARM_RETAINED) {
    bool is_over = place->has_stop && place->position >= place->stop;
    if (is_over || place->position >= high) return false;
    offset = own->harm_ns != 0 ? high : place->position + 1 + (int64_t)below(run, (uint64_t)(high - place->position));
  }
  sim_kafka_set_state(run->kafka, state_of(own->harm), p, offset);
  run->report->events[SIM_EVENT_TOPIC_HARMED]++;
  if (run->options->verbose)
    fprintf(stderr, "  harmed: %d, partition %u, position %" PRId64 ", at %" PRId64 "%s\n", own->harm, p,
            place->position, offset, own->must_end ? ", must end" : "");
  own->is_harmed = true;
  return true;
}

/* A partition whose end was reached is not read any more, and only its being there is looked at. */
static bool must_be_seen(const struct sim_run *run) {
  const struct sim_run_kafka *own = &run->topic;
  if (own->harm_ns == 0) return true;
  if (own->harm == SIM_HARM_CUT || own->harm == SIM_HARM_REMADE) return !run->job_options.bounded;
  return own->harm != SIM_HARM_RETAINED; /* who has read all is not hurt */
}

static void draw_harm(struct sim_run *run) {
  struct sim_run_kafka *own = &run->topic;
  if (!one_in(run, 3)) return;
  own->harm = one_in(run, 4) ? SIM_HARM_RETAINED : (enum sim_topic_harm)(1 + below(run, SIM_HARM_COUNT - 1));
  own->harm_ns = one_in(run, 2) ? 0 : sim_world_now_ns(run->world) + 1 + below(run, 200) * ms_ns;
  /* A sink that is a topic, or on a server, has others of its own, which may keep a life from its beginning for longer
   * than that. */
  own->must_end = !one_in(run, 3) && must_be_seen(run) && run->sink_topic.kafka == NULL && run->sink_sql.sql == NULL;
  if (own->harm_ns == 0 && !harm_topic(run)) own->harm = SIM_HARM_NONE;
  own->must_end = own->must_end && own->harm != SIM_HARM_NONE;
}

/* ---- a life ---- */

void sim_run_kafka_new_life(struct sim_run *run, bool may_harm) {
  struct sim_run_kafka *own = &run->topic;
  own->durable_id = 0;
  own->harm = SIM_HARM_NONE;
  own->must_end = own->is_harmed = own->refused = false;
  for (uint32_t p = 0; run->job_options.fresh && p < run->log.options.partitions; p++)
    own->begin[p] = p < sim_kafka_partition_count(run->kafka) ? sim_kafka_low(run->kafka, p) : 0;
  if (own->retention && !run->job_options.fresh) retain(run);
  if (may_harm) draw_harm(run);
  own->is_long = own->must_end || (own->misleads && !run->last_life && one_in(run, 4));
  struct sim_place places[SIM_LOG_PARTITIONS_MAX];
  sim_checkpoint_read(run, UINT64_MAX, places);
  own->was_read = true;
  for (uint32_t p = 0; p < run->log.options.partitions; p++) {
    sim_kafka_set_known(run->kafka, p, run->job_options.fresh ? 0 : places[p].position);
    bool is_over = places[p].has_stop && places[p].position >= places[p].stop;
    own->was_read = own->was_read && (is_over || !places[p].is_known);
  }
  own->retain_ns = sim_world_now_ns(run->world) + below(run, 400) * ms_ns;
}

void sim_run_kafka_make_way(struct sim_run *run) {
  run->job_options.checkpoint_interval_ms = run->topic.is_long ? 500 : run->checkpoint_interval_ms;
  if (!run->topic.must_end) return;
  sim_world_faults(run->world)->rule_count = 0;
  sim_kafka_come_back(run->kafka);
  run->rival_from_ns = UINT64_MAX;
}

uint64_t sim_run_kafka_life_ns(struct sim_run *run) {
  if (run->topic.must_end) return certain_ns;
  return run->topic.is_long ? certain_ns / 4 + below(run, certain_ns) : 0;
}

void sim_run_kafka_step(struct sim_run *run) {
  struct sim_run_kafka *own = &run->topic;
  uint64_t now_ns = sim_world_now_ns(run->world);
  if (own->retention && now_ns >= own->retain_ns && own->harm == SIM_HARM_NONE && !run->job_options.fresh) {
    retain(run);
    own->retain_ns = now_ns + (10 + below(run, 1000)) * ms_ns;
  }
  if (own->harm == SIM_HARM_NONE || own->is_harmed || own->harm_ns > now_ns) return;
  struct wr_job_status status;
  wr_job_read_status(run->job, &status);
  if (status.phase == WR_JOB_RUN && harm_topic(run)) return;
  own->harm_ns = now_ns + 20 * ms_ns; /* there is nothing to harm yet */
  own->must_end = false;              /* it may come too late for that */
}

bool sim_run_kafka_holds_log(const struct sim_run *run) {
  return run->topic.is_harmed;
}

bool sim_run_kafka_excuses(struct sim_run *run, enum weir_code code) {
  const struct sim_run_kafka *own = &run->topic;
  if (!own->is_harmed) return false;
  enum weir_code expected = own->harm == SIM_HARM_GONE        ? WEIR_NOT_FOUND
                            : own->harm == SIM_HARM_FORBIDDEN ? WEIR_DENIED
                                                              : WEIR_GONE;
  if (code != expected) return false;
  run->topic.refused = true;
  run->report->events[SIM_EVENT_HARM_REFUSED]++;
  return true;
}

void sim_run_kafka_after_life(struct sim_run *run) {
  struct sim_run_kafka *own = &run->topic;
  if (!own->is_harmed) return;
  bool was_through = run->finished && (own->harm_ns != 0 || own->was_read); /* before it could notice */
  if (own->must_end && !own->refused && !was_through)
    sim_violation(run, "the topic was harmed (%d), and the job goes on for %.0f s", own->harm,
                  (double)certain_ns / 1e9);
  sim_kafka_set_state(run->kafka, SIM_KAFKA_SOUND, 0, 0);
  own->harm = SIM_HARM_NONE;
  own->is_harmed = false;
}

void sim_run_kafka_apply(struct sim_run *run) {
  for (uint32_t p = 0; p < run->log.options.partitions; p++)
    sim_log_begin_at(&run->log, p, run->topic.begin[p]);
}
