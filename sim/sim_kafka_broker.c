/* sim/sim_kafka_broker.c: who answers what, and when: operations of the engine, brokers and leaders that are away, and
 * when a wrong answer may be given. See sim_kafka.h. */
#include "sim/sim_kafka_int.h"

#include <inttypes.h>
#include <string.h>

static const uint64_t ms_ns = 1000 * 1000;
static const uint64_t mislead_ns = 6000ULL * 1000 * 1000; /* the source believes what it hears over 10 s */

uint64_t sim_kafka_latency_ns(struct sim_kafka *kafka) {
  if (kafka->world->options.fast_disk) return 1000;
  return sim_draw_between(&kafka->random, 50, 4000) * 1000;
}

bool sim_kafka_draw(struct sim_kafka *kafka, enum sim_fault fault) {
  struct sim_world *world = kafka->world;
  for (size_t i = 0; i < world->plan.rule_count; i++)
    if (strcmp(world->plan.rules[i].prefix, kafka->rule_name) == 0)
      return sim_fault_draw(world, &world->plan.rules[i], fault);
  return false;
}

/* ---- operations ---- */

/* In a call it stops here until the kill; the task's own step goes on to its end, without effect on the cluster. */
static bool crash(struct sim_kafka *kafka, const char *side, const char *what) {
  sim_world_trace(kafka->world, "crash %s kafka %s", side, what);
  if (kafka->world->current != NULL)
    sim_coroutine_crash(kafka->world);
  else
    kafka->world->crashed = true;
  return false;
}

static bool is_lost(const struct sim_world *world) {
  return sim_is_dead(world) || (world->current == NULL && world->crashed);
}

bool sim_kafka_operation(struct sim_kafka *kafka, const char *what, bool *out_ordered) {
  struct sim_world *world = kafka->world;
  *out_ordered = false;
  if (is_lost(world)) return false;
  if (world->current != NULL) sim_coroutine_sleep(world, sim_kafka_latency_ns(kafka));
  if (is_lost(world)) return false;
  world->operations++;
  sim_world_trace(world, "kafka %s", what);
  if (world->crash_at == world->operations && world->crash_side == SIM_CRASH_BEFORE)
    return crash(kafka, "before", what);
  *out_ordered = world->fail_at != 0 &&
                 (world->operations == world->fail_at || (world->fail_for_ever && world->operations > world->fail_at));
  if (!*out_ordered) return true;
  world->failed = true;
  world->fault_counts[SIM_FAULT_ORDERED_ERROR]++;
  return false;
}

bool sim_kafka_operation_done(struct sim_kafka *kafka, const char *what) {
  struct sim_world *world = kafka->world;
  if (is_lost(world)) return false;
  if (world->crash_at == world->operations && world->crash_side == SIM_CRASH_AFTER) return crash(kafka, "after", what);
  return true;
}

/* ---- who is away ---- */

static uint64_t away_length_ns(struct sim_kafka *kafka) {
  struct sim_world *world = kafka->world;
  uint64_t max_ns = world->plan.away_ns_max < 2 * ms_ns ? 2 * ms_ns : world->plan.away_ns_max;
  if (wr_random_one_in(&world->fault_random, 3)) return sim_draw_between(&world->fault_random, ms_ns, max_ns);
  return sim_draw_between(&world->fault_random, ms_ns, max_ns / 16 + ms_ns); /* most are short */
}

void sim_kafka_weather(struct sim_kafka *kafka, uint32_t p) {
  uint64_t now_ns = kafka->world->now_ns;
  struct sim_kafka_partition *partition = &kafka->partitions[p];
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_BROKER_AWAY))
    kafka->away_until_ns[wr_random_below(&kafka->world->fault_random, SIM_KAFKA_BROKERS)] =
        now_ns + away_length_ns(kafka);
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_ALL_AWAY)) {
    uint64_t until_ns = now_ns + away_length_ns(kafka);
    for (int b = 0; b < SIM_KAFKA_BROKERS; b++)
      kafka->away_until_ns[b] = until_ns;
    sim_kafka_trouble(kafka);
  }
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_NO_LEADER)) partition->leaderless_until_ns = now_ns + away_length_ns(kafka);
}

void sim_kafka_come_back(struct sim_kafka *kafka) {
  memset(kafka->away_until_ns, 0, sizeof kafka->away_until_ns);
  for (uint32_t p = 0; p < kafka->partition_count; p++)
    kafka->partitions[p].leaderless_until_ns = 0;
}

uint64_t sim_kafka_away_until(const struct sim_kafka *kafka, uint32_t p) {
  const struct sim_kafka_partition *partition = &kafka->partitions[p];
  uint64_t until_ns = kafka->away_until_ns[partition->leader];
  if (partition->leaderless_until_ns > until_ns) until_ns = partition->leaderless_until_ns;
  return until_ns > kafka->world->now_ns ? until_ns : 0;
}

uint64_t sim_kafka_all_away_until(const struct sim_kafka *kafka) {
  uint64_t until_ns = UINT64_MAX;
  for (int b = 0; b < SIM_KAFKA_BROKERS; b++)
    if (kafka->away_until_ns[b] < until_ns) until_ns = kafka->away_until_ns[b];
  return until_ns > kafka->world->now_ns ? until_ns : 0;
}

/* ---- wrong answers ---- */

bool sim_kafka_may_mislead(const struct sim_kafka *kafka) {
  return kafka->misled_since_ns == 0 || kafka->world->now_ns < kafka->misled_since_ns + mislead_ns;
}

void sim_kafka_misled(struct sim_kafka *kafka) {
  if (kafka->misled_since_ns == 0) kafka->misled_since_ns = kafka->world->now_ns + 1; /* 0 is none */
}

static bool is_misled(const struct sim_kafka_consumer *consumer) {
  for (int p = 0; p < SIM_KAFKA_PARTITIONS_MAX; p++)
    if (consumer->fetching[p] != NULL && consumer->fetching[p]->misled) return true;
  return false;
}

void sim_kafka_told_right(struct sim_kafka *kafka) {
  for (const struct sim_kafka_admin *admin = kafka->admins; admin != NULL; admin = admin->next)
    if (admin->misled) return;
  for (const struct sim_kafka_consumer *consumer = kafka->consumers; consumer != NULL; consumer = consumer->next)
    if (is_misled(consumer)) return;
  if (sim_kafka_producer_is_misled(kafka)) return;
  kafka->misled_since_ns = 0;
}
