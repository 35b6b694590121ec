// Runs on the device (or under qemu): device_pipelines speech PORT SOUND BACKEND prints language and text;
// device_pipelines picture PORT PICTURE BACKEND RESULT.png enlarges; device_pipelines text PORT SENTENCE BACKEND
// translates.
#include <cstdio>
#include <string_view>

#include "pipelines/picture/upscale.h"
#include "pipelines/whisper/audio.h"
#include "pipelines/whisper/mel.h"
#include "pipelines/whisper/network.h"
#include "pipelines/whisper/transcribe.h"
#ifdef NPUPORT_TRANSLATE
#include "pipelines/marian/network.h"
#include "pipelines/marian/translate.h"
#endif
#ifdef DEVICE_HAS_HOST_BACKEND
#include "runtime/npuport_runtime_host.h"
#endif

namespace {

using namespace npuport;

Result<std::string> text_of(const std::string& port, const std::string& sound, const std::string& backend) {
  NPU_ASSIGN(const whisper::Model model, whisper::open_port(port, backend, {}));
  NPU_ASSIGN(const whisper::Vocabulary vocabulary, whisper::Vocabulary::read(model.vocabulary, model.rules.special));
  NPU_ASSIGN(const auto network, whisper::PartNetwork::open(model, whisper::Loop::automatic));
  NPU_ASSIGN(whisper::MelWindows mel, whisper::MelWindows::open([&] { return whisper::open_sound(sound); },
                                                                static_cast<size_t>(model.rules.n_mels), 1));
  NPU_ASSIGN(const whisper::Transcript transcript, whisper::transcribe(*network, mel, model.rules, vocabulary));
  return transcript.language + ": " + transcript.text;
}

Status enlarge(const std::string& port, const std::string& picture, const std::string& backend,
               const std::string& result) {
  UpscaleOptions options;
  options.backend = backend;
  NPU_ASSIGN(Upscaler upscaler, Upscaler::open(port, options));
  NPU_ASSIGN(const Picture small, read_picture(picture));
  NPU_ASSIGN(const Upscaled large, upscaler.run(small));
  return write_picture(large.picture, result);
}

#ifdef NPUPORT_TRANSLATE
Result<std::string> translation_of(const std::string& port, const std::string& sentence, const std::string& backend) {
  NPU_ASSIGN(const marian::Model model, marian::open_port(port, backend, {}));
  NPU_ASSIGN(const marian::Tokenizer tokenizer,
             marian::Tokenizer::read(model.source_spm, model.target_spm, model.vocab, model.rules));
  NPU_ASSIGN(const auto network, marian::PartNetwork::open(model, 2));
  NPU_ASSIGN(const marian::Translation one, marian::translate(*network, tokenizer, model.rules, sentence, 1));
  NPU_ASSIGN(const marian::Translation two, marian::translate(*network, tokenizer, model.rules, sentence, 2));
  return one.text + " | " + two.text;
}
#endif

int failed(const Diag& d) {
  std::printf("FAILED: %s\n", d.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
#ifdef DEVICE_HAS_HOST_BACKEND
  npuport_runtime_host_register();
#endif
  if (what == "speech" && argc == 5) {
    const Result<std::string> text = text_of(argv[2], argv[3], argv[4]);
    if (!text) return failed(text.error());
    std::printf("%s\n", text->c_str());
    return 0;
  }
#ifdef NPUPORT_TRANSLATE
  if (what == "text" && argc == 5) {
    const Result<std::string> text = translation_of(argv[2], argv[3], argv[4]);
    if (!text) return failed(text.error());
    std::printf("%s\n", text->c_str());
    return 0;
  }
#endif
  if (what == "picture" && argc == 6) {
    const Status done = enlarge(argv[2], argv[3], argv[4], argv[5]);
    return done ? 0 : failed(done.error());
  }
  return 2;
}
