#include "base/text.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "base/json.h"
#include "base/progress.h"

namespace npuport {
namespace {

TEST(Text, HtmlEscape) {
  EXPECT_EQ(html_escape("<script>alert(\"x\")&'</script>"),
            "&lt;script&gt;alert(&quot;x&quot;)&amp;&#39;&lt;/script&gt;");
  EXPECT_EQ(html_escape("ü 汉\n\t"), "ü 汉\n\t");
  EXPECT_EQ(html_escape("a\x1b[31m\xff"), "a\xEF\xBF\xBD[31m\xEF\xBF\xBD");
}

TEST(Text, MarkdownCell) {
  EXPECT_EQ(markdown_cell("a|b\nc"), "a\\|b c");
  EXPECT_EQ(markdown_cell("<b>`*_[x]"), "\\<b\\>\\`\\*\\_\\[x\\]");
  EXPECT_EQ(markdown_cell("\xc0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Text, SafeFileName) {
  EXPECT_EQ(safe_file_name("mobilenet_v2-1.0.tflite"), "mobilenet_v2-1.0.tflite");
  EXPECT_EQ(safe_file_name("a/../b c\n汉"), "a_.._b_c_");
  EXPECT_EQ(safe_file_name(""), "_");
  EXPECT_EQ(safe_file_name(".."), "_..");
  EXPECT_EQ(safe_file_name("-rf"), "_-rf");
  const std::string a = safe_file_name(std::string(500, 'x') + "1");
  const std::string b = safe_file_name(std::string(500, 'x') + "2");
  EXPECT_EQ(a.size(), 100U);
  EXPECT_NE(a, b);
}

TEST(Text, Numbers) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.0 KB");
  EXPECT_EQ(format_bytes(999949), "999.9 KB");
  EXPECT_EQ(format_bytes(999999), "1.0 MB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "18.4 EB");
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(-1234567), "-1,234,567");
  EXPECT_EQ(format_count(123), "123");
  EXPECT_EQ(format_count(1000), "1,000");
}

TEST(Text, SplitTrimJoin) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
  EXPECT_EQ(trim(" \n a b\t"), "a b");
  EXPECT_EQ(trim("  "), "");
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(join({}, ", "), "");
}

TEST(Text, Utf8) {
  EXPECT_EQ(utf8_length("a"), 1U);
  EXPECT_EQ(utf8_length("é"), 2U);
  EXPECT_EQ(utf8_length("汉"), 3U);
  EXPECT_EQ(utf8_length("😀"), 4U);
  EXPECT_EQ(utf8_length("\xC0\xAF"), 0U);          // overlong
  EXPECT_EQ(utf8_length("\xED\xA0\x80"), 0U);      // surrogate
  EXPECT_EQ(utf8_length("\xF4\x90\x80\x80"), 0U);  // above U+10FFFF
  EXPECT_EQ(utf8_length("\xE6\xB1"), 0U);          // cut off
  EXPECT_EQ(valid_utf8("a\xE6\xB1z"), "a\xEF\xBF\xBD\xEF\xBF\xBDz");
}

TEST(JsonText, NeverThrows) {
  Json j;
  j["z"] = "\xff\x1b";
  j["a"] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(dump_json(j, -1), "{\"z\":\"\xEF\xBF\xBD\\u001b\",\"a\":null}");
  EXPECT_EQ(dump_json(j).back(), '\n');
}

TEST(JsonText, ErrorsHaveAPlace) {
  EXPECT_EQ((*parse_json("{\"b\": 1, \"a\": [2]}")).dump(), "{\"b\":1,\"a\":[2]}");
  const auto bad = parse_json("{\n  \"a\": ,\n}", "x.json");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, &diag::syntax);
  EXPECT_EQ(bad.error().where.file, "x.json");
  EXPECT_NE(bad.error().message.find("line 2"), std::string::npos);
  EXPECT_EQ(parse_json(std::string(100000, '[')).error().code, &diag::too_large);
  EXPECT_FALSE(parse_json("").ok());
  EXPECT_TRUE(parse_json("\"" + std::string(1000, '[') + "\"").ok());  // brackets inside a string do not nest
}

TEST(Progress, SilentOutsideATerminal) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  {
    Progress progress("step", false, file);
    progress.update(0.5, "\x1b[31m");
  }
  EXPECT_EQ(std::ftell(file), 0);
  EXPECT_FALSE(wants_colour(file));
  std::fclose(file);
}

}  // namespace
}  // namespace npuport
