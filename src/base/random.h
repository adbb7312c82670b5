/* base/random.h: a small seeded generator (SplitMix64) for tests, generators and jitter; never for ids. Not shared. */
#ifndef WR_BASE_RANDOM_H
#define WR_BASE_RANDOM_H

#include <stdint.h>

struct wr_random {
  uint64_t state;
};

static inline struct wr_random wr_random_of(uint64_t seed) {
  return (struct wr_random){.state = seed};
}

static inline uint64_t wr_random_next(struct wr_random *random) {
  uint64_t z = (random->state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/* 0 to bound - 1; bound is at least 1. The bias is below 2^-32 for bounds below 2^32. */
static inline uint64_t wr_random_below(struct wr_random *random, uint64_t bound) {
  return (uint64_t)(((unsigned __int128)wr_random_next(random) * bound) >> 64);
}

/* True once in `n` calls on average; n = 0 is never. */
static inline int wr_random_one_in(struct wr_random *random, uint64_t n) {
  return n != 0 && wr_random_below(random, n) == 0;
}

#endif
