/* checkpoint/test_metadata.c: the bytes of chk-N and JOB: round trip, every bit, every length, wrong content under a
 * right digest, no memory, a later version. */
#include "base/hash.h"
#include "base/random.h"
#include "base/test.h"
#include "base/test_memory.h"
#include "checkpoint/identity.h"
#include "checkpoint/test_sample.h"

static void sample(struct wr_memory *memory, struct wr_metadata *out_metadata) {
  struct wr_metadata metadata;
  sample_metadata(memory, 41, (struct wr_handle){0}, sample_file(6, 2, 12345), &metadata);
  struct wr_subtask_state *state = &metadata.operators[0].subtasks[0];
  state->keyed = sample_array(memory, 3, sizeof *state->keyed);
  state->keyed_count = 3;
  state->keyed[0] = sample_file(3, 0, 1 << 30);
  state->keyed[1] = sample_file(7, 1, 300000);
  state->keyed[2] = sample_inline(memory, "delta", 5);
  *out_metadata = metadata;
}

static uint8_t *encoded(struct wr_memory *memory, const struct wr_metadata *metadata, size_t *out_length) {
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, memory, WR_MEMORY_SNAPSHOT);
  WR_ASSERT(wr_metadata_encode(&bytes, metadata, NULL) == WEIR_OK);
  return wr_bytes_take(&bytes, out_length);
}

static void count_file(void *argument, const struct wr_handle *handle) {
  WR_ASSERT(handle->file[0] == 'd');
  ++*(int *)argument;
}

TEST(round_trip) {
  struct test_memory test;
  test_memory_init(&test);
  struct wr_metadata metadata, back;
  struct weir_error error = {0};
  sample(&test.memory, &metadata);
  size_t length, again_length;
  uint8_t *data = encoded(&test.memory, &metadata, &length);
  CHECK_INT(wr_metadata_decode(data, length, "chk-41", &test.memory, &back, &error), WEIR_OK);
  uint8_t *again = encoded(&test.memory, &back, &again_length);
  CHECK_INT(again_length, length);
  CHECK(memcmp(again, data, length) == 0);
  CHECK_INT(back.checkpoint_id, 41);
  CHECK_INT(back.time_ms, 1700000000041);
  CHECK(back.bounded && back.mode == WR_EXACTLY_ONCE);
  CHECK_STRING(back.job_name, "pv");
  CHECK(wr_metadata_find(&back, "count") == &back.operators[0]);
  CHECK_INT(wr_metadata_find(&back, "source")->ended_inputs, 1);
  CHECK(wr_metadata_find(&back, "nobody") == NULL);
  CHECK_INT(back.operators[0].subtasks[1].range.first, 64);
  CHECK_INT(back.operators[1].subtasks[0].commit.epochs[0].parts[0].row_count, 5);
  int files = 0;
  wr_metadata_each_file(&back, count_file, &files);
  CHECK_INT(files, 3);
  wr_free(&test.memory, data);
  wr_free(&test.memory, again);
  wr_metadata_deinit(&test.memory, &metadata);
  wr_metadata_deinit(&test.memory, &back);
  CHECK_INT(test.living_count, 0);
}

TEST(every_bit_and_every_length) {
  struct test_memory test;
  test_memory_init(&test);
  struct wr_metadata metadata, back;
  sample(&test.memory, &metadata);
  size_t length;
  uint8_t *data = encoded(&test.memory, &metadata, &length);
  for (size_t bit = 0; bit < length * 8; bit++) {
    struct weir_error error = {0};
    data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    enum weir_code code = wr_metadata_decode(data, length, "chk-41", &test.memory, &back, &error);
    if (code != WEIR_CORRUPT) TEST_FAIL("bit %zu flipped: %s", bit, weir_code_text(code));
    CHECK(strstr(error.message, "chk-41") != NULL);
    data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  for (size_t cut = 0; cut < length; cut++) {
    /* In memory of just this size, so that a read past its end is seen. */
    uint8_t *copy = malloc(cut + 1);
    memcpy(copy + 1, data, cut);
    CHECK_INT(wr_metadata_decode(copy + 1, cut, "chk-41", &test.memory, &back, NULL), WEIR_CORRUPT);
    free(copy);
  }
  uint8_t *longer = malloc(length + 1);
  memcpy(longer, data, length);
  longer[length] = 0;
  CHECK_INT(wr_metadata_decode(longer, length + 1, "chk-41", &test.memory, &back, NULL), WEIR_CORRUPT);
  free(longer);
  wr_free(&test.memory, data);
  wr_metadata_deinit(&test.memory, &metadata);
  CHECK_INT(test.living_count, 0);
}

/* Gives damaged bytes a right digest. */
static void reseal(uint8_t *data, size_t length) {
  struct wr_digest digest = wr_digest_of(data, length - 16);
  memcpy(data + length - 16, &digest.low, 8);
  memcpy(data + length - 8, &digest.high, 8);
}

TEST(newer) {
  struct test_memory test;
  test_memory_init(&test);
  struct wr_metadata metadata, back;
  struct weir_error error = {0};
  sample(&test.memory, &metadata);
  size_t length;
  uint8_t *data = encoded(&test.memory, &metadata, &length);
  data[8] = 2;
  reseal(data, length);
  CHECK_INT(wr_metadata_decode(data, length, "/x/chk-41", &test.memory, &back, &error), WEIR_NEWER);
  CHECK_STRING(error.message, "/x/chk-41 was written by a newer weir: it has format version 2, and this weir reads "
                              "versions up to 1; use the newer weir");
  data[8] = 0;
  reseal(data, length);
  CHECK_INT(wr_metadata_decode(data, length, "/x/chk-41", &test.memory, &back, &error), WEIR_CORRUPT);
  wr_free(&test.memory, data);
  wr_metadata_deinit(&test.memory, &metadata);
}

/* Wrong content under a right digest is refused or taken, but never read past, and leaks nothing. */
TEST(wrong_content) {
  struct test_memory test;
  test_memory_init(&test);
  struct wr_random random = wr_random_of(test_seed());
  struct wr_metadata metadata, back;
  sample(&test.memory, &metadata);
  size_t length;
  uint8_t *data = encoded(&test.memory, &metadata, &length);
  wr_metadata_deinit(&test.memory, &metadata);
  int refused = 0, taken = 0;
  for (int turn = 0; turn < 60000; turn++) {
    size_t cut = wr_random_one_in(&random, 3) ? 36 + wr_random_below(&random, length - 36) : length;
    uint8_t *copy = malloc(cut);
    memcpy(copy, data, cut);
    for (uint64_t n = wr_random_below(&random, 4); n > 0; n--) {
      size_t at = 20 + wr_random_below(&random, cut - 35);
      copy[at] = wr_random_one_in(&random, 2) ? 0xff : (uint8_t)wr_random_next(&random);
    }
    uint64_t total = cut;
    memcpy(copy + 12, &total, 8);
    reseal(copy, cut);
    struct weir_error error = {0};
    enum weir_code code = wr_metadata_decode(copy, cut, "chk-41", &test.memory, &back, &error);
    if (code == WEIR_OK) {
      size_t again_length;
      uint8_t *again = encoded(&test.memory, &back, &again_length);
      CHECK(again_length == cut && memcmp(again, copy, cut) == 0);
      wr_free(&test.memory, again);
      wr_metadata_deinit(&test.memory, &back);
      taken++;
    } else {
      CHECK_INT(code, WEIR_CORRUPT);
      CHECK(strstr(error.message, "chk-41 is damaged") != NULL);
      refused++;
    }
    CHECK_INT(test.living_count, 1);
    free(copy);
  }
  CHECK(refused > 1000 && taken > 1000);
  wr_free(&test.memory, data);
}

TEST(no_memory) {
  struct test_memory test;
  test_memory_init(&test);
  struct wr_metadata metadata, back;
  sample(&test.memory, &metadata);
  size_t length;
  uint8_t *data = encoded(&test.memory, &metadata, &length);
  uint64_t living = test.living_count;
  for (uint64_t n = 1;; n++) {
    test_memory_fail_after(&test, n, n % 2 == 0);
    enum weir_code code = wr_metadata_decode(data, length, "chk-41", &test.memory, &back, NULL);
    test_memory_fail_after(&test, 0, false);
    if (code == WEIR_OK) break;
    CHECK_INT(code, WEIR_NO_MEMORY);
    CHECK_INT(test.living_count, living);
  }
  wr_metadata_deinit(&test.memory, &back);
  wr_metadata_deinit(&test.memory, &metadata);
  wr_free(&test.memory, data);
}

TEST(identity) {
  struct test_memory test;
  test_memory_init(&test);
  struct wr_identity identity = {.job_name = "pv", .start_number = 5, .checkpoint_id_limit = 2049, .in_doubt = true};
  memset(identity.incarnation, 0x11, 16);
  memset(identity.parent, 0x22, 16);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &test.memory, WR_MEMORY_ENGINE);
  struct weir_error error = {0};
  CHECK_INT(wr_identity_encode(&bytes, &identity, &error), WEIR_OK);
  struct wr_identity back;
  CHECK_INT(wr_identity_decode(bytes.data, bytes.length, "JOB", &back, &error), WEIR_OK);
  CHECK(strcmp(back.job_name, "pv") == 0 && back.start_number == 5 && back.checkpoint_id_limit == 2049);
  CHECK(back.in_doubt && !back.finished && back.resumed_from == 0);
  CHECK(memcmp(back.incarnation, identity.incarnation, 16) == 0 && memcmp(back.parent, identity.parent, 16) == 0);
  for (size_t bit = 0; bit < bytes.length * 8; bit++) {
    bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    CHECK_INT(wr_identity_decode(bytes.data, bytes.length, "JOB", &back, &error), WEIR_CORRUPT);
    bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  for (size_t cut = 0; cut < bytes.length; cut++)
    CHECK_INT(wr_identity_decode(bytes.data, cut, "JOB", &back, &error), WEIR_CORRUPT);
  struct wr_random random = wr_random_of(test_seed());
  for (int turn = 0; turn < 5000; turn++) {
    uint8_t copy[256];
    memcpy(copy, bytes.data, bytes.length);
    copy[20 + wr_random_below(&random, bytes.length - 36)] = (uint8_t)wr_random_next(&random);
    reseal(copy, bytes.length);
    enum weir_code code = wr_identity_decode(copy, bytes.length, "JOB", &back, &error);
    CHECK(code == WEIR_OK || code == WEIR_CORRUPT);
  }
  bytes.data[8] = 9;
  reseal(bytes.data, bytes.length);
  CHECK_INT(wr_identity_decode(bytes.data, bytes.length, "JOB", &back, &error), WEIR_NEWER);
  wr_bytes_deinit(&bytes);
}

TEST_MAIN(TEST_CASE(round_trip), TEST_CASE(every_bit_and_every_length), TEST_CASE(newer), TEST_CASE(wrong_content),
          TEST_CASE(no_memory), TEST_CASE(identity))
