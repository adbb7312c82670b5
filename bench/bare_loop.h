/* bench/bare_loop.h: a count per key as a bare loop in C: the floor under every engine that does the same. Header only.
 *
 * One thread. Per batch of 4,096 rows: the generator fills a key column, the table counts, and an output of key and new
 * count per row (an upsert stream) is written and forgotten. No NULLs, no key groups, no exchange, no snapshots, no
 * growth: the table is made for the number of keys. It measures million rows per CPU second.
 *
 * BIGINT: slots of key and count, empty where the count is 0. STRING: views as in a batch, "app123" within the view,
 * "customer-number-123" outside it; hashed by XXH3; slots of hash, bytes and count. Linear probing, at most 60 % full,
 * prefetched within a batch.
 */
#ifndef BENCH_BARE_LOOP_H
#define BENCH_BARE_LOOP_H

#include "bench/common.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/random.h"
#include "data/batch.h"

enum { BARE_ROWS = WR_BATCH_ROWS_MAX, BARE_PREFETCH_AHEAD = 16, BARE_STRING_BYTES_MAX = 44 };

static inline void *bare_zeroed(size_t count, size_t bytes) {
  void *block = calloc(count, bytes);
  if (block == NULL) bench_fail("no memory for the table of the bare loop");
  return block;
}

/* Slots for `keys`, a power of two. */
static inline uint64_t bare_slots_for(uint64_t keys) {
  uint64_t slots = 1024;
  while (slots * 6 < keys * 10)
    slots *= 2;
  return slots;
}

/* ---- BIGINT ---- */

struct bare_number {
  int64_t key, count;
};
struct bare_numbers {
  struct bare_number *slots;
  uint64_t mask;
  int64_t keys[BARE_ROWS]; /* the input */
  uint64_t at[BARE_ROWS];
  int64_t out_keys[BARE_ROWS], out_counts[BARE_ROWS];
};

static inline void bare_count_numbers(struct bare_numbers *loop, struct wr_random *random, uint64_t key_count) {
  struct bare_number *slots = loop->slots;
  uint64_t mask = loop->mask;
  for (int i = 0; i < BARE_ROWS; i++)
    loop->keys[i] = (int64_t)wr_random_below(random, key_count);
  for (int i = 0; i < BARE_ROWS; i++)
    loop->at[i] = wr_hash_index_u64((uint64_t)loop->keys[i], 0x5eed) & mask;
  for (int i = 0; i < BARE_ROWS; i++) {
    if (i + BARE_PREFETCH_AHEAD < BARE_ROWS) __builtin_prefetch(&slots[loop->at[i + BARE_PREFETCH_AHEAD]], 1);
    int64_t key = loop->keys[i];
    uint64_t at = loop->at[i];
    while (slots[at].count != 0 && slots[at].key != key)
      at = (at + 1) & mask;
    slots[at].key = key;
    loop->out_keys[i] = key;
    loop->out_counts[i] = ++slots[at].count;
  }
}

/* ---- STRING ---- */

struct bare_string {
  uint64_t hash;
  int64_t count;
  int32_t length;
  char bytes[BARE_STRING_BYTES_MAX];
};
struct bare_strings {
  struct bare_string *slots;
  uint64_t mask;
  const char *prefix;             /* of every key; then come the digits of its number */
  struct wr_view keys[BARE_ROWS]; /* the input: views, long ones into `heap` */
  char heap[BARE_ROWS * BARE_STRING_BYTES_MAX];
  uint64_t hashes[BARE_ROWS];
  struct wr_view out_keys[BARE_ROWS];
  int64_t out_counts[BARE_ROWS];
};

static inline const char *bare_view_bytes(const struct bare_strings *loop, const struct wr_view *view) {
  return view->length <= WR_VIEW_INLINE_MAX ? view->bytes : &loop->heap[view->offset];
}

static inline void bare_make_strings(struct bare_strings *loop, struct wr_random *random, uint64_t key_count) {
  size_t prefix_bytes = strlen(loop->prefix);
  uint32_t used = 0;
  for (uint32_t i = 0; i < BARE_ROWS; i++) {
    char digits[20];
    size_t digit_count = 0;
    for (uint64_t n = wr_random_below(random, key_count), more = 1; more != 0; more = n, digit_count++, n /= 10)
      digits[sizeof digits - 1 - digit_count] = (char)('0' + n % 10);
    size_t length = prefix_bytes + digit_count;
    struct wr_view view = {.length = (int32_t)length};
    char *bytes = length <= WR_VIEW_INLINE_MAX ? view.bytes : &loop->heap[used];
    memcpy(bytes, loop->prefix, prefix_bytes);
    memcpy(bytes + prefix_bytes, digits + sizeof digits - digit_count, digit_count);
    if (length > WR_VIEW_INLINE_MAX) {
      memcpy(view.prefix, bytes, sizeof view.prefix);
      view.offset = used;
      used += (uint32_t)length;
    }
    loop->keys[i] = view;
  }
}

static inline void bare_count_strings(struct bare_strings *loop) {
  struct bare_string *slots = loop->slots;
  uint64_t mask = loop->mask;
  for (int i = 0; i < BARE_ROWS; i++)
    loop->hashes[i] = wr_hash_index(bare_view_bytes(loop, &loop->keys[i]), (size_t)loop->keys[i].length, 0x5eed);
  for (int i = 0; i < BARE_ROWS; i++) {
    if (i + BARE_PREFETCH_AHEAD < BARE_ROWS)
      __builtin_prefetch(&slots[loop->hashes[i + BARE_PREFETCH_AHEAD] & mask], 1);
    const char *bytes = bare_view_bytes(loop, &loop->keys[i]);
    int32_t length = loop->keys[i].length;
    uint64_t hash = loop->hashes[i], at = hash & mask;
    while (slots[at].count != 0 && (slots[at].hash != hash || slots[at].length != length ||
                                    memcmp(slots[at].bytes, bytes, (size_t)length) != 0))
      at = (at + 1) & mask;
    if (slots[at].count == 0) {
      slots[at].hash = hash;
      slots[at].length = length;
      memcpy(slots[at].bytes, bytes, (size_t)length);
    }
    loop->out_keys[i] = loop->keys[i];
    loop->out_counts[i] = ++slots[at].count;
  }
}

/* ---- measuring ---- */

/* Fills a table and counts `runs` times `batches` batches; adds million rows per CPU second. */
static inline void bare_measure_numbers(uint64_t key_count, uint64_t batches, int runs, struct bench_runs *out_rates) {
  static struct bare_numbers loop;
  loop.mask = bare_slots_for(key_count) - 1;
  loop.slots = bare_zeroed(loop.mask + 1, sizeof *loop.slots);
  struct wr_random random = wr_random_of(1);
  uint64_t rows = 0, sum = 0;
  for (int run = 0; run <= runs; run++) {
    uint64_t wanted = run == 0 && batches * BARE_ROWS < 3 * key_count ? 3 * key_count / BARE_ROWS : batches;
    double begin_s = bench_cpu_s();
    for (uint64_t b = 0; b < wanted; b++) {
      bare_count_numbers(&loop, &random, key_count);
      BENCH_KEEP(&loop);
    }
    if (run != 0) bench_add(out_rates, (double)(wanted * BARE_ROWS) / (bench_cpu_s() - begin_s) / 1e6);
    rows += wanted * BARE_ROWS;
  }
  for (uint64_t i = 0; i <= loop.mask; i++)
    sum += (uint64_t)loop.slots[i].count;
  if (sum != rows) bench_fail("the bare loop has lost rows");
  free(loop.slots);
}

/* The same for STRING keys: the prefix and a number. */
static inline void bare_measure_strings(const char *prefix, uint64_t key_count, uint64_t batches, int runs,
                                        struct bench_runs *out_rates) {
  static struct bare_strings loop;
  loop.prefix = prefix;
  loop.mask = bare_slots_for(key_count) - 1;
  loop.slots = bare_zeroed(loop.mask + 1, sizeof *loop.slots);
  struct wr_random random = wr_random_of(1);
  uint64_t rows = 0, sum = 0;
  for (int run = 0; run <= runs; run++) {
    uint64_t wanted = run == 0 && batches * BARE_ROWS < 3 * key_count ? 3 * key_count / BARE_ROWS : batches;
    double begin_s = bench_cpu_s();
    for (uint64_t b = 0; b < wanted; b++) {
      bare_make_strings(&loop, &random, key_count);
      bare_count_strings(&loop);
      BENCH_KEEP(&loop);
    }
    if (run != 0) bench_add(out_rates, (double)(wanted * BARE_ROWS) / (bench_cpu_s() - begin_s) / 1e6);
    rows += wanted * BARE_ROWS;
  }
  for (uint64_t i = 0; i <= loop.mask; i++)
    sum += (uint64_t)loop.slots[i].count;
  if (sum != rows) bench_fail("the bare loop has lost rows");
  free(loop.slots);
}

#endif
