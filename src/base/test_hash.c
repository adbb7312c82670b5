/* Tests of base/hash.c: checksums do not depend on the processor, nor on how the bytes come. */
#include "base/hash.h"
#include "base/random.h"
#include "base/test.h"

enum { BYTES_MAX = 300 * 1024, TRIES = 300 };

/* A key's hash and a whole digest are made the same way everywhere; a checksum and a stream, with what there is. */
TEST(wide_and_narrow_are_equal) {
  struct wr_random random = wr_random_of(test_seed());
  uint8_t *bytes = malloc(BYTES_MAX);
  for (size_t i = 0; i < BYTES_MAX; i++)
    bytes[i] = (uint8_t)wr_random_next(&random);
  for (int try = 0; try < TRIES; try++) {
    size_t first = (size_t)wr_random_below(&random, 64);
    size_t length = (size_t)wr_random_below(&random, try % 2 == 0 ? 4096 : BYTES_MAX - 64);
    CHECK(wr_checksum(bytes + first, length) == wr_hash_key(bytes + first, length));
    struct wr_digest_stream stream;
    wr_digest_start(&stream);
    for (size_t done = 0; done < length;) {
      size_t piece = 1 + (size_t)wr_random_below(&random, try % 3 == 0 ? 3000 : 200000);
      if (piece > length - done) piece = length - done;
      wr_digest_add(&stream, bytes + first + done, piece);
      done += piece;
    }
    struct wr_digest whole = wr_digest_of(bytes + first, length), joined = wr_digest_end(&stream);
    CHECK(whole.low == joined.low && whole.high == joined.high);
  }
  free(bytes);
}

TEST_MAIN(TEST_CASE(wide_and_narrow_are_equal))
