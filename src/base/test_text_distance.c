/* base/test_text_distance.c: tests of text_distance. */
#include "base/test.h"
#include "base/text_distance.h"

TEST(distances) {
  CHECK_INT(wr_text_distance("bounded", "bounded"), 0);
  CHECK_INT(wr_text_distance("bonuded", "bounded"), 1);
  CHECK_INT(wr_text_distance("kitten", "sitting"), 3);
  CHECK_INT(wr_text_distance("", "abc"), 3);
  char longer[100];
  memset(longer, 'a', sizeof longer - 1);
  longer[sizeof longer - 1] = 0;
  CHECK_INT(wr_text_distance(longer, "a"), 99);
}

TEST(nearness) {
  CHECK(wr_text_is_near("fetch.min.byte", wr_text_distance("fetch.min.byte", "fetch.min.bytes")));
  CHECK(!wr_text_is_near("colour", wr_text_distance("colour", "group.id")));
}

TEST_MAIN(TEST_CASE(distances), TEST_CASE(nearness))
