/* base/limits.h: every limit of the engine, with its unit in its name. What a user can meet is in the README too. */
#ifndef WR_BASE_LIMITS_H
#define WR_BASE_LIMITS_H

enum {
  WR_BATCH_ROWS_MAX = 4096,
  WR_BATCH_BYTES_MAX = 256 * 1024, /* a batch is full at this or at its rows; one row may be longer */
  WR_RECORD_BYTES_MAX = 16 * 1024 * 1024,
  WR_KEY_BYTES_MAX = 64 * 1024,
  WR_UID_BYTES_MAX = 128,
  WR_NAME_BYTES_MAX = 255,
  WR_PATH_BYTES_MAX = 4096,
  WR_FIELDS_MAX = 1024,
  WR_PARALLELISM_MAX = 256,
  WR_KEY_GROUPS_DEFAULT = 128,
  WR_KEY_GROUPS_MAX = 32768,
  WR_CHAIN_MAX = 16,         /* operators in one task */
  WR_TASK_INPUTS_MAX = 4096, /* channels into one task */
  WR_CHANNEL_ITEMS_MAX = 64, /* entries of a ring */
  WR_CHANNEL_BYTES_MAX = 1024 * 1024,
  WR_STATES_PER_OPERATOR_MAX = 64,
  WR_INLINE_STATE_BYTES_MAX = 20 * 1024, /* smaller state lies inside the metadata */
  WR_BLOCK_BYTES_MAX = 256 * 1024,       /* payload of one checksummed block on disk */
  WR_METADATA_BYTES_MAX = 256 * 1024 * 1024,
  WR_PARTITIONS_MAX = 65536,
  WR_CHECKPOINT_ID_BLOCK = 1024, /* ids reserved durably at a time */
};

#endif
