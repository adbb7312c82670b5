/* checkpoint/test_folder_crash.c: the life of a job's folder on the simulated disk: every file operation a crash
 * (process killed or power cut, before or after its effect), every file operation failing once or for ever, and pairs
 * of both.
 *
 * A life is: open, read the identity, load the newest checkpoint and publish it again, publish a new start, clean up,
 * then three checkpoints with data files, each followed by a clean-up. After an error it starts again, as a job does.
 * What must hold whenever it is cut off: the next start opens the folder and finds every checkpoint in it whole, none
 * older than the last one that was reported durable, and a start number not below the last one reported durable. */
#include "base/test.h"
#include "checkpoint/folder.h"
#include "checkpoint/test_sample.h"
#include "sim/sim_disk.h"
#include "store/blob.h"

static const char folder_path[] = "/srv/weir-state/pv";

/* What the harness knows, whatever happens to the engine. */
struct life {
  struct sim_world *world;
  uint64_t durable_id;    /* last checkpoint that publish called durable */
  uint64_t durable_start; /* last start number that publish called durable */
  uint64_t attempts;
  bool completed;      /* all three checkpoints of an attempt were made */
  enum weir_code code; /* of the last attempt */
  struct weir_error error;
};

/* One start of the job, within a coroutine. */
struct start {
  struct life *life;
  struct wr_files *files;
  struct wr_memory *memory;
  struct wr_folder *folder;
  struct wr_identity identity;
  uint64_t next_serial;
  uint64_t next_id;
  uint64_t retained[2];
  uint32_t retained_count;
  struct wr_handle chain;   /* of the newest checkpoint: one file is carried on */
  struct wr_handle carried; /* the epoch of a checkpoint that failed: it stays prepared and is named again */
  struct weir_error *error;
};

/* A data file as an upload writes it, but within this call. */
static enum weir_code write_file(struct start *start, struct wr_handle *out_handle) {
  struct wr_blob_header header = {
      .kind = WR_BLOB_STATE, .start_number = start->identity.start_number, .serial = start->next_serial++, .uid = "u"};
  uint8_t bytes[WR_BLOB_HEADER_BYTES_MAX + WR_BLOB_BLOCK_HEADER_BYTES + 700];
  uint64_t salt;
  size_t head = wr_blob_header_encode(&header, bytes, &salt);
  uint8_t *payload = bytes + head + WR_BLOB_BLOCK_HEADER_BYTES;
  memset(payload, (int)(header.serial + header.start_number), 700);
  wr_blob_block_seal(bytes + head, 700, head, salt);
  struct wr_handle handle = {.offset = head, .length = 700, .digest = wr_digest_of(payload, 700)};
  wr_data_file_name(header.start_number, header.serial, handle.file);
  char path[128];
  snprintf(path, sizeof path, "%s/%s", folder_path, handle.file);
  struct wr_file *file = NULL;
  WR_TRY(start->files->open(start->files, path, WR_FILE_CREATE_NEW, &file, start->error));
  enum weir_code code =
      wr_file_write_all(start->files, file, 0, bytes, head + WR_BLOB_BLOCK_HEADER_BYTES + 700, NULL, start->error);
  if (code == WEIR_OK) code = start->files->sync(start->files, file, start->error);
  enum weir_code close_code = start->files->close(start->files, file, code == WEIR_OK ? start->error : NULL);
  *out_handle = handle;
  return code != WEIR_OK ? code : close_code;
}

static enum weir_code outcome_code(const struct start *start, enum wr_publish_outcome outcome) {
  return outcome == WR_PUBLISH_DURABLE ? WEIR_OK : start->error->code;
}

static enum weir_code publish_start(struct start *start, bool exists) {
  struct wr_identity *identity = &start->identity;
  if (!exists) {
    *identity = (struct wr_identity){.job_name = "pv", .checkpoint_id_limit = 1};
    memset(identity->incarnation, 0x33, sizeof identity->incarnation);
  }
  start->next_id = identity->checkpoint_id_limit;
  identity->start_number++;
  identity->checkpoint_id_limit += 10;
  WR_TRY(outcome_code(start, wr_folder_publish_identity(start->folder, identity, start->error)));
  start->life->durable_start = identity->start_number;
  return WEIR_OK;
}

static enum weir_code clean(struct start *start) {
  struct wr_folder_cleanup cleanup = {.retained = start->retained,
                                      .retained_count = start->retained_count,
                                      .present_start = start->identity.start_number};
  uint32_t removed;
  return wr_folder_clean_up(start->folder, &cleanup, &removed, start->error);
}

static void remember(struct start *start, uint64_t id, const struct wr_handle *keyed) {
  start->life->durable_id = id;
  if (start->retained_count == 2) start->retained[0] = start->retained[1];
  if (start->retained_count < 2) start->retained_count++;
  start->retained[start->retained_count - 1] = id;
  start->chain = *keyed;
  start->carried.length = 0;
}

/* A checkpoint whose publish FAILED does not end the attempt: its epoch goes with the next one. */
static enum weir_code checkpoint(struct start *start) {
  struct wr_handle keyed, epoch;
  WR_TRY(write_file(start, &keyed));
  WR_TRY(write_file(start, &epoch));
  struct wr_metadata metadata;
  sample_metadata(start->memory, start->next_id++, keyed, epoch, &metadata);
  struct wr_subtask_state *state = &metadata.operators[0].subtasks[0];
  state->keyed = sample_array(start->memory, 2, sizeof *state->keyed);
  if (start->chain.length != 0) state->keyed[state->keyed_count++] = start->chain;
  if (start->carried.length != 0) state->keyed[state->keyed_count++] = start->carried;
  enum wr_publish_outcome outcome = wr_folder_publish_checkpoint(start->folder, &metadata, true, start->error);
  if (outcome == WR_PUBLISH_DURABLE) remember(start, metadata.checkpoint_id, &keyed);
  if (outcome == WR_PUBLISH_FAILED) start->carried = epoch;
  wr_metadata_deinit(start->memory, &metadata);
  if (outcome == WR_PUBLISH_UNKNOWN) return start->error->code;
  return clean(start);
}

static enum weir_code restore(struct start *start) {
  struct wr_metadata metadata;
  bool exists;
  uint32_t damaged;
  WR_TRY(wr_folder_load_newest(start->folder, UINT64_MAX, &metadata, &exists, &damaged, NULL, start->error));
  if (damaged != 0) return WR_FAIL(start->error, WEIR_CORRUPT, "a newer checkpoint is damaged");
  if (!exists) return WEIR_OK;
  start->retained[0] = metadata.checkpoint_id;
  start->retained_count = 1;
  start->chain = metadata.operators[0].subtasks[1].keyed[0];
  wr_metadata_deinit(start->memory, &metadata);
  return outcome_code(start, wr_folder_publish_again(start->folder, start->retained[0], start->error));
}

static enum weir_code run_start(struct start *start) {
  WR_TRY(wr_folder_open(start->files, start->memory, folder_path, false, &start->folder, start->error));
  bool exists;
  WR_TRY(wr_folder_read_identity(start->folder, &start->identity, &exists, start->error));
  WR_TRY(restore(start));
  WR_TRY(publish_start(start, exists));
  WR_TRY(clean(start));
  for (int i = 0; i < 3; i++)
    WR_TRY(checkpoint(start));
  return WEIR_OK;
}

static void run_life(void *context) {
  struct life *life = context;
  struct wr_seams *seams = sim_world_seams(life->world);
  for (int attempt = 0; attempt < 3 && !life->completed; attempt++) {
    life->attempts++;
    struct start start = {.life = life, .files = seams->files, .memory = seams->memory, .error = &life->error};
    life->code = run_start(&start);
    life->completed = life->code == WEIR_OK;
    wr_folder_close(start.folder);
    if (sim_world_crashed(life->world)) break;
  }
}

struct verifying {
  struct wr_store store;
  enum weir_code code;
  struct weir_error *error;
};

static void verify_file(void *argument, const struct wr_handle *handle) {
  struct verifying *verifying = argument;
  if (verifying->code == WEIR_OK) verifying->code = wr_blob_verify(&verifying->store, handle, verifying->error);
}

/* What the next start finds, looked at without faults. */
static bool is_whole(struct life *life) {
  struct wr_seams *seams = sim_world_seams(life->world);
  struct weir_error error = {0};
  struct wr_folder *folder = NULL;
  struct wr_identity identity = {0};
  bool exists = false;
  uint64_t *ids = NULL;
  uint32_t count = 0;
  enum weir_code code = wr_folder_open(seams->files, seams->memory, folder_path, false, &folder, &error);
  if (code == WEIR_OK) code = wr_folder_read_identity(folder, &identity, &exists, &error);
  if (code == WEIR_OK && identity.start_number < life->durable_start)
    code = WR_FAIL(&error, WEIR_CORRUPT, "start %" PRIu64 " was durable, now it is %" PRIu64, life->durable_start,
                   identity.start_number);
  if (code == WEIR_OK) code = wr_folder_list_checkpoints(folder, &ids, &count, &error);
  if (code == WEIR_OK && (count == 0 ? 0 : ids[count - 1]) < life->durable_id)
    code = WR_FAIL(&error, WEIR_CORRUPT, "checkpoint %" PRIu64 " was durable and is gone", life->durable_id);
  if (code == WEIR_OK && count > 0 && ids[count - 1] >= identity.checkpoint_id_limit)
    code = WR_FAIL(&error, WEIR_CORRUPT, "checkpoint %" PRIu64 " was never reserved", ids[count - 1]);
  for (uint32_t i = 0; i < count && code == WEIR_OK; i++) {
    struct wr_metadata metadata;
    code = wr_folder_load_checkpoint(folder, ids[i], true, &metadata, &error);
    struct verifying verifying = {.store = {.seams = seams, .folder = folder_path}, .code = code, .error = &error};
    wr_metadata_each_file(&metadata, verify_file, &verifying);
    code = verifying.code;
    wr_metadata_deinit(seams->memory, &metadata);
  }
  if (code != WEIR_OK) fprintf(stderr, "after the restart: %s\n", error.message);
  wr_free(seams->memory, ids);
  wr_folder_close(folder);
  return code == WEIR_OK;
}

/* The orders for one run: operation `fail` fails, operation `crash` is where the world stops. 0: none. */
struct orders {
  uint64_t seed;
  uint64_t fail;
  bool for_ever;
  enum weir_code code;
  uint64_t crash;
  enum sim_crash_side side;
  enum sim_kill kill;
};

/* Lives, is cut off, lives again to the end. *out_crashed: the crash was reached; *out_failed: the failure. */
static bool run_orders(const struct orders *orders, bool *out_crashed, bool *out_failed) {
  struct sim_world_options options = {.seed = orders->seed, .fast_disk = true};
  struct sim_world *world = sim_world_new(&options);
  WR_ASSERT(world != NULL);
  sim_disk_make_folders(world, "/srv");
  struct life life = {.world = world};
  bool good = true;
  if (orders->fail != 0) sim_disk_fail_nth(world, orders->fail, orders->code, orders->for_ever);
  if (orders->crash != 0) sim_disk_crash_at(world, orders->crash, orders->side);
  for (int lives = 0; lives < 2 && good; lives++) {
    life.completed = false;
    bool ended = sim_world_run(world, run_life, &life);
    if (lives == 0) *out_crashed = !ended;
    if (lives == 0) *out_failed = sim_disk_failed(world);
    sim_disk_fail_nth(world, 0, WEIR_OK, false);
    /* In the end the power goes: what the second life found and built on must be durable too. */
    sim_world_kill(world, lives == 0 ? orders->kill : SIM_KILL_POWER);
    sim_memory_drop_all(sim_world_memory(world));
    good = is_whole(&life);
    if (ended && !orders->for_ever && !life.completed) {
      fprintf(stderr, "the life did not come to its end: %s\n", life.error.message);
      good = false;
    }
  }
  if (good && sim_world_memory(world)->blocks != 0) good = false;
  if (!good)
    fprintf(stderr, "seed %" PRIu64 ", fail %" PRIu64 "%s with %s, crash %" PRIu64 " %s, %s\n", orders->seed,
            orders->fail, orders->for_ever ? " for ever" : "", weir_code_text(orders->code), orders->crash,
            orders->side == SIM_CRASH_BEFORE ? "before" : "after",
            orders->kill == SIM_KILL_POWER ? "power" : "process");
  sim_memory_drop_all(sim_world_memory(world));
  sim_world_free(world);
  return good;
}

TEST(every_operation_is_a_crash_point) {
  uint64_t seed = test_seed(), points = 0;
  for (uint64_t crash = 1;; crash++) {
    bool crashed = false, failed;
    for (int variant = 0; variant < 10; variant++) {
      struct orders orders = {.seed = seed + crash * 100 + (uint64_t)variant,
                              .crash = crash,
                              .side = variant % 2 == 0 ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER,
                              .kill = variant < 2 ? SIM_KILL_PROCESS : SIM_KILL_POWER};
      CHECK(run_orders(&orders, &crashed, &failed));
    }
    if (!crashed) break;
    points++;
  }
  fprintf(stderr, "%" PRIu64 " crash points\n", points);
  CHECK(points > 60);
}

TEST(every_operation_fails) {
  uint64_t seed = test_seed();
  for (int variant = 0; variant < 8; variant++) {
    bool failed = true, crashed;
    for (uint64_t fail = 1; failed; fail++) {
      struct orders orders = {.seed = seed + fail,
                              .fail = fail,
                              .for_ever = variant % 2 == 1,
                              .code = variant % 4 < 2 ? WEIR_IO : WEIR_NO_SPACE,
                              .kill = variant < 4 ? SIM_KILL_PROCESS : SIM_KILL_POWER};
      CHECK(run_orders(&orders, &crashed, &failed));
      CHECK(!crashed);
    }
  }
}

/* An operation fails and the power goes some operations later: what an fsync lost must not be leaned on. */
TEST(failure_then_power_cut) {
  struct wr_random random = wr_random_of(test_seed());
  uint64_t both = 0;
  for (int turn = 0; turn < 3000 / TEST_ONE_IN; turn++) {
    struct orders orders = {.seed = wr_random_next(&random), .fail = 1 + wr_random_below(&random, 90), .code = WEIR_IO};
    orders.crash = orders.fail + 1 + wr_random_below(&random, 60);
    orders.side = wr_random_one_in(&random, 2) ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER;
    orders.kill = SIM_KILL_POWER;
    bool crashed = false, failed = false;
    CHECK(run_orders(&orders, &crashed, &failed));
    both += crashed && failed;
  }
  CHECK(both > 1000 / TEST_ONE_IN);
}

/* ---- moving aside ---- */

struct move {
  struct sim_world *world;
  bool moved;
};

static void run_move(void *context) {
  struct move *move = context;
  struct wr_seams *seams = sim_world_seams(move->world);
  struct wr_folder *folder = NULL;
  char *moved_to = NULL;
  if (wr_folder_open(seams->files, seams->memory, folder_path, false, &folder, NULL) == WEIR_OK &&
      wr_folder_move_aside(folder, &moved_to, NULL) == WEIR_OK) {
    struct wr_identity identity;
    bool exists = true;
    WR_ASSERT(wr_folder_read_identity(folder, &identity, &exists, NULL) != WEIR_CORRUPT);
    move->moved = !exists;
    wr_free(seams->memory, moved_to);
  }
  wr_folder_close(folder);
}

/* How many folders hold the whole old job: its JOB and its newest checkpoint with its file. */
static int count_old(struct sim_world *world) {
  struct wr_seams *seams = sim_world_seams(world);
  struct wr_name_list list = sim_disk_list(world, "/srv/weir-state");
  int found = 0;
  for (size_t i = 0; i < list.count; i++) {
    char path[128];
    snprintf(path, sizeof path, "/srv/weir-state/%s", list.names[i]);
    struct wr_folder *folder = NULL;
    struct wr_metadata metadata;
    struct wr_identity identity;
    bool exists;
    uint32_t damaged;
    if (wr_folder_open(seams->files, seams->memory, path, true, &folder, NULL) == WEIR_OK &&
        wr_folder_read_identity(folder, &identity, &exists, NULL) == WEIR_OK && exists &&
        wr_folder_load_newest(folder, UINT64_MAX, &metadata, &exists, &damaged, NULL, NULL) == WEIR_OK && exists) {
      found += identity.start_number == 1 && metadata.checkpoint_id == 3;
      wr_metadata_deinit(seams->memory, &metadata);
    }
    wr_folder_close(folder);
  }
  sim_disk_list_free(&list);
  return found;
}

/* Moves with operation `n` crashing (side 0, 1) or failing (side 2); false at the end of the operations. */
static bool run_move_orders(uint64_t seed, uint64_t n, int side, enum sim_kill kill, bool *out_good) {
  struct sim_world_options options = {.seed = seed, .fast_disk = true};
  struct sim_world *world = sim_world_new(&options);
  struct life life = {.world = world};
  sim_disk_make_folders(world, "/srv");
  WR_ASSERT(sim_world_run(world, run_life, &life) && life.completed && life.durable_id == 3);
  struct move move = {.world = world};
  if (side == 2) {
    sim_disk_fail_nth(world, n, WEIR_IO, false);
  } else {
    sim_disk_crash_at(world, n, side == 0 ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER);
  }
  bool reached = !sim_world_run(world, run_move, &move) || sim_disk_failed(world);
  sim_disk_fail_nth(world, 0, WEIR_OK, false);
  sim_world_kill(world, kill);
  sim_memory_drop_all(sim_world_memory(world));
  *out_good = count_old(world) == 1;
  /* The next start finds the old job or a new folder, and can live in it. */
  life = (struct life){.world = world};
  *out_good = *out_good && sim_world_run(world, run_life, &life) && life.completed && (reached || move.moved) &&
              (!move.moved || life.durable_start == 1);
  if (!*out_good) fprintf(stderr, "seed %" PRIu64 ", operation %" PRIu64 ", side %d, kill %d\n", seed, n, side, kill);
  sim_world_kill(world, SIM_KILL_PROCESS);
  sim_memory_drop_all(sim_world_memory(world));
  sim_world_free(world);
  return reached;
}

TEST(move_aside) {
  uint64_t seed = test_seed();
  for (int side = 0; side < 3; side++) {
    bool good = true, reached = true;
    for (uint64_t n = 1; reached; n++) {
      for (uint64_t variant = 0; variant < 6; variant++) {
        reached =
            run_move_orders(seed + n * 10 + variant, n, side, variant == 0 ? SIM_KILL_PROCESS : SIM_KILL_POWER, &good);
        CHECK(good);
      }
    }
  }
}

TEST_MAIN(TEST_CASE(every_operation_is_a_crash_point), TEST_CASE(every_operation_fails),
          TEST_CASE(failure_then_power_cut), TEST_CASE(move_aside))
