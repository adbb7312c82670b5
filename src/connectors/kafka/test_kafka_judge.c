/* connectors/kafka/test_kafka_judge.c: the judge against its rule, written down once more as plainly as possible, over
 * all histories of six answers; what an admin's answer says; and the sentences. */
#include "connectors/kafka/kafka_judge.h"

#include "base/test.h"

/* ---- doubts ---- */

/* What can be seen in a step: nothing (nobody answered), that all is well, or one of two faults. */
enum { SEE_NOTHING, SEE_WELL, SEE_MISSING, SEE_BELOW, SIGHTS };
enum { STEPS = 6, GAPS = 3 };
static const uint64_t gaps_ms[GAPS] = {0, 4000, 10000};

/* The rule: certain when some earlier answer, at least so long ago, said the same, and no answer since said otherwise.
 */
static bool is_certain(const int *sights, const uint64_t *times_ms, int now) {
  if (sights[now] < SEE_MISSING) return false;
  for (int i = now - 1; i >= 0; i--) {
    if (sights[i] == SEE_NOTHING) continue;
    if (sights[i] != sights[now]) return false;
    if (times_ms[now] - times_ms[i] >= WR_KAFKA_SURE_AFTER_MS) return true;
  }
  return false;
}

static void check_history(const int *sights, const uint64_t *times_ms) {
  static const enum wr_kafka_fault faults[] = {
      [SEE_WELL] = WR_KAFKA_FAULT_NONE, [SEE_MISSING] = WR_KAFKA_PARTITION_MISSING, [SEE_BELOW] = WR_KAFKA_END_BELOW};
  struct wr_kafka_doubt doubt = {0};
  for (int i = 0; i < STEPS; i++) {
    if (sights[i] == SEE_NOTHING) continue;
    uint64_t wake_ns = UINT64_MAX;
    bool certain = wr_kafka_doubt_see(&doubt, faults[sights[i]], times_ms[i] * 1000000, &wake_ns);
    CHECK_INT(certain, is_certain(sights, times_ms, i));
    if (certain) return;
    CHECK_INT(doubt.fault, faults[sights[i]]);
    if (sights[i] == SEE_WELL) CHECK(wake_ns == UINT64_MAX);
    if (sights[i] == SEE_WELL) continue;
    CHECK(wake_ns > times_ms[i] * 1000000 && wake_ns <= (times_ms[i] + WR_KAFKA_SURE_AFTER_MS) * 1000000);
    wake_ns = 5; /* an earlier wake-up stays */
    struct wr_kafka_doubt again = doubt;
    CHECK(!wr_kafka_doubt_see(&again, faults[sights[i]], times_ms[i] * 1000000, &wake_ns) && wake_ns == 5);
  }
}

TEST(all_small_histories) {
  int sights[STEPS], histories = 0;
  uint64_t times_ms[STEPS];
  for (int s = 0; s < 4 * 4 * 4 * 4 * 4 * 4; s++)
    for (int g = 0; g < 3 * 3 * 3 * 3 * 3; g++) {
      uint64_t now_ms = 1;
      for (int i = 0, rest = s, gap = g; i < STEPS; i++, rest /= SIGHTS, gap /= GAPS) {
        sights[i] = rest % SIGHTS;
        times_ms[i] = now_ms;
        now_ms += gaps_ms[gap % GAPS];
      }
      check_history(sights, times_ms);
      if (test_failed) fprintf(stderr, "history %d, gaps %d\n", s, g);
      CHECK_PASSED();
      histories++;
    }
  CHECK_INT(histories, 4096 * 243);
}

/* ---- what an answer says ---- */

TEST(faults_of_an_answer) {
  struct wr_kafka_partition partitions[] = {{.partition = 0, .has_leader = true, .low = 5, .high = 9},
                                            {.partition = 1}};
  struct wr_kafka_topic topic = {.answer = WR_KAFKA_FINE, .partitions = partitions, .partition_count = 2};
  bool known = false;
  static const enum wr_kafka_fault by_position[] = {[4] = WR_KAFKA_START_ABOVE, [10] = WR_KAFKA_END_BELOW};
  for (int64_t position = 4; position <= 10; position++) {
    CHECK_INT(wr_kafka_fault_of(&topic, 0, position, &known), by_position[position]);
    CHECK(known);
  }
  CHECK_INT(wr_kafka_fault_of(&topic, 1, 7, &known), WR_KAFKA_FAULT_NONE);
  CHECK(!known);
  CHECK_INT(wr_kafka_fault_of(&topic, 2, 7, &known), WR_KAFKA_PARTITION_MISSING);
  CHECK(known);
  topic.answer = WR_KAFKA_NO_TOPIC;
  CHECK_INT(wr_kafka_fault_of(&topic, 0, 7, &known), WR_KAFKA_TOPIC_MISSING);
  CHECK(known);
  topic.answer = WR_KAFKA_NOT_ALLOWED;
  CHECK_INT(wr_kafka_fault_of(&topic, 0, 7, &known), WR_KAFKA_FORBIDDEN);
  CHECK(known);
}

TEST(sentences) {
  struct wr_kafka_partition partitions[] = {{.partition = 0, .has_leader = true, .low = 50, .high = 90}};
  struct wr_kafka_topic topic = {
      .reason = "Topic authorization failed", .partitions = partitions, .partition_count = 1};
  static const struct wr_kafka_connection connection = {.servers = "localhost:9092", .uid = "in"};
  static const struct {
    enum wr_kafka_fault fault;
    int32_t partition;
    enum weir_code code;
    const char *says[3];
  } cases[] = {
      {WR_KAFKA_TOPIC_MISSING, -1, WEIR_NOT_FOUND, {"no topic \"views\" at localhost:9092", "create it", "source in"}},
      {WR_KAFKA_TOPIC_MISSING, 0, WEIR_NOT_FOUND, {"no topic \"views\"", "--fresh", "create it"}},
      {WR_KAFKA_PARTITION_MISSING, 3, WEIR_GONE, {"no partition 3 any more (it has 1)", "offset 70", "--fresh"}},
      {WR_KAFKA_END_BELOW, 0, WEIR_GONE, {"partition 0 ends at offset 90", "read up to offset 70", "--fresh"}},
      {WR_KAFKA_START_ABOVE, 0, WEIR_GONE, {"begins at offset 50", "only up to offset 70", "retention"}},
      {WR_KAFKA_FORBIDDEN, -1, WEIR_DENIED, {"Topic authorization failed", "credentials", "topic views"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_error error;
    CHECK_INT(wr_kafka_fault_fail(cases[i].fault, &connection, "views", &topic, cases[i].partition, 70, &error),
              cases[i].code);
    CHECK(!weir_code_is_transient(error.code));
    for (int k = 0; k < 3; k++)
      if (strstr(error.message, cases[i].says[k]) == NULL)
        TEST_FAIL("\"%s\" does not say \"%s\"", error.message, cases[i].says[k]);
  }
}

TEST_MAIN(TEST_CASE(all_small_histories), TEST_CASE(faults_of_an_answer), TEST_CASE(sentences))
