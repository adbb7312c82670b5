/* formats/json/json_text.c: see json_text.h. Pure; any thread. A scan keeps the open containers as one bit each. */
#include "formats/json/json_text.h"

#include <string.h>

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

const char *wr_json_number_end(const char *text, const char *end) {
  if (text != end && *text == '-') text++;
  if (text == end || !is_digit(*text)) return NULL;
  if (*text++ != '0')
    while (text != end && is_digit(*text))
      text++;
  if (text != end && *text == '.') {
    text++;
    if (text == end || !is_digit(*text)) return NULL;
    while (text != end && is_digit(*text))
      text++;
  }
  if (text != end && (*text == 'e' || *text == 'E')) {
    text++;
    if (text != end && (*text == '+' || *text == '-')) text++;
    if (text == end || !is_digit(*text)) return NULL;
    while (text != end && is_digit(*text))
      text++;
  }
  return text;
}

/* ---- escapes ---- */

/* The value of four hexadecimal digits; -1: they are not. */
static int32_t four_digits(const char *text, const char *end) {
  int32_t value = 0;
  if (end - text < 4) return -1;
  for (int i = 0; i < 4; i++) {
    char c = text[i];
    int32_t digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

static size_t put_utf8(int32_t point, char *out) {
  if (point < 0x80) {
    out[0] = (char)point;
    return 1;
  }
  size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i > 0; i--) {
    out[i] = (char)(0x80 | (point & 0x3f));
    point >>= 6;
  }
  out[0] = (char)((length == 2 ? 0xc0 : length == 3 ? 0xe0 : 0xf0) | point);
  return length;
}

/* Decodes the escape behind a backslash; gives where it ends, NULL when it is wrong. `out` takes up to 4 bytes. */
static const char *read_escape(const char *text, const char *end, char out[4], size_t *out_length) {
  static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  if (text == end) return NULL;
  const char *letter = *text == 0 ? NULL : strchr(letters, *text);
  if (letter != NULL) {
    out[0] = values[letter - letters];
    *out_length = 1;
    return text + 1;
  }
  if (*text != 'u') return NULL;
  int32_t point = four_digits(text + 1, end);
  text += 5;
  if (point < 0 || (point >= 0xdc00 && point <= 0xdfff)) return NULL;
  if (point >= 0xd800 && point <= 0xdbff) {
    if (end - text < 6 || text[0] != '\\' || text[1] != 'u') return NULL;
    int32_t low = four_digits(text + 2, end);
    if (low < 0xdc00 || low > 0xdfff) return NULL;
    point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    text += 6;
  }
  *out_length = put_utf8(point, out);
  return text;
}

int64_t wr_json_unescape(const char *text, size_t length, char *out) {
  const char *end = text + length;
  int64_t total = 0;
  while (text != end) {
    const char *backslash = memchr(text, '\\', (size_t)(end - text));
    size_t plain = (size_t)((backslash == NULL ? end : backslash) - text), escaped = 0;
    if (out != NULL) memcpy(out + total, text, plain);
    total += (int64_t)plain;
    if (backslash == NULL) return total;
    char bytes[4];
    text = read_escape(backslash + 1, end, bytes, &escaped);
    if (text == NULL) return -1;
    if (out != NULL) memcpy(out + total, bytes, escaped);
    total += (int64_t)escaped;
  }
  return total;
}

/* ---- whole texts ---- */

struct scanner {
  const char *text, *end, *next;
  const char *reason;
  uint64_t arrays; /* bit d: the container at depth d is an array */
  uint32_t depth;
};

static bool fail(struct scanner *scanner, const char *at, const char *reason) {
  scanner->next = at;
  scanner->reason = reason;
  return false;
}

/* The length of the UTF-8 sequence at `text`; 0: it is none (cut short, too long, a surrogate, beyond U+10FFFF). */
static size_t utf8_length(const char *text, const char *end) {
  const unsigned char *bytes = (const unsigned char *)text;
  size_t left = (size_t)(end - text), length = bytes[0] < 0x80 ? 1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
  if (bytes[0] >= 0x80 && (bytes[0] < 0xc2 || bytes[0] > 0xf4)) return 0;
  if (left < length) return 0;
  for (size_t i = 1; i < length; i++)
    if ((bytes[i] & 0xc0) != 0x80) return 0;
  if (bytes[0] == 0xe0 && bytes[1] < 0xa0) return 0;
  if (bytes[0] == 0xed && bytes[1] > 0x9f) return 0;
  if (bytes[0] == 0xf0 && bytes[1] < 0x90) return 0;
  if (bytes[0] == 0xf4 && bytes[1] > 0x8f) return 0;
  return length;
}

static void skip_space(struct scanner *scanner) {
  while (scanner->next != scanner->end && wr_json_is_space(*scanner->next))
    scanner->next++;
}

static bool scan_string(struct scanner *scanner) {
  const char *at = scanner->next + 1;
  while (at != scanner->end) {
    if (*at == '"') {
      scanner->next = at + 1;
      return true;
    }
    if ((unsigned char)*at < 0x20) return fail(scanner, at, "a control character in a string is not escaped");
    if (*at == '\\') {
      char bytes[4];
      size_t length = 0;
      const char *after = read_escape(at + 1, scanner->end, bytes, &length);
      if (after == NULL) return fail(scanner, at, "a wrong escape in a string, or half of a surrogate pair");
      at = after;
      continue;
    }
    size_t length = utf8_length(at, scanner->end);
    if (length == 0) return fail(scanner, at, "the bytes are not UTF-8");
    at += length;
  }
  return fail(scanner, at, "a string is not closed");
}

static bool scan_word(struct scanner *scanner, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(scanner->end - scanner->next) < length || memcmp(scanner->next, word, length) != 0)
    return fail(scanner, scanner->next, "expected a value");
  scanner->next += length;
  return true;
}

/* Strings, numbers and words. */
static bool scan_scalar(struct scanner *scanner) {
  if (scanner->next == scanner->end) return fail(scanner, scanner->next, "the record ends where a value is expected");
  switch (*scanner->next) {
  case '"':
    return scan_string(scanner);
  case 't':
    return scan_word(scanner, "true");
  case 'f':
    return scan_word(scanner, "false");
  case 'n':
    return scan_word(scanner, "null");
  default:
    break;
  }
  if (*scanner->next != '-' && !is_digit(*scanner->next)) return fail(scanner, scanner->next, "expected a value");
  const char *after = wr_json_number_end(scanner->next, scanner->end);
  if (after == NULL) return fail(scanner, scanner->next, "a wrong number");
  scanner->next = after;
  return true;
}

/* A name and its colon. */
static bool scan_name(struct scanner *scanner) {
  skip_space(scanner);
  if (scanner->next == scanner->end || *scanner->next != '"')
    return fail(scanner, scanner->next, "expected a name in quotes");
  if (!scan_string(scanner)) return false;
  skip_space(scanner);
  if (scanner->next == scanner->end || *scanner->next != ':')
    return fail(scanner, scanner->next, "expected ':' after a name");
  scanner->next++;
  return true;
}

/* Enters a container; true also where it is empty, then it is left again and *out_value_follows is false. */
static bool scan_open(struct scanner *scanner, bool *out_value_follows) {
  bool is_array = *scanner->next == '[';
  if (scanner->depth == WR_JSON_DEPTH_MAX) return fail(scanner, scanner->next, "nested deeper than 64 levels");
  scanner->next++;
  skip_space(scanner);
  *out_value_follows = true;
  if (scanner->next != scanner->end && *scanner->next == (is_array ? ']' : '}')) {
    scanner->next++;
    *out_value_follows = false;
    return true;
  }
  scanner->arrays = (scanner->arrays & ~(1ull << scanner->depth)) | (uint64_t)is_array << scanner->depth;
  scanner->depth++;
  return is_array || scan_name(scanner);
}

/* Behind a value: closes containers, up to a comma and what stands before the next value, or to the end. */
static bool scan_after_value(struct scanner *scanner, bool *out_value_follows) {
  *out_value_follows = false;
  for (;;) {
    skip_space(scanner);
    if (scanner->depth == 0) {
      if (scanner->next != scanner->end) return fail(scanner, scanner->next, "something follows the end of the value");
      return true;
    }
    bool in_array = (scanner->arrays >> (scanner->depth - 1) & 1) != 0;
    char c = scanner->next == scanner->end ? 0 : *scanner->next;
    if (c == ',') {
      scanner->next++;
      *out_value_follows = true;
      return in_array || scan_name(scanner);
    }
    if (c != (in_array ? ']' : '}'))
      return fail(scanner, scanner->next,
                  in_array ? "expected ',' or ']' after a value" : "expected ',' or '}' after a value");
    scanner->next++;
    scanner->depth--;
  }
}

static bool scan_all(struct scanner *scanner) {
  bool value_follows = true;
  skip_space(scanner);
  if (scanner->next == scanner->end) return fail(scanner, scanner->next, "the record is empty");
  while (value_follows) {
    skip_space(scanner);
    if (scanner->next != scanner->end && (*scanner->next == '{' || *scanner->next == '[')) {
      if (!scan_open(scanner, &value_follows)) return false;
      if (value_follows) continue;
    } else if (!scan_scalar(scanner)) {
      return false;
    }
    if (!scan_after_value(scanner, &value_follows)) return false;
  }
  return true;
}

struct wr_json_scan wr_json_scan(const char *text, size_t length) {
  struct scanner scanner = {.text = text, .end = text + length, .next = text};
  struct wr_json_scan result = {.reason = NULL};
  skip_space(&scanner);
  result.is_object = scanner.next != scanner.end && *scanner.next == '{';
  if (!scan_all(&scanner)) result.reason = scanner.reason;
  result.position = (size_t)(scanner.next - text);
  return result;
}
