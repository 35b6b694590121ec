// What the pipelines read: the first byte chooses sound, picture or vocabulary.
#include "fuzz.h"
#include "pipelines/picture/picture.h"
#include "pipelines/python_text.h"
#include "pipelines/whisper/audio.h"
#include "pipelines/whisper/vocabulary.h"

namespace {

using namespace npuport;

void read_sound(const std::string& path) {
  const auto sound = whisper::open_sound(path);
  if (!sound) return;
  std::vector<float> samples(4096);
  // A short file may claim hours of silence; a minute of it is enough.
  for (size_t total = 0; total < size_t{60} * whisper::kSampleRate;) {
    const auto n = (*sound)->read(samples);
    if (!n || *n == 0) return;
    if (*n > samples.size()) std::abort();
    for (size_t i = 0; i < *n; ++i)
      if (!(samples[i] >= -1 && samples[i] <= 1)) std::abort();
    total += *n;
  }
}

void read_picture_bytes(const std::string& bytes) {
  const auto p = parse_picture(bytes, "fuzz");
  if (!p) return;
  if (p->pixels.size() != p->count() * static_cast<size_t>(p->channels)) std::abort();
  if (!p->alpha.empty() && p->alpha.size() != p->count()) std::abort();
}

}  // namespace

// libsndfile 1.2 forgets the decoder's set-up of an OGG whose headers are damaged; nothing of ours can free it.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:vorbis_info_init\n"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  switch (data[0]) {
    case 's': {
      const fuzz::MemoryFile file(data + 1, size - 1);
      read_sound(file.path());
      break;
    }
    case 'p':
      read_picture_bytes(fuzz::text(data + 1, size - 1));
      break;
    default: {
      const fuzz::MemoryFile file(data + 1, size - 1);
      const auto special = whisper::special_tokens(51864);
      const auto v = whisper::Vocabulary::read(file.path(), *special);
      const std::string decoded = decode_utf8(fuzz::text(data + 1, size - 1));
      if (decode_utf8(decoded) != decoded) std::abort();
    }
  }
  return 0;
}
