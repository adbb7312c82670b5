/* connectors/kafka/test_kafka_split.c: a split's bytes: what goes in comes out, and nothing else is taken. */
#include "connectors/kafka/kafka_split.h"

#include "base/test.h"
#include "base/test_memory.h"

static struct test_memory memory;
static struct wr_bytes bytes;

static void begin(void) {
  test_memory_init(&memory);
  wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
}

static void put(const struct wr_kafka_split *split) {
  wr_bytes_clear(&bytes);
  wr_kafka_split_put(&bytes, split);
}

static enum weir_code read_back(struct wr_kafka_split *out_split) {
  return wr_kafka_split_read(bytes.data, bytes.length, out_split, NULL);
}

/* The line for people, the second block. */
static const char *line_of(void) {
  static char line[512];
  struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
  size_t length = 0;
  const char *first = (const char *)wr_read_block(&reader, &length);
  WR_ASSERT(length == 5 && memcmp(first, "kafka", 5) == 0);
  const char *text = (const char *)wr_read_block(&reader, &length);
  snprintf(line, sizeof line, "%.*s", (int)length, text);
  return line;
}

TEST(what_goes_in_comes_out) {
  struct wr_kafka_split split = {
      .topic = "views", .cluster = "MkU3OEVBNTcwNTJENDM2Qk", .partition = 3, .position = 1234, .records = 1200};
  struct wr_kafka_split back;
  begin();
  put(&split);
  CHECK_INT(read_back(&back), WEIR_OK);
  CHECK_STRING(back.topic, "views");
  CHECK_STRING(back.cluster, "MkU3OEVBNTcwNTJENDM2Qk");
  CHECK(back.partition == 3 && back.position == 1234 && back.records == 1200 && !back.has_stop && !back.ended);
  CHECK_STRING(line_of(), "topic=views partition=3 position=1234");
  split.has_stop = true;
  split.stop = 5000;
  put(&split);
  CHECK_INT(read_back(&back), WEIR_OK);
  CHECK(back.has_stop && back.stop == 5000 && !back.ended);
  CHECK_STRING(line_of(), "topic=views partition=3 position=1234 stop=5000");
  split.ended = true;
  put(&split);
  CHECK_INT(read_back(&back), WEIR_OK);
  CHECK(back.ended);
  CHECK_STRING(line_of(), "topic=views partition=3 position=1234 stop=5000 ended");
  split = (struct wr_kafka_split){.partition = INT32_MAX, .position = INT64_MAX, .has_stop = true, .stop = INT64_MAX};
  memset(split.topic, 't', WR_KAFKA_TOPIC_BYTES_MAX);
  memset(split.cluster, 'c', WR_KAFKA_CLUSTER_BYTES_MAX);
  put(&split);
  CHECK_INT(read_back(&back), WEIR_OK);
  CHECK_STRING(back.topic, split.topic);
  CHECK_STRING(back.cluster, split.cluster);
  CHECK(back.partition == INT32_MAX && back.position == INT64_MAX && back.stop == INT64_MAX);
  wr_bytes_deinit(&bytes);
}

TEST(what_is_damaged_is_refused) {
  const struct wr_kafka_split split = {.topic = "views", .cluster = "c", .partition = 1, .has_stop = true, .stop = 7};
  struct wr_kafka_split back;
  begin();
  put(&split);
  for (size_t length = 0; length < bytes.length; length++)
    CHECK(wr_kafka_split_read(bytes.data, length, &back, NULL) != WEIR_OK);
  wr_bytes_put_u8(&bytes, 0);
  CHECK_INT(read_back(&back), WEIR_CORRUPT);
  put(&split);
  bytes.data[4] ^= 1;
  CHECK_INT(read_back(&back), WEIR_FOREIGN);
  put(&split);
  bytes.data[9 + 4 + strlen(line_of())] = 2;
  CHECK_INT(read_back(&back), WEIR_NEWER);
  put(&split);
  bytes.data[bytes.length - 9] = 2; /* ended without a stop */
  CHECK_INT(read_back(&back), WEIR_CORRUPT);
  put(&split);
  bytes.data[bytes.length - 9] = 4; /* a flag that is not known */
  CHECK_INT(read_back(&back), WEIR_CORRUPT);
  put(&split);
  bytes.data[bytes.length - 1] = 0xff; /* a stop below zero */
  CHECK_INT(read_back(&back), WEIR_CORRUPT);
  wr_bytes_deinit(&bytes);
}

TEST_MAIN(TEST_CASE(what_goes_in_comes_out), TEST_CASE(what_is_damaged_is_refused))
