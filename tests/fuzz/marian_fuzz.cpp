// What the Marian pipeline reads: the first byte chooses SentencePiece model, normaliser's map, vocabulary or rules.
#include "fuzz.h"
#include "pipelines/marian/spm_check.h"
#include "pipelines/marian/tokenizer.h"

namespace {

using namespace npuport;

// What the check lets through, the library must survive: cutting and joining included.
void use_model(const std::string& path) {
  const auto pieces = marian::SentencePieces::read(path);
  if (!pieces) return;
  for (const char* text : {"", "a", "Hello  world", "\xef\xac\x81ne \xe2\x85\xa3 \xe4\xb8\xad\xe6\x96\x87",
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    const auto cut = pieces->encode(text);
    if (cut) (void)pieces->decode(*cut);
  }
}

marian::Rules rules() {
  marian::Rules r;
  r.source_vocabulary = r.target_vocabulary = 64;
  return r;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string rest = fuzz::text(data + 1, size - 1);
  const fuzz::MemoryFile file(data + 1, size - 1);
  switch (data[0]) {
    case 's':
      use_model(file.path());
      break;
    case 'c':
      (void)marian::check_charsmap(rest);
      break;
    case 'v': {
      // A sane model for both languages: one piece and <unk>.
      static const std::string sane(
          "\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02\x0a\x0a\x0a\x01"
          "a\x15\0\0\x80\xbf\x18\x01",
          28);
      static const fuzz::MemoryFile model(reinterpret_cast<const uint8_t*>(sane.data()), sane.size());
      const auto t = marian::Tokenizer::read(model.path(), model.path(), file.path(), rules());
      if (t) (void)t->encode("a b a");
      break;
    }
    default:
      (void)marian::read_rules(rest, "fuzz");
  }
  return 0;
}
