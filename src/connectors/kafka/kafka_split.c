/* connectors/kafka/kafka_split.c: see kafka_split.h. A split's bytes, little-endian, checked by the checksum of what
 * they lie in:
 *
 *   block  "kafka" (u32 length, bytes)
 *   block  a line for people: "topic=views partition=3 position=1234", then " stop=5000" and " ended" where they apply
 *   u8     version, 1
 *   block  name of the topic, 1 to 249 bytes
 *   block  id of the cluster, 0 to 63 bytes; none where the cluster gave none
 *   u32    partition, 0 to 2^31 - 1
 *   u64    position: offset of the next record to read, 0 to 2^63 - 1
 *   u64    records that were read before it
 *   u8     flags: 1 stop, 2 ended (only with 1)
 *   u64    stop, an offset; 0 without flag 1
 */
#include "connectors/kafka/kafka_split.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char kind[] = "kafka";
enum { VERSION = 1, FLAG_STOP = 1, FLAG_ENDED = 2, FLAGS_ALL = 3 };

void wr_kafka_split_put(struct wr_bytes *out, const struct wr_kafka_split *split) {
  char line[WR_KAFKA_TOPIC_BYTES_MAX + 128], stop[32] = "";
  if (split->has_stop) snprintf(stop, sizeof stop, " stop=%" PRId64, split->stop);
  snprintf(line, sizeof line, "topic=%s partition=%" PRId32 " position=%" PRId64 "%s%s", split->topic, split->partition,
           split->position, stop, split->ended ? " ended" : "");
  wr_bytes_put_string(out, kind);
  wr_bytes_put_string(out, line);
  wr_bytes_put_u8(out, VERSION);
  wr_bytes_put_string(out, split->topic);
  wr_bytes_put_string(out, split->cluster);
  wr_bytes_put_u32(out, (uint32_t)split->partition);
  wr_bytes_put_u64(out, (uint64_t)split->position);
  wr_bytes_put_u64(out, split->records);
  wr_bytes_put_u8(out, (uint8_t)((split->has_stop ? FLAG_STOP : 0) | (split->ended ? FLAG_ENDED : 0)));
  wr_bytes_put_u64(out, split->has_stop ? (uint64_t)split->stop : 0);
}

static enum weir_code read_kind(struct wr_reader *reader, struct weir_error *error) {
  size_t length = 0;
  const uint8_t *bytes = wr_read_block(reader, &length);
  if (bytes == NULL || length != strlen(kind) || memcmp(bytes, kind, length) != 0)
    return WR_FAIL(error, WEIR_FOREIGN,
                   "the stored split \"%.*s\" is not one of a Kafka source; was the source changed? Start over with "
                   "--fresh if it was",
                   length > 64 || bytes == NULL ? 0 : (int)length, (const char *)bytes);
  wr_read_block(reader, &length);
  uint8_t version = wr_read_u8(reader);
  if (!reader->failed && version > VERSION)
    return WR_FAIL(error, WEIR_NEWER, "a stored split of a Kafka source has version %u; this program knows up to %d",
                   version, VERSION);
  return WEIR_OK;
}

/* Reads a text of at most `limit` bytes. */
static bool read_text(struct wr_reader *reader, char *out, size_t limit) {
  size_t length = 0;
  const uint8_t *bytes = wr_read_block(reader, &length);
  if (bytes == NULL || length > limit || memchr(bytes, 0, length) != NULL) return false;
  memcpy(out, bytes, length);
  out[length] = 0;
  return true;
}

static bool is_sound(const struct wr_kafka_split *split, uint8_t flags) {
  return split->topic[0] != 0 && split->partition >= 0 && split->position >= 0 && split->stop >= 0 &&
         (flags & ~FLAGS_ALL) == 0 && (!split->ended || split->has_stop);
}

enum weir_code wr_kafka_split_read(const uint8_t *bytes, size_t length, struct wr_kafka_split *out_split,
                                   struct weir_error *error) {
  struct wr_reader reader = wr_reader_of(bytes, length);
  WR_TRY(read_kind(&reader, error));
  struct wr_kafka_split split = {.partition = 0};
  bool good = read_text(&reader, split.topic, WR_KAFKA_TOPIC_BYTES_MAX) &&
              read_text(&reader, split.cluster, WR_KAFKA_CLUSTER_BYTES_MAX);
  split.partition = (int32_t)wr_read_u32(&reader);
  split.position = (int64_t)wr_read_u64(&reader);
  split.records = wr_read_u64(&reader);
  uint8_t flags = wr_read_u8(&reader);
  split.has_stop = (flags & FLAG_STOP) != 0;
  split.ended = (flags & FLAG_ENDED) != 0;
  split.stop = (int64_t)wr_read_u64(&reader);
  if (!good || reader.failed || reader.position != length || !is_sound(&split, flags))
    return WR_FAIL(error, WEIR_CORRUPT, "a stored split of a Kafka source is damaged near byte %zu", reader.position);
  *out_split = split;
  return WEIR_OK;
}
