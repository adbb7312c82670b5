/* What a start may do before it is sure: the starts that are refused leave every byte of folder and target as it is. */
#include "runtime/test_small_job.h"

static const char FOLDER[] = "/state/small";

/* A digest of the names and bytes in the folder, whatever their order; LOCK holds nothing. */
static uint64_t folder_digest(struct small_job *small) {
  struct wr_name_list names = sim_disk_list(small->world, FOLDER);
  uint64_t sum = names.count;
  for (size_t i = 0; i < names.count; i++) {
    char path[256];
    size_t length = 0;
    snprintf(path, sizeof path, "%s/%s", FOLDER, names.names[i]);
    uint8_t *data = sim_disk_read(small->world, path, &length);
    uint64_t hash = 14695981039346656037u;
    for (const char *c = names.names[i]; *c != 0; c++)
      hash = (hash ^ (uint8_t)*c) * 1099511628211u;
    for (size_t k = 0; k < length; k++)
      hash = (hash ^ data[k]) * 1099511628211u;
    sum += hash;
    free(data);
  }
  sim_disk_list_free(&names);
  return sum;
}

/* A job that has run for a while, was killed, and has committed something. */
static void begin(struct small_job *small) {
  small_init(small, test_seed(), UINT64_MAX);
  small_start(small, 1);
  CHECK(small_reach(small, WR_JOB_RUN));
  small_run_ms(small, 200);
  CHECK(small->marker.checkpoint_id > 0);
  small_kill(small);
}

/* The next start ends by `code`, and nothing has changed. */
static void is_refused(struct small_job *small, enum weir_code code) {
  struct weir_error error = {.code = WEIR_OK};
  uint64_t digest = folder_digest(small);
  struct wr_marker marker = small->marker;
  uint64_t rows = small->rows;
  small_start(small, 2);
  enum weir_code got = small_end(small, NULL, &error);
  if (got != code) TEST_FAIL("%d, expected %d: %s", (int)got, (int)code, error.message);
  CHECK(folder_digest(small) == digest);
  CHECK(memcmp(&marker, &small->marker, sizeof marker) == 0 && small->rows == rows);
}

static void goes_on(struct small_job *small) {
  struct weir_error error;
  small_start(small, 3);
  if (!small_reach(small, WR_JOB_RUN)) {
    enum weir_code code = small_end(small, NULL, &error);
    TEST_FAIL("%d: %s", (int)code, error.message);
  }
  small_run_ms(small, 100);
  wr_job_stop(small->job);
  CHECK_INT(small_end(small, NULL, &error), WEIR_OK);
}

/* Damages the newest `count` checkpoints. */
static void damage(struct small_job *small, int count) {
  for (int i = 0; i < count; i++) {
    struct wr_name_list names = sim_disk_list(small->world, FOLDER);
    char path[256] = "";
    uint64_t newest = 0;
    for (size_t k = 0; k < names.count; k++) {
      uint64_t id;
      if (!wr_checkpoint_name_parse(names.names[k], &id) || id <= newest) continue;
      char candidate[256];
      snprintf(candidate, sizeof candidate, "%s/%s", FOLDER, names.names[k]);
      if (sim_disk_size(small->world, candidate) == 7) continue; /* damaged before */
      newest = id;
      memcpy(path, candidate, sizeof path);
    }
    sim_disk_list_free(&names);
    CHECK(path[0] != 0);
    sim_disk_cut(small->world, path, 7);
  }
}

static void remove_checkpoints(struct small_job *small, bool only_damaged) {
  struct wr_name_list names = sim_disk_list(small->world, FOLDER);
  for (size_t i = 0; i < names.count; i++) {
    uint64_t id;
    char path[256];
    snprintf(path, sizeof path, "%s/%s", FOLDER, names.names[i]);
    if (!wr_checkpoint_name_parse(names.names[i], &id)) continue;
    if (!only_damaged || sim_disk_size(small->world, path) == 7) sim_disk_remove(small->world, path);
  }
  sim_disk_list_free(&names);
}

TEST(a_target_that_is_ahead_or_has_lost_data) {
  struct small_job small;
  begin(&small);
  CHECK_PASSED();
  struct wr_marker marker = small.marker;
  small.marker.checkpoint_id += 1000; /* newer output than any checkpoint knows */
  is_refused(&small, WEIR_REFUSED);
  small.marker = (struct wr_marker){.present = false};
  is_refused(&small, WEIR_REFUSED);
  small.forgets = true; /* killed, so what was acknowledged may not be recorded */
  is_refused(&small, WEIR_REFUSED);
  small.forgets = false;
  small.marker = marker;
  small.marker.checkpoint_id = 0;
  is_refused(&small, WEIR_REFUSED);
  small.marker = marker;
  small.marker.start_number += 100; /* a copy of the folder ran elsewhere */
  is_refused(&small, WEIR_FENCED);
  small.marker = marker;
  small.marker.incarnation[0] ^= 1;
  is_refused(&small, WEIR_REFUSED);
  small.marker = marker;
  CHECK_PASSED();
  goes_on(&small);
  small_deinit(&small);
}

TEST(another_job_and_other_options) {
  struct small_job small;
  begin(&small);
  CHECK_PASSED();
  small.options.name = "other";
  is_refused(&small, WEIR_FOREIGN);
  small.options.name = "small";
  small.options.max_parallelism = 64;
  is_refused(&small, WEIR_INVALID);
  small.options.max_parallelism = 0;
  CHECK_PASSED();
  goes_on(&small);
  small_deinit(&small);
}

TEST(damaged_checkpoints) {
  struct small_job small;
  begin(&small);
  CHECK_PASSED();
  damage(&small, 1); /* the one before it is whole, but its output is out */
  is_refused(&small, WEIR_REFUSED);
  damage(&small, 1);
  is_refused(&small, WEIR_CORRUPT);
  CHECK_PASSED();
  small.options.fresh = true;
  goes_on(&small);
  small_deinit(&small);
}

static void note_file(void *argument, const struct wr_handle *handle) {
  snprintf(argument, WR_FILE_NAME_BYTES, "%s", handle->file);
}

/* The newest checkpoint's id, the one before it, and a data file that the newest names. */
static void read_newest(struct small_job *small, uint64_t *out_id, uint64_t *out_before, char out_path[256]) {
  struct wr_name_list names = sim_disk_list(small->world, FOLDER);
  struct wr_metadata metadata;
  char name[WR_FILE_NAME_BYTES] = "";
  *out_id = *out_before = 0;
  for (size_t i = 0; i < names.count; i++) {
    uint64_t id;
    if (!wr_checkpoint_name_parse(names.names[i], &id)) continue;
    *out_before = id > *out_id ? *out_id : id > *out_before ? id : *out_before;
    if (id > *out_id) *out_id = id;
  }
  sim_disk_list_free(&names);
  snprintf(out_path, 256, "%s/chk-%llu", FOLDER, (unsigned long long)*out_id);
  size_t length = 0;
  uint8_t *data = sim_disk_read(small->world, out_path, &length);
  CHECK(data != NULL);
  CHECK_INT(wr_metadata_decode(data, length, out_path, &small->memory.memory, &metadata, NULL), WEIR_OK);
  free(data);
  wr_metadata_each_file(&metadata, note_file, name);
  wr_metadata_deinit(&small->memory.memory, &metadata);
  CHECK(name[0] != 0);
  snprintf(out_path, 256, "%s/%s", FOLDER, name);
}

/* The metadata is whole, a file that it names is not: as if the metadata were damaged. */
TEST(damaged_data_files) {
  for (int kind = 0; kind < 3; kind++) {
    struct small_job small;
    small_init(&small, test_seed() + (uint64_t)kind, UINT64_MAX);
    small.options.checkpoint_interval_ms = 300; /* then an epoch lies in a file */
    small_start(&small, 1);
    CHECK(small_reach(&small, WR_JOB_RUN));
    for (uint64_t commits = small.commits + 5; small.commits < commits;) /* killed when the newest is committed */
      small_run_ms(&small, 1);
    small_kill(&small);
    uint64_t newest, before;
    char path[256];
    read_newest(&small, &newest, &before, path);
    CHECK_PASSED();
    CHECK_INT(small.marker.checkpoint_id, newest);
    uint64_t size = sim_disk_size(small.world, path);
    if (kind == 0) sim_disk_flip_bit(small.world, path, size * 4);
    if (kind == 1) sim_disk_cut(small.world, path, size - 1);
    if (kind == 2) sim_disk_remove(small.world, path);
    is_refused(&small, WEIR_REFUSED); /* its output is out */
    CHECK_PASSED();
    small.marker.checkpoint_id = before; /* as if it were not */
    small_start(&small, 2);
    CHECK(small_reach(&small, WR_JOB_RUN));
    struct wr_job_status status;
    wr_job_read_status(small.job, &status);
    CHECK_INT(status.restored_checkpoint, before);
    small_run_ms(&small, 400);
    wr_job_stop(small.job);
    CHECK_INT(small_end(&small, NULL, NULL), WEIR_OK);
    small_deinit(&small);
  }
}

struct saved {
  uint64_t id;
  char path[256];
  uint8_t *bytes;
  size_t length;
};

static uint64_t newest_id(struct small_job *small) {
  struct wr_name_list names = sim_disk_list(small->world, FOLDER);
  uint64_t newest = 0, id;
  for (size_t i = 0; i < names.count; i++)
    if (wr_checkpoint_name_parse(names.names[i], &id) && id > newest) newest = id;
  sim_disk_list_free(&names);
  return newest;
}

/* Lives until a checkpoint is there whose epoch the target does not take; killed. The checkpoint is saved. */
static void live_without_commits(struct small_job *small, uint64_t seed, struct saved *out) {
  small->commit = (struct small_fault){.code = WEIR_IO, .times = -1};
  small_start(small, seed);
  CHECK(small_reach(small, WR_JOB_RUN));
  for (uint64_t before = newest_id(small); newest_id(small) == before;)
    small_run_ms(small, 1);
  small_kill(small);
  *out = (struct saved){.id = newest_id(small)};
  snprintf(out->path, sizeof out->path, "%s/chk-%llu", FOLDER, (unsigned long long)out->id);
  out->bytes = sim_disk_read(small->world, out->path, &out->length);
  CHECK(out->bytes != NULL);
}

/* A checkpoint cannot be read, and the job goes on from the one before it; then it is mended, the newer one is put
 * away, and its epoch is committed. What the job made in between knows nothing of that one. */
TEST(two_histories) {
  struct small_job small;
  begin(&small);
  while (newest_id(&small) != small.marker.checkpoint_id) { /* all is out that the newest carries */
    small_start(&small, 7);
    for (uint64_t commits = small.commits; small.commits == commits;)
      small_run_ms(&small, 1);
    small_kill(&small);
  }
  struct saved first, second;
  live_without_commits(&small, 2, &first);
  damage(&small, 1);
  live_without_commits(&small, 3, &second);
  CHECK_PASSED();
  CHECK(small.marker.checkpoint_id < first.id && first.id < second.id);
  sim_disk_remove(small.world, second.path);
  sim_disk_replace(small.world, first.path, first.bytes, first.length);
  small.commit.times = 0;
  small_start(&small, 4);
  while (small.marker.checkpoint_id < first.id)
    small_run_ms(&small, 1);
  small_kill(&small);
  CHECK_INT(small.marker.checkpoint_id, first.id);
  sim_disk_replace(small.world, second.path, second.bytes, second.length);
  is_refused(&small, WEIR_REFUSED);
  CHECK_PASSED();
  sim_disk_remove(small.world, second.path);
  goes_on(&small);
  free(first.bytes);
  free(second.bytes);
  small_deinit(&small);
}

TEST(an_older_identity_than_the_checkpoints) {
  struct small_job small;
  begin(&small);
  CHECK(sim_disk_copy(small.world, "/state/small/JOB", "/state/JOB"));
  for (int life = 0; life < 2; life++) {
    small_start(&small, 5);
    CHECK(small_reach(&small, WR_JOB_RUN));
    small_run_ms(&small, 100);
    small_kill(&small);
  }
  sim_disk_remove(small.world, "/state/small/JOB");
  CHECK(sim_disk_rename(small.world, "/state/JOB", "/state/small/JOB"));
  is_refused(&small, WEIR_CORRUPT);
  small_deinit(&small);
}

/* A target without a marker after a clean stop: only one that may forget it by itself is believed, and only when the
 * checkpoint is the one that the job was stopped with. */
TEST(a_marker_that_is_gone_after_a_stop) {
  struct small_job small;
  small_init(&small, test_seed(), UINT64_MAX);
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_RUN));
  small_run_ms(&small, 200);
  wr_job_stop(small.job);
  CHECK_INT(small_end(&small, NULL, NULL), WEIR_OK);
  small.marker = (struct wr_marker){.present = false};
  is_refused(&small, WEIR_REFUSED);
  small.forgets = true;
  damage(&small, 1);
  is_refused(&small, WEIR_REFUSED);
  remove_checkpoints(&small, true);
  is_refused(&small, WEIR_REFUSED);
  remove_checkpoints(&small, false);
  is_refused(&small, WEIR_REFUSED);
  CHECK_PASSED();
  small_deinit(&small);
}

TEST_MAIN(TEST_CASE(a_target_that_is_ahead_or_has_lost_data), TEST_CASE(another_job_and_other_options),
          TEST_CASE(damaged_checkpoints), TEST_CASE(damaged_data_files), TEST_CASE(two_histories),
          TEST_CASE(an_older_identity_than_the_checkpoints), TEST_CASE(a_marker_that_is_gone_after_a_stop))
