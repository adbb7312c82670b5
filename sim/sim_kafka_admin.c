/* sim/sim_kafka_admin.c: the admin of the simulated cluster: one question, answered late, in part, wrongly, or not at
 * all. What it says is as things are when it answers, not when it was asked. */
#include "sim/sim_kafka_int.h"

#include <inttypes.h>
#include <string.h>

static const uint64_t ms_ns = 1000 * 1000;

static struct sim_kafka_admin *self_of(struct wr_kafka_admin *admin) {
  return (struct sim_kafka_admin *)admin;
}

/* ---- waiting for brokers ---- */

static enum weir_code killed(struct weir_error *error) {
  return WR_FAIL(error, WEIR_IO, "the process was killed");
}

static enum weir_code no_answer(struct sim_kafka *kafka, const char *why, uint64_t until_ns, struct weir_error *error) {
  struct sim_world *world = kafka->world;
  if (until_ns > world->now_ns) sim_coroutine_sleep(world, until_ns - world->now_ns);
  if (sim_is_dead(world)) return killed(error);
  sim_world_trace(world, "kafka look: %s", why);
  return WR_FAIL(error, WEIR_TIMEOUT, "topic %s: %s", kafka->topic, why);
}

enum weir_code sim_kafka_reach(struct sim_kafka *kafka, uint64_t timeout_ns, struct weir_error *error) {
  struct sim_world *world = kafka->world;
  uint64_t deadline_ns = world->now_ns + timeout_ns;
  if (kafka->partition_count > 0)
    sim_kafka_weather(kafka, (uint32_t)wr_random_below(&kafka->random, kafka->partition_count));
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_NO_ANSWER))
    return no_answer(kafka, "the broker did not answer", deadline_ns, error);
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_SLOW_ANSWER))
    sim_coroutine_sleep(world, sim_draw_between(&world->fault_random, 10 * ms_ns, timeout_ns / 2 + 10 * ms_ns));
  uint64_t away_ns = sim_kafka_all_away_until(kafka);
  if (away_ns > deadline_ns) return no_answer(kafka, "no broker could be reached", deadline_ns, error);
  if (away_ns != 0) sim_coroutine_sleep(world, away_ns - world->now_ns);
  return sim_is_dead(world) ? killed(error) : WEIR_OK;
}

/* ---- answers ---- */

static void refuse(struct sim_kafka *kafka, enum wr_kafka_answer answer, struct wr_kafka_topic *out) {
  out->answer = answer;
  if (answer == WR_KAFKA_NOT_ALLOWED) snprintf(out->reason, sizeof out->reason, "Topic authorization failed");
  sim_world_trace(kafka->world, "kafka look: answer %d", (int)answer);
}

/* The topic as a whole is denied, wrongly. */
static bool mislead_topic(struct sim_kafka *kafka, struct wr_kafka_topic *out) {
  if (!sim_kafka_may_mislead(kafka)) return false;
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_WRONG_TOPIC)) {
    refuse(kafka, WR_KAFKA_NO_TOPIC, out);
    return true;
  }
  if (!sim_kafka_draw(kafka, SIM_FAULT_KAFKA_WRONG_RIGHTS)) return false;
  refuse(kafka, WR_KAFKA_NOT_ALLOWED, out);
  return true;
}

/* One partition's range is told wrongly, or the last partitions are left out. Of what is not known for sure to have
 * been read nothing wrong is said: nobody could tell. */
static bool mislead_partition(struct sim_kafka *kafka, struct wr_kafka_topic *out) {
  struct wr_random *random = &kafka->world->fault_random;
  uint32_t p = (uint32_t)wr_random_below(&kafka->random, out->partition_count);
  int64_t known = kafka->partitions[p].known;
  if (!sim_kafka_may_mislead(kafka) || known == 0) return false;
  bool rest_is_known = p > 0;
  for (uint32_t i = p; i < out->partition_count; i++)
    rest_is_known = rest_is_known && kafka->partitions[i].known > 0;
  if (rest_is_known && sim_kafka_draw(kafka, SIM_FAULT_KAFKA_WRONG_PARTITION)) {
    out->partition_count = p;
    return true;
  }
  struct wr_kafka_partition *partition = &out->partitions[p];
  if (!partition->has_leader || !sim_kafka_draw(kafka, SIM_FAULT_KAFKA_WRONG_RANGE)) return false;
  if (wr_random_one_in(random, 2)) {
    partition->low = 0;
    partition->high = (int64_t)wr_random_below(random, (uint64_t)known);
  } else {
    partition->low = partition->high + 1;
    partition->high += 1 + (int64_t)wr_random_below(random, 100);
  }
  return true;
}

static enum weir_code tell_partitions(struct sim_kafka_admin *admin, struct wr_memory *memory,
                                      struct wr_kafka_topic *out, struct weir_error *error) {
  struct sim_kafka *kafka = admin->kafka;
  uint32_t count = sim_kafka_count_now(kafka);
  out->partitions = wr_alloc_zeroed(memory, count == 0 ? 1 : count, sizeof *out->partitions, WR_MEMORY_SOURCE);
  if (out->partitions == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u partitions", count);
  out->partition_count = count;
  bool whole = true;
  for (uint32_t p = 0; p < count; p++) {
    struct wr_kafka_partition *partition = &out->partitions[p];
    partition->partition = (int32_t)p;
    partition->has_leader = sim_kafka_away_until(kafka, p) == 0;
    whole = whole && partition->has_leader;
    if (!partition->has_leader) continue;
    partition->low = sim_kafka_low_now(kafka, p);
    partition->high = sim_kafka_high_now(kafka, p);
  }
  if (count > 0 && kafka->state == SIM_KAFKA_SOUND && mislead_partition(kafka, out)) {
    admin->misled = true;
    sim_kafka_misled(kafka);
    sim_world_trace(kafka->world, "kafka look: %u partitions, something is wrong", out->partition_count);
    return WEIR_OK;
  }
  if (whole) {
    admin->misled = false;
    sim_kafka_told_right(kafka);
  }
  sim_world_trace(kafka->world, "kafka look: %u partitions%s", count, whole ? "" : ", some without a leader");
  return WEIR_OK;
}

static enum weir_code look(struct wr_kafka_admin *base, const char *topic, uint32_t timeout_ms,
                           struct wr_memory *memory, struct wr_kafka_topic *out_topic, struct weir_error *error) {
  struct sim_kafka_admin *admin = self_of(base);
  struct sim_kafka *kafka = admin->kafka;
  *out_topic = (struct wr_kafka_topic){.answer = WR_KAFKA_FINE};
  bool ordered;
  if (!sim_kafka_operation(kafka, "look", &ordered))
    return ordered ? WR_FAIL(error, WEIR_IO, "topic %s: the connection was lost", topic) : killed(error);
  WR_TRY(sim_kafka_reach(kafka, timeout_ms * ms_ns, error));
  if (!sim_kafka_operation_done(kafka, "look")) return killed(error);
  if (kafka->state == SIM_KAFKA_TOPIC_GONE || strcmp(topic, kafka->topic) != 0) {
    refuse(kafka, WR_KAFKA_NO_TOPIC, out_topic);
    return WEIR_OK;
  }
  if (kafka->state == SIM_KAFKA_FORBIDDEN) {
    refuse(kafka, WR_KAFKA_NOT_ALLOWED, out_topic);
    return WEIR_OK;
  }
  if (kafka->state == SIM_KAFKA_SOUND && mislead_topic(kafka, out_topic)) {
    admin->misled = true;
    sim_kafka_misled(kafka);
    return WEIR_OK;
  }
  snprintf(out_topic->cluster, sizeof out_topic->cluster, "cluster-of-%s", kafka->topic);
  return tell_partitions(admin, memory, out_topic, error);
}

/* ---- its life ---- */

static void release(void *handle) {
  struct sim_kafka_admin *admin = handle;
  struct sim_kafka_admin **place = &admin->kafka->admins;
  while (*place != admin)
    place = &(*place)->next;
  *place = admin->next;
}

static void close_admin(struct wr_kafka_admin *base) {
  struct sim_kafka_admin *admin = self_of(base);
  struct sim_world *world = admin->kafka->world;
  bool ordered;
  sim_kafka_operation(admin->kafka, "close admin", &ordered);
  sim_kafka_operation_done(admin->kafka, "close admin");
  world->calls.disown(&world->calls, admin);
  release(admin);
  wr_free(admin->memory, admin);
}

enum weir_code sim_kafka_open_admin(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                                    struct wr_seams *seams, struct wr_memory *memory, struct wr_kafka_admin **out_admin,
                                    struct weir_error *error) {
  static const struct wr_kafka_admin_vtable vtable = {.look = look, .close = close_admin};
  struct sim_kafka *kafka = (struct sim_kafka *)driver;
  *out_admin = NULL;
  bool ordered;
  if (!sim_kafka_operation(kafka, "open admin", &ordered) || !sim_kafka_operation_done(kafka, "open admin"))
    return WR_FAIL(error, WEIR_IO, "source %s: a client could not be made", connection->uid);
  struct sim_kafka_admin *admin = wr_alloc_zeroed(memory, 1, sizeof *admin, WR_MEMORY_SOURCE);
  if (admin == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "source %s: out of memory for a client", connection->uid);
  admin->base.vtable = &vtable;
  admin->kafka = kafka;
  admin->memory = memory;
  admin->next = kafka->admins;
  kafka->admins = admin;
  seams->calls->adopt(seams->calls, admin, release);
  *out_admin = &admin->base;
  return WEIR_OK;
}
