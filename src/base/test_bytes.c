/* Tests of base/bytes and base/memory. */
#include "base/bytes.h"
#include "base/test.h"

TEST(round_trip) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &heap.memory, WR_MEMORY_ENGINE);
  wr_bytes_put_u8(&bytes, 0xfe);
  wr_bytes_put_u16(&bytes, 0x1234);
  wr_bytes_put_u32(&bytes, 0xdeadbeef);
  wr_bytes_put_u64(&bytes, 0x0123456789abcdefULL);
  wr_bytes_put_string(&bytes, "weir");
  CHECK_INT(wr_bytes_check(&bytes, NULL), WEIR_OK);
  CHECK_INT(bytes.length, 1 + 2 + 4 + 8 + 4 + 4);
  CHECK_INT(bytes.data[1], 0x34); /* little-endian */
  struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
  CHECK_INT(wr_read_u8(&reader), 0xfe);
  CHECK_INT(wr_read_u16(&reader), 0x1234);
  CHECK_INT(wr_read_u32(&reader), 0xdeadbeef);
  CHECK(wr_read_u64(&reader) == 0x0123456789abcdefULL);
  char *string = wr_read_string(&reader, &heap.memory, WR_MEMORY_ENGINE, 10);
  CHECK_STRING(string, "weir");
  CHECK(!reader.failed);
  CHECK_INT(wr_read_u8(&reader), 0);
  CHECK(reader.failed);
  wr_free(&heap.memory, string);
  wr_bytes_deinit(&bytes);
  CHECK_INT(heap.total_bytes, 0);
}

TEST(budget_refuses) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 100);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &heap.memory, WR_MEMORY_ENGINE);
  for (int i = 0; i < 50; i++)
    wr_bytes_put_u64(&bytes, 1);
  CHECK(bytes.failed);
  struct weir_error error;
  CHECK_INT(wr_bytes_check(&bytes, &error), WEIR_NO_MEMORY);
  CHECK_INT(bytes.length, 64);
  wr_bytes_deinit(&bytes);
  CHECK_INT(heap.total_bytes, 0);
  CHECK_INT(heap.memory.tag_bytes[WR_MEMORY_ENGINE], 0);
}

TEST_MAIN(TEST_CASE(round_trip), TEST_CASE(budget_refuses))
