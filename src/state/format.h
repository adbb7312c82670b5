/* state/format.h: the bytes of a snapshot: what snapshot.c writes and restore.c reads. Format 2.
 *
 * One subtask's snapshot is the payload of one handle: a *base* holds every row, a *delta* what changed since the
 * snapshot before it in its chain (which was not always the checkpoint before it). Little-endian, nothing aligned.
 * "string" is u32 length and the bytes. The blocks below it have checksums (store/blob.c); what is read here is checked
 * all the same.
 *
 *   header   u32 magic 0x54535257 "WRST" | u16 format | u8 1 base, 2 delta | u8 0 | u64 checkpoint id
 *            u64 checkpoint id of the snapshot that a delta stands on (base: 0)
 *            u32 first, u32 end of the subtask's key groups | u32 maximum parallelism | u32 number of states
 *
 * Then records, each: u8 kind | u64 length of what follows. States come first and are numbered from 0; drops (of a
 * delta only) come before the tables; what follows a table, up to the next one, is its.
 *
 *   1 state        string name | u16 row format (1) | u8 key group rule (enum group_rule)
 *                  u64 time to live, ms (0: none) | schema of the key | schema of the value
 *                  a schema: u32 fields, each: string name | u8 type | u8 nullable
 *   2 drop         u32 state | i64 namespace | u64 generation: the table is gone
 *   3 table        u32 state | i64 namespace | u64 generation
 *   6 end          u64 rows, u64 deletions, u64 drops in this snapshot | u64 rows that live after it
 *   7 rows         u32 n | n x u32 row id | n x row | bytes of the rows' references
 *                  a row: as it lies in memory (layout.c), a reference to more than 12 bytes as u32 length, 12 zeros;
 *                  those bytes follow, row by row, in each row in the order of its references
 *   8 deletions    u32 n | n x u32 row id
 *
 * Format 1 had, in the places of 7 and 8:
 *
 *   4 near rows       u32 first row id | u32 n | n x u16 row id less the first | n x u16 key group | then as 7
 *   5 near deletions  u32 first row id | u32 n | n x u16 row id less the first | n x u16 key group
 *
 * A row replaces the one with its row id. A table made again after its namespace was dropped has a new generation.
 */
#ifndef WR_STATE_FORMAT_H
#define WR_STATE_FORMAT_H

enum {
  STREAM_MAGIC = 0x54535257,
  STREAM_FORMAT = 2,
  STREAM_HEADER_BYTES = 40,
  STREAM_BASE = 1,
  STREAM_DELTA = 2,
  ROW_FORMAT = 1,
  RECORD_HEADER_BYTES = 9,
  RECORD_STATE = 1,
  RECORD_DROP = 2,
  RECORD_TABLE = 3,
  RECORD_NEAR_ROWS = 4,
  RECORD_NEAR_DELETIONS = 5,
  RECORD_END = 6,
  RECORD_ROWS = 7,
  RECORD_DELETIONS = 8,
  RECORD_TABLE_BYTES = 20, /* of drop, too */
  RECORD_END_BYTES = 32,
  RECORD_LIST_HEAD_BYTES = 4,
  RECORD_LISTED_BYTES = 4, /* the row id */
};

#endif
